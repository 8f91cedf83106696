//! The `filters` parameter: `{"label":{"a=b":true}}` (moby since 1.22) or `{"label":["a=b"]}` (older, and docker-py).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// Values by filter name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

/// A filter that cannot be used; the text is Docker's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterError {
    /// Not JSON of either form.
    Malformed,
    /// This list has no such filter.
    Unknown(String),
    /// The filter does not take this value.
    Value {
        /// Name of the filter.
        key: String,
        /// What was given.
        values: Vec<String>,
    },
}

impl std::fmt::Display for FilterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed => f.write_str("invalid filter"),
            Self::Unknown(key) => write!(f, "invalid filter '{key}'"),
            Self::Value { key, values } => write!(f, "invalid filter '{key}=[{}]'", values.join(" ")),
        }
    }
}

impl std::error::Error for FilterError {}

impl Filters {
    /// Reads the query parameter; an empty one is no filter.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Values {
            Set(BTreeMap<String, bool>),
            List(Vec<String>),
        }
        if text.is_empty() {
            return Ok(Self::default());
        }
        let wire: Option<BTreeMap<String, Option<Values>>> =
            serde_json::from_str(text).map_err(|_| FilterError::Malformed)?;
        let values = |values| match values {
            // moby keeps the keys and never looks at the value.
            Some(Values::Set(set)) => set.into_keys().collect(),
            Some(Values::List(list)) => list.into_iter().collect(),
            None => BTreeSet::new(),
        };
        Ok(Self(wire.unwrap_or_default().into_iter().map(|(key, value)| (key, values(value))).collect()))
    }

    /// The form that servers since 1.22 read; empty text when there is no filter.
    pub fn to_json(&self) -> String {
        let wire: BTreeMap<&str, BTreeMap<&str, bool>> = self
            .0
            .iter()
            .map(|(key, values)| (key.as_str(), values.iter().map(|value| (value.as_str(), true)).collect()))
            .collect();
        match wire.is_empty() {
            true => String::new(),
            false => serde_json::to_string(&wire).unwrap_or_default(),
        }
    }

    /// Adds a value.
    pub fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.entry(key.into()).or_default().insert(value.into());
    }

    /// The same with one more value.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.add(key, value);
        self
    }

    /// Whether nothing is filtered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this filter is given.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// All values of a filter.
    pub fn get(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// The names of the filters given.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Fails on a filter that is not in `known`.
    pub fn validate(&self, known: &[&str]) -> Result<(), FilterError> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(FilterError::Unknown(key.clone())),
            None => Ok(()),
        }
    }

    /// Whether the filter is absent, or one of its values equals `value`.
    pub fn matches(&self, key: &str, value: &str) -> bool {
        self.0.get(key).is_none_or(|values| values.is_empty() || values.contains(value))
    }

    /// Whether the filter is absent, or `test` accepts one of its values.
    pub fn matches_any(&self, key: &str, test: impl Fn(&str) -> bool) -> bool {
        self.0.get(key).is_none_or(|values| values.is_empty() || values.iter().any(|value| test(value)))
    }

    /// Whether every `key` or `key=value` of the filter is among `labels` (moby's `MatchKVList`).
    pub fn matches_labels(&self, key: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
        self.get(key).all(|wanted| has_label(labels, wanted))
    }

    /// A boolean filter such as `dangling`: `default` when absent; 1/true/0/false, and not both.
    pub fn boolean(&self, key: &str, default: bool) -> Result<bool, FilterError> {
        let Some(values) = self.0.get(key) else { return Ok(default) };
        let yes = values.contains("1") || values.contains("true");
        let no = values.contains("0") || values.contains("false");
        match (yes, no) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => Err(FilterError::Value { key: key.to_owned(), values: values.iter().cloned().collect() }),
        }
    }
}

/// Whether `labels` has `key` or `key=value`.
pub fn has_label(labels: Option<&BTreeMap<String, String>>, wanted: &str) -> bool {
    let Some(labels) = labels else { return false };
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
        None => labels.contains_key(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_mean_the_same() {
        let set = Filters::parse(r#"{"label":{"a=b":true,"c":true},"status":{"exited":true}}"#).unwrap();
        let list = Filters::parse(r#"{"label":["a=b","c"],"status":["exited"]}"#).unwrap();
        assert_eq!(set, list);
        assert_eq!(Filters::parse(&set.to_json()).unwrap(), set);
    }

    #[test]
    fn nothing_is_no_filter_and_rubbish_is_an_error() {
        for nothing in ["", "{}", "null"] {
            assert!(Filters::parse(nothing).unwrap().is_empty(), "{nothing}");
        }
        for rubbish in ["[]", "{", "{\"a\":1}", "status=exited"] {
            assert_eq!(Filters::parse(rubbish), Err(FilterError::Malformed), "{rubbish}");
        }
    }

    #[test]
    fn labels_match_by_key_or_pair_and_all_of_them() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned()), ("empty".to_owned(), String::new())]);
        let matches = |json| Filters::parse(json).unwrap().matches_labels("label", Some(&labels));
        assert!(matches("{}"));
        assert!(matches(r#"{"label":["a"]}"#));
        assert!(matches(r#"{"label":["a=b","empty="]}"#));
        assert!(!matches(r#"{"label":["a=b","z"]}"#));
        assert!(!matches(r#"{"label":["a=c"]}"#));
    }

    #[test]
    fn errors_are_in_dockers_words() {
        let filters = Filters::parse(r#"{"dangling":["maybe"]}"#).unwrap();
        assert_eq!(
            filters.boolean("dangling", false).unwrap_err().to_string(),
            "invalid filter 'dangling=[maybe]'"
        );
        assert_eq!(filters.validate(&["label"]).unwrap_err().to_string(), "invalid filter 'dangling'");
        assert_eq!(filters.validate(&["dangling"]), Ok(()));
    }
}
