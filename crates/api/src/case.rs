//! Go's `encoding/json` takes `"detachKeys"` for a field named `"DetachKeys"`, and clients rely on it. serde does not: so
//! names in requests are corrected first, by the model's own tables. Keys of maps (labels, ports, networks) are the user's.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A type that knows which names its JSON form may have, on every level.
pub trait FieldNames {
    /// Gives fields that are named right but for the case of letters their names.
    fn correct(_value: &mut Value) {}
}

macro_rules! no_fields {
    ($($ty:ty),*) => { $(impl FieldNames for $ty {})* };
}
no_fields!(bool, i32, i64, u16, u32, u64, f64, String, Value, Map<String, Value>, [String; 2], crate::ConsoleSize, crate::EmptyObject, crate::StrSlice);

impl<T: FieldNames> FieldNames for Option<T> {
    fn correct(value: &mut Value) {
        T::correct(value);
    }
}

impl<T: FieldNames> FieldNames for Box<T> {
    fn correct(value: &mut Value) {
        T::correct(value);
    }
}

impl<T: FieldNames> FieldNames for Vec<T> {
    fn correct(value: &mut Value) {
        value.as_array_mut().into_iter().flatten().for_each(T::correct);
    }
}

impl<K, T: FieldNames> FieldNames for BTreeMap<K, T> {
    fn correct(value: &mut Value) {
        value.as_object_mut().into_iter().flatten().for_each(|(_, value)| T::correct(value));
    }
}

/// Renames what is one of `names` but for its case. A field that is there under its own name wins.
pub fn rename(object: &mut Map<String, Value>, names: &[&str]) {
    let near = |key: &String| {
        let name = names.iter().find(|name| name.eq_ignore_ascii_case(key))?;
        Some((key.clone(), *name)).filter(|(key, name)| key != name)
    };
    let wrong: Vec<(String, &str)> = object.keys().filter_map(near).collect();
    for (key, name) in wrong {
        if let Some(value) = object.remove(&key)
            && !object.contains_key(name)
        {
            object.insert(name.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{ContainerCreateRequest, ExecConfig};

    use super::*;

    fn read<T: FieldNames + serde::de::DeserializeOwned>(json: &str) -> T {
        let mut value = serde_json::from_str(json).unwrap();
        T::correct(&mut value);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn names_are_found_whatever_their_case() {
        let config: ExecConfig = read(r#"{"detachKeys":"ctrl-x","CMD":["a"],"tty":true,"Tty":false}"#);
        assert_eq!((config.detach_keys.as_str(), config.tty), ("ctrl-x", false));
        assert_eq!(config.cmd.unwrap()[..], ["a".to_owned()]);
    }

    #[test]
    fn embedded_and_inner_objects_are_corrected_and_the_users_keys_are_not() {
        let request: ContainerCreateRequest = read(
            r#"{"image":"i","labels":{"image":"x","TTY":"y"},"hostconfig":{"memory":5,"restartpolicy":{"name":"always"},
                "portBindings":{"80/tcp":[{"hostport":"8080"}]}},
                "networkingConfig":{"endpointsConfig":{"Image":{"aliases":["a"]}}}}"#,
        );
        assert_eq!(request.config.image, "i");
        let labels = request.config.labels.unwrap();
        assert_eq!(labels.keys().collect::<Vec<_>>(), ["TTY", "image"]);
        let host = request.host_config.unwrap();
        assert_eq!((host.resources.memory, host.restart_policy.name.as_str()), (5, "always"));
        let (port, bindings) = host.port_bindings.unwrap().into_iter().next().unwrap();
        assert_eq!((port.as_str(), bindings.unwrap()[0].host_port.as_str()), ("80/tcp", "8080"));
        let networks = request.networking_config.unwrap().endpoints_config.unwrap();
        assert!(networks.contains_key("Image"));
    }
}
