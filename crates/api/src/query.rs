//! Query parameters: one struct per endpoint, read by the server and written by the client with the same table.
//!
//! Reading follows moby's `httputils`: a boolean is false when absent or one of `""`, `0`, `no`, `false`, `none` (any case)
//! and true otherwise; a number that does not parse is 0; an unknown parameter is ignored.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::filters::{FilterError, Filters};

/// A decoded query string, in order, with repeated names kept.
#[derive(Debug, Clone, Default)]
pub struct Pairs(Vec<(String, String)>);

const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Pairs {
    /// Takes a raw query (without `?`) apart.
    pub fn parse(query: &str) -> Self {
        let decode =
            |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pair = |pair: &str| match pair.split_once('=') {
            Some((name, value)) => (decode(name), decode(value)),
            None => (decode(pair), String::new()),
        };
        Self(query.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    /// Whether the parameter is there, even if empty.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// First value of a parameter.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All names with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds a value.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// The raw query (without `?`).
    pub fn encode(&self) -> String {
        let pair = |(name, value): &(String, String)| {
            format!("{}={}", utf8_percent_encode(name, PLAIN), utf8_percent_encode(value, PLAIN))
        };
        self.0.iter().map(pair).collect::<Vec<_>>().join("&")
    }
}

/// One parameter's type.
pub trait QueryValue: Sized {
    /// Reads the parameter `name`.
    fn read(pairs: &Pairs, name: &str) -> Result<Self, FilterError>;
    /// Writes it, unless it has the value that its absence means.
    fn write(&self, pairs: &mut Pairs, name: &str);
}

fn truth(text: &str) -> bool {
    !matches!(text.trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
}

impl QueryValue for bool {
    fn read(pairs: &Pairs, name: &str) -> Result<Self, FilterError> {
        Ok(pairs.first(name).is_some_and(truth))
    }
    fn write(&self, pairs: &mut Pairs, name: &str) {
        if *self {
            pairs.push(name, "1");
        }
    }
}

/// A boolean whose absence is not false.
impl QueryValue for Option<bool> {
    fn read(pairs: &Pairs, name: &str) -> Result<Self, FilterError> {
        Ok(pairs.first(name).map(truth))
    }
    fn write(&self, pairs: &mut Pairs, name: &str) {
        if let Some(value) = self {
            pairs.push(name, if *value { "1" } else { "0" });
        }
    }
}

impl QueryValue for i64 {
    fn read(pairs: &Pairs, name: &str) -> Result<Self, FilterError> {
        Ok(pairs.first(name).and_then(|text| text.parse().ok()).unwrap_or_default())
    }
    fn write(&self, pairs: &mut Pairs, name: &str) {
        if *self != 0 {
            pairs.push(name, self.to_string());
        }
    }
}

impl QueryValue for Option<i64> {
    fn read(pairs: &Pairs, name: &str) -> Result<Self, FilterError> {
        Ok(pairs.first(name).and_then(|text| text.parse().ok()))
    }
    fn write(&self, pairs: &mut Pairs, name: &str) {
        if let Some(value) = self {
            pairs.push(name, value.to_string());
        }
    }
}

impl QueryValue for String {
    fn read(pairs: &Pairs, name: &str) -> Result<Self, FilterError> {
        Ok(pairs.first(name).unwrap_or_default().to_owned())
    }
    fn write(&self, pairs: &mut Pairs, name: &str) {
        if !self.is_empty() {
            pairs.push(name, self.as_str());
        }
    }
}

impl QueryValue for Vec<String> {
    fn read(pairs: &Pairs, name: &str) -> Result<Self, FilterError> {
        Ok(pairs.all(name).map(str::to_owned).collect())
    }
    fn write(&self, pairs: &mut Pairs, name: &str) {
        self.iter().for_each(|value| pairs.push(name, value.as_str()));
    }
}

impl QueryValue for Filters {
    fn read(pairs: &Pairs, name: &str) -> Result<Self, FilterError> {
        Self::parse(pairs.first(name).unwrap_or_default())
    }
    fn write(&self, pairs: &mut Pairs, name: &str) {
        if !self.is_empty() {
            pairs.push(name, self.to_json());
        }
    }
}

/// The parameters of an endpoint.
pub trait Query: Sized + Default {
    /// Reads them; only a malformed filter is an error.
    fn from_pairs(pairs: &Pairs) -> Result<Self, FilterError>;
    /// Writes those that differ from what absence means.
    fn to_pairs(&self) -> Pairs;

    /// From a raw query (without `?`).
    fn parse(query: &str) -> Result<Self, FilterError> {
        Self::from_pairs(&Pairs::parse(query))
    }

    /// As a raw query (without `?`).
    fn encode(&self) -> String {
        self.to_pairs().encode()
    }
}

macro_rules! query {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident { $( $(#[$fmeta:meta])* $wire:literal => $field:ident : $ty:ty, )* }
    )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $( $(#[$fmeta])* #[doc = concat!("`", $wire, "`")] pub $field: $ty, )*
        }

        impl Query for $name {
            fn from_pairs(pairs: &Pairs) -> Result<Self, FilterError> {
                Ok(Self { $( $field: QueryValue::read(pairs, $wire)?, )* })
            }
            fn to_pairs(&self) -> Pairs {
                let mut pairs = Pairs::default();
                $( self.$field.write(&mut pairs, $wire); )*
                pairs
            }
        }
    )* };
}

query! {
    /// `GET /containers/json`
    pub struct ContainerListQuery {
        "all" => all: bool,
        /// 0 or less = no limit; a limit shows containers in every state.
        "limit" => limit: i64,
        "size" => size: bool,
        "filters" => filters: Filters,
    }
    /// `POST /containers/create`
    pub struct ContainerCreateQuery {
        "name" => name: String,
        /// `os[/arch[/variant]]`
        "platform" => platform: String,
    }
    /// `GET /containers/{id}/json`
    pub struct ContainerInspectQuery {
        "size" => size: bool,
    }
    /// `GET /containers/{id}/top`
    pub struct ContainerTopQuery {
        /// Empty = `-ef`.
        "ps_args" => ps_args: String,
    }
    /// `GET /containers/{id}/logs`
    pub struct ContainerLogsQuery {
        "follow" => follow: bool,
        "stdout" => stdout: bool,
        "stderr" => stderr: bool,
        /// Unix seconds with an optional fraction (or a Go duration, RFC 3339): see the engine's parser.
        "since" => since: String,
        "until" => until: String,
        "timestamps" => timestamps: bool,
        /// Number of lines; `all` or anything that is no number = all.
        "tail" => tail: String,
        "details" => details: bool,
    }
    /// `GET /containers/{id}/stats`
    pub struct ContainerStatsQuery {
        /// Absent = true.
        "stream" => stream: Option<bool>,
        /// With `stream=0`: one sample at once, without the one before it.
        "one-shot" => one_shot: bool,
    }
    /// `POST /containers/{id}/resize`, `POST /exec/{id}/resize`
    pub struct ResizeQuery {
        "h" => height: i64,
        "w" => width: i64,
    }
    /// `POST /containers/{id}/start`
    pub struct ContainerStartQuery {
        "detachKeys" => detach_keys: String,
    }
    /// `POST /containers/{id}/stop` and `restart`
    pub struct ContainerStopQuery {
        "signal" => signal: String,
        /// Seconds before the kill; negative = never; absent = the container's own.
        "t" => timeout: Option<i64>,
    }
    /// `POST /containers/{id}/kill`
    pub struct ContainerKillQuery {
        /// Empty = SIGKILL.
        "signal" => signal: String,
    }
    /// `POST /containers/{id}/rename`
    pub struct ContainerRenameQuery {
        "name" => name: String,
    }
    /// `POST /containers/{id}/attach` and `attach/ws`
    pub struct ContainerAttachQuery {
        "detachKeys" => detach_keys: String,
        /// Replay what was written before.
        "logs" => logs: bool,
        /// Stay attached.
        "stream" => stream: bool,
        "stdin" => stdin: bool,
        "stdout" => stdout: bool,
        "stderr" => stderr: bool,
    }
    /// `POST /containers/{id}/wait`
    pub struct ContainerWaitQuery {
        /// `not-running` (also empty), `next-exit` or `removed`.
        "condition" => condition: String,
    }
    /// `DELETE /containers/{id}`
    pub struct ContainerRemoveQuery {
        /// Anonymous volumes too.
        "v" => volumes: bool,
        "force" => force: bool,
        "link" => link: bool,
    }
    /// `HEAD`, `GET` and `PUT /containers/{id}/archive`
    pub struct ContainerArchiveQuery {
        "path" => path: String,
        "noOverwriteDirNonDir" => no_overwrite_dir_non_dir: bool,
        "copyUIDGID" => copy_uid_gid: bool,
    }
    /// Every `POST …/prune`
    pub struct PruneQuery {
        "filters" => filters: Filters,
    }
    /// `GET /images/json`
    pub struct ImageListQuery {
        "all" => all: bool,
        "filters" => filters: Filters,
        "shared-size" => shared_size: bool,
        "digests" => digests: bool,
        "manifests" => manifests: bool,
        /// Before 1.41: a reference.
        "filter" => filter: String,
    }
    /// `POST /images/create`: pull (`fromImage`) or import (`fromSrc`)
    pub struct ImageCreateQuery {
        "fromImage" => from_image: String,
        /// `-` = the body.
        "fromSrc" => from_src: String,
        "repo" => repo: String,
        /// Tag or digest.
        "tag" => tag: String,
        "message" => message: String,
        /// Dockerfile instructions to apply.
        "changes" => changes: Vec<String>,
        "platform" => platform: String,
    }
    /// `GET /images/{name}/json`
    pub struct ImageInspectQuery {
        "manifests" => manifests: bool,
        /// Naru's own: every layer is packed first, so that whatever the descriptor names can be fetched.
        "packed" => packed: bool,
        /// JSON of an OCI platform.
        "platform" => platform: String,
    }
    /// `GET /images/{name}/history`, `GET /images/{name}/get`
    pub struct ImagePlatformQuery {
        /// JSON of an OCI platform.
        "platform" => platform: String,
    }
    /// `GET /naru/images/{name}/log`
    pub struct ImageLogQuery {
        /// Name every changed path.
        "changes" => changes: bool,
    }
    /// `GET /naru/images/{name}/diff`
    pub struct ImageDiffQuery {
        /// The other image.
        "to" => to: String,
        /// Only what is at or below this path.
        "path" => path: String,
    }
    /// `GET /naru/images/{name}/files`, `GET /naru/images/{name}/file`
    pub struct ImagePathQuery {
        "path" => path: String,
    }
    /// `GET /naru/networks/doctor`
    pub struct NetworkDoctorQuery {
        /// Address of a client to follow besides the usual ones.
        "from" => from: String,
    }
    /// `POST /images/{name}/push`
    pub struct ImagePushQuery {
        "tag" => tag: String,
        /// JSON of an OCI platform.
        "platform" => platform: String,
        /// Naru's own: `zstd[:level]` or `gzip[:level]`, how to pack the layers; empty leaves them as they are.
        "compression" => compression: String,
    }
    /// `POST /images/{name}/tag`
    pub struct ImageTagQuery {
        "repo" => repo: String,
        "tag" => tag: String,
    }
    /// `DELETE /images/{name}`
    pub struct ImageRemoveQuery {
        "force" => force: bool,
        "noprune" => noprune: bool,
        /// JSON of OCI platforms.
        "platforms" => platforms: Vec<String>,
    }
    /// `GET /naru/blobs/{digest}`
    pub struct BlobQuery {
        /// The first byte that is wanted.
        "offset" => offset: i64,
    }
    /// `GET /images/search`
    pub struct ImageSearchQuery {
        "term" => term: String,
        /// 0 = the registry's default.
        "limit" => limit: i64,
        "filters" => filters: Filters,
    }
    /// `GET /images/get`
    pub struct ImageSaveQuery {
        "names" => names: Vec<String>,
        /// JSON of OCI platforms.
        "platform" => platform: Vec<String>,
    }
    /// `POST /images/load`
    pub struct ImageLoadQuery {
        "quiet" => quiet: bool,
        /// JSON of OCI platforms.
        "platform" => platform: Vec<String>,
    }
    /// `POST /commit`
    pub struct CommitQuery {
        "container" => container: String,
        "repo" => repo: String,
        "tag" => tag: String,
        "comment" => comment: String,
        "author" => author: String,
        /// Absent = true.
        "pause" => pause: Option<bool>,
        /// Dockerfile instructions to apply.
        "changes" => changes: Vec<String>,
    }
    /// `GET /events`
    pub struct EventsQuery {
        /// Unix seconds with an optional fraction.
        "since" => since: String,
        "until" => until: String,
        "filters" => filters: Filters,
    }
    /// `GET /system/df`
    pub struct SystemDataUsageQuery {
        /// container, image, volume, build-cache; none = all.
        "type" => types: Vec<String>,
    }
    /// `GET /volumes`
    pub struct VolumeListQuery {
        "filters" => filters: Filters,
    }
    /// `DELETE /volumes/{name}`
    pub struct VolumeRemoveQuery {
        "force" => force: bool,
    }
    /// `GET /networks`
    pub struct NetworkListQuery {
        "filters" => filters: Filters,
    }
    /// `GET /networks/{id}`
    pub struct NetworkInspectQuery {
        "verbose" => verbose: bool,
        "scope" => scope: String,
    }
    /// `POST /build/prune`
    pub struct BuildPruneQuery {
        "all" => all: bool,
        "filters" => filters: Filters,
        "keep-storage" => keep_storage: i64,
        "reserved-space" => reserved_space: i64,
        "max-used-space" => max_used_space: i64,
        "min-free-space" => min_free_space: i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_read_as_docker_reads_them() {
        for (text, expected) in [
            ("1", true),
            ("true", true),
            ("True", true),
            ("yes", true),
            ("anything", true),
            ("", false),
            ("0", false),
            ("no", false),
            ("FALSE", false),
            ("none", false),
            (" 0 ", false),
        ] {
            let query =
                ContainerListQuery::parse(&format!("all={}", utf8_percent_encode(text, PLAIN))).unwrap();
            assert_eq!(query.all, expected, "{text:?}");
        }
        assert!(!ContainerListQuery::parse("").unwrap().all);
        assert_eq!(ContainerStatsQuery::parse("").unwrap().stream, None);
        assert_eq!(ContainerStatsQuery::parse("stream=false").unwrap().stream, Some(false));
    }

    #[test]
    fn queries_survive_a_round_trip() {
        let query = ImageCreateQuery {
            from_src: "-".into(),
            repo: "a b/ü&=+%".into(),
            changes: vec!["CMD [\"x\"]".into(), "ENV a=b c".into()],
            ..Default::default()
        };
        assert_eq!(ImageCreateQuery::parse(&query.encode()).unwrap(), query);
        let query =
            EventsQuery { filters: Filters::default().with("type", "container"), ..Default::default() };
        assert_eq!(EventsQuery::parse(&query.encode()).unwrap(), query);
    }

    #[test]
    fn rubbish_numbers_are_zero_and_unknown_names_ignored() {
        let query = ContainerListQuery::parse("limit=ten&what=ever&all").unwrap();
        assert_eq!(query, ContainerListQuery::default());
        assert!(ContainerListQuery::parse("filters=%5B").is_err());
    }
}
