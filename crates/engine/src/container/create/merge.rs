//! What the image says and what the user says, in one configuration: the user's values win, sets are united. Pure; the rules
//! are moby's `merge`.

use std::collections::BTreeMap;

use api::{ContainerConfig, EmptyObject, HealthConfig, StrSlice};

/// Fills `config` from the image's configuration.
pub(crate) fn merge(config: &mut ContainerConfig, image: &image::ContainerConfig) {
    if config.user.is_empty() {
        config.user.clone_from(&image.user);
    }
    unite(&mut config.exposed_ports, image.exposed_ports.as_ref());
    unite(&mut config.volumes, image.volumes.as_ref());
    merge_env(&mut config.env, image.env.as_deref().unwrap_or_default());
    for (key, value) in image.labels.iter().flatten() {
        config.labels.get_or_insert_default().entry(key.clone()).or_insert_with(|| value.clone());
    }
    // An entrypoint of one's own makes the image's command meaningless.
    if config.entrypoint.as_ref().is_none_or(|words| words.is_empty()) {
        if config.cmd.as_ref().is_none_or(|words| words.is_empty()) {
            config.cmd = image.cmd.clone().map(StrSlice);
            config.args_escaped = image.args_escaped;
        }
        if config.entrypoint.is_none() {
            config.entrypoint = image.entrypoint.clone().map(StrSlice);
        }
    }
    // `--entrypoint ""` is how one asks for none.
    if config.entrypoint.as_ref().is_some_and(|words| words.as_slice() == [""]) {
        config.entrypoint = None;
    }
    if let Some(image) = &image.healthcheck {
        merge_health(config.healthcheck.get_or_insert_default(), image);
    }
    if config.working_dir.is_empty() {
        config.working_dir.clone_from(&image.working_dir);
    }
    if config.stop_signal.is_empty() {
        config.stop_signal.clone_from(&image.stop_signal);
    }
    if config.stop_timeout.is_none() {
        config.stop_timeout = image.stop_timeout;
    }
    if config.shell.is_none() {
        config.shell = image.shell.clone().map(StrSlice);
    }
    if config.on_build.is_none() {
        config.on_build.clone_from(&image.on_build);
    }
}

fn unite(set: &mut Option<api::Set>, image: Option<&BTreeMap<String, image::Empty>>) {
    for key in image.into_iter().flat_map(BTreeMap::keys) {
        set.get_or_insert_default().entry(key.clone()).or_insert(EmptyObject {});
    }
}

fn merge_env(env: &mut Option<Vec<String>>, image: &[String]) {
    let key = |line: &str| line.split_once('=').map_or(line, |(key, _)| key).to_owned();
    let own = env.get_or_insert_default();
    for line in image {
        if !own.iter().any(|have| key(have) == key(line)) {
            own.push(line.clone());
        }
    }
}

fn merge_health(own: &mut HealthConfig, image: &image::Healthcheck) {
    if own.test.as_ref().is_none_or(Vec::is_empty) {
        own.test.clone_from(&image.test);
    }
    for (own, image) in [
        (&mut own.interval, image.interval),
        (&mut own.timeout, image.timeout),
        (&mut own.start_period, image.start_period),
        (&mut own.start_interval, image.start_interval),
        (&mut own.retries, image.retries),
    ] {
        if *own == 0 {
            *own = image;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> image::ContainerConfig {
        serde_json::from_str(
            r#"{"User":"app","Env":["PATH=/bin","A=image"],"Entrypoint":["/entry"],"Cmd":["serve"],
                "ExposedPorts":{"80/tcp":{}},"Volumes":{"/data":{}},"WorkingDir":"/srv","Labels":{"a":"1","b":"2"},
                "StopSignal":"SIGQUIT","Healthcheck":{"Test":["CMD","x"],"Interval":7}}"#,
        )
        .unwrap()
    }

    fn merged(json: &str) -> ContainerConfig {
        let mut config: ContainerConfig = serde_json::from_str(json).unwrap();
        merge(&mut config, &image());
        config
    }

    fn command(config: &ContainerConfig) -> (Vec<String>, Vec<String>) {
        let words = |words: &Option<StrSlice>| words.clone().map(Vec::from).unwrap_or_default();
        (words(&config.entrypoint), words(&config.cmd))
    }

    #[test]
    fn entrypoint_and_command_follow_dockers_table() {
        let check = |json: &str, entrypoint: &[&str], cmd: &[&str]| {
            let (got_entrypoint, got_cmd) = command(&merged(json));
            assert_eq!(
                (got_entrypoint, got_cmd),
                (
                    entrypoint.iter().map(|s| s.to_string()).collect(),
                    cmd.iter().map(|s| s.to_string()).collect()
                ),
                "{json}"
            );
        };
        check("{}", &["/entry"], &["serve"]);
        check(r#"{"Cmd":["sh"]}"#, &["/entry"], &["sh"]);
        check(r#"{"Entrypoint":["/own"]}"#, &["/own"], &[]);
        check(r#"{"Entrypoint":["/own"],"Cmd":["x"]}"#, &["/own"], &["x"]);
        check(r#"{"Entrypoint":[""],"Cmd":["x"]}"#, &[], &["x"]);
        check(r#"{"Entrypoint":[]}"#, &[], &["serve"]);
    }

    #[test]
    fn the_users_values_win_and_sets_are_united() {
        let config = merged(
            r#"{"User":"root","Env":["A=user","B=1"],"ExposedPorts":{"90/udp":{}},"Labels":{"a":"mine"},
                "Healthcheck":{"Interval":9}}"#,
        );
        assert_eq!(config.user, "root");
        assert_eq!(config.env.unwrap(), ["A=user", "B=1", "PATH=/bin"]);
        assert_eq!(config.exposed_ports.unwrap().into_keys().collect::<Vec<_>>(), ["80/tcp", "90/udp"]);
        assert_eq!(config.labels.unwrap()["a"], "mine");
        assert_eq!(config.working_dir, "/srv");
        assert_eq!(config.stop_signal, "SIGQUIT");
        let health = config.healthcheck.unwrap();
        assert_eq!((health.test.unwrap(), health.interval), (vec!["CMD".to_owned(), "x".to_owned()], 9));
    }
}
