//! Answers recorded from dockerd 20.10 (API 1.41) through the model and back: nothing may be lost, renamed or turned from
//! null to empty. What the versions since have added or dropped is listed here by name.

use api::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Written today, unknown to 1.41.
const ADDED: [&str; 4] = ["GwPriority", "DNSNames", "EnableIPv4", "CDISpecDirs"];
/// Written by 1.41, today left out: always, or when empty.
const DROPPED: [&str; 6] = [
    "KernelMemory",
    "KernelMemoryTCP",
    "Container",
    "BuilderSize",
    "AllowNondistributableArtifactsCIDRs",
    "AllowNondistributableArtifactsHostnames",
];

fn without(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !names.contains(&name.as_str()));
            fields.values_mut().for_each(|field| without(field, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| without(item, names)),
        _ => {}
    }
}

fn faithful<T: Serialize + DeserializeOwned>(recorded: &Value, name: &str) {
    let mut theirs = recorded[name].clone();
    assert!(!theirs.is_null(), "{name} is recorded");
    let value: T = serde_json::from_value(theirs.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut ours = serde_json::to_value(value).unwrap();
    without(&mut theirs, &DROPPED);
    without(&mut ours, &ADDED);
    without(&mut ours, &DROPPED);
    assert_eq!(ours, theirs, "{name}");
}

#[test]
fn recorded_answers_survive_the_model() {
    let mut recorded: Value = serde_json::from_str(include_str!("recorded/dockerd-20.10.json")).unwrap();
    // `docker-init` of a distribution has no expected commit; the field went away in 1.49.
    recorded["info"]["InitCommit"].as_object_mut().unwrap().remove("Expected");
    faithful::<ImageInspect>(&recorded, "image");
    faithful::<Vec<ImageHistoryResponseItem>>(&recorded, "history");
    faithful::<SystemInfo>(&recorded, "info");
    faithful::<SystemVersion>(&recorded, "version");
    faithful::<ContainerInspectResponse>(&recorded, "inspect running");
    faithful::<Vec<ContainerSummary>>(&recorded, "list running");
    faithful::<Vec<ContainerSummary>>(&recorded, "list all");
    faithful::<ContainerStatsResponse>(&recorded, "stats");
    faithful::<ContainerTopResponse>(&recorded, "top");
    faithful::<ExecInspectResponse>(&recorded, "exec inspect");
    faithful::<Network>(&recorded, "net inspect");
    faithful::<VolumeListResponse>(&recorded, "vols");
    faithful::<SystemDataUsageResponse>(&recorded, "df");
    faithful::<Vec<EventMessage>>(&recorded, "events");
}
