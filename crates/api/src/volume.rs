//! Volumes on the wire.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::go::model;

model! {
    /// A volume.
    pub struct Volume {
        "ClusterVolume" omitempty => cluster_volume: Option<Value>,
        /// RFC 3339, seconds.
        "CreatedAt" omitempty => created_at: String,
        "Driver" => driver: String,
        "Labels" => labels: Option<BTreeMap<String, String>>,
        "Mountpoint" => mountpoint: String,
        "Name" => name: String,
        "Options" => options: Option<BTreeMap<String, String>>,
        "Scope" => scope: String,
        "Status" omitempty => status: Option<BTreeMap<String, Value>>,
        "UsageData" omitempty => usage_data: Option<VolumeUsageData>,
    }

    /// Only in `/system/df`; -1 = not known.
    pub struct VolumeUsageData {
        "RefCount" => ref_count: i64,
        "Size" => size: i64,
    }

    /// Body of `POST /volumes/create`.
    pub struct VolumeCreateOptions {
        "ClusterVolumeSpec" omitempty => cluster_volume_spec: Option<Value>,
        "Driver" omitempty => driver: String,
        "DriverOpts" omitempty => driver_opts: Option<BTreeMap<String, String>>,
        "Labels" omitempty => labels: Option<BTreeMap<String, String>>,
        "Name" omitempty => name: String,
    }

    /// Answer to `GET /volumes`.
    pub struct VolumeListResponse {
        "Volumes" => volumes: Option<Vec<Volume>>,
        "Warnings" => warnings: Option<Vec<String>>,
    }

    /// Answer to `POST /volumes/prune`.
    pub struct VolumePruneResponse {
        "VolumesDeleted" => volumes_deleted: Option<Vec<String>>,
        "SpaceReclaimed" => space_reclaimed: u64,
    }
}
