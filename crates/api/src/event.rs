//! `GET /events`: one JSON object per line.

use std::collections::BTreeMap;

use crate::go::model;

model! {
    /// Something happened. `status`, `id` and `from` are the old names, filled for containers and images.
    pub struct EventMessage {
        "status" omitempty => status: String,
        "id" omitempty => id: String,
        "from" omitempty => from: String,
        /// container, image, volume, network, daemon, builder, …
        "Type" => typ: String,
        "Action" => action: String,
        "Actor" => actor: EventActor,
        "scope" omitempty => scope: String,
        /// Unix seconds.
        "time" omitempty => time: i64,
        /// Unix nanoseconds.
        "timeNano" omitempty => time_nano: i64,
    }

    /// Whom an event is about.
    pub struct EventActor {
        "ID" => id: String,
        "Attributes" => attributes: Option<BTreeMap<String, String>>,
    }
}
