//! Images on the wire, with the few OCI objects that the Engine API shows as they are.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::container::{ContainerConfig, DriverData, HealthConfig, Set};
use crate::go::model;
use crate::host_config::StrSlice;

model! {
    /// Answer to `GET /images/{name}/json`.
    pub struct ImageInspect {
        "Id" => id: String,
        "RepoTags" => repo_tags: Option<Vec<String>>,
        "RepoDigests" => repo_digests: Option<Vec<String>>,
        "Parent" => parent: String,
        "Comment" => comment: String,
        "Created" omitempty => created: String,
        /// Before 1.45 only.
        "Container" omitempty => container: String,
        /// Before 1.45 only.
        "ContainerConfig" omitempty => container_config: Option<ContainerConfig>,
        "DockerVersion" => docker_version: String,
        "Author" => author: String,
        "Config" => config: Option<ImageConfig>,
        "Architecture" => architecture: String,
        "Variant" omitempty => variant: String,
        "Os" => os: String,
        "OsVersion" omitempty => os_version: String,
        "Size" => size: i64,
        /// Before 1.44 only.
        "VirtualSize" omitempty => virtual_size: i64,
        "GraphDriver" => graph_driver: DriverData,
        "RootFS" => root_fs: ImageRootFs,
        "Metadata" => metadata: ImageMetadata,
        /// From 1.48.
        "Descriptor" omitempty => descriptor: Option<OciDescriptor>,
        /// From 1.48.
        "Manifests" omitempty => manifests: Option<Vec<ImageManifestSummary>>,
    }

    /// An image's run configuration (`DockerOCIImageConfig`), with the empty fields that versions up to 1.51 show.
    pub struct ImageConfig {
        /// Before 1.50 only, like the other fields of a container below: always empty.
        "Hostname" omitempty => hostname: Option<String>,
        "Domainname" omitempty => domainname: Option<String>,
        "User" => user: String,
        "AttachStdin" omitempty => attach_stdin: Option<bool>,
        "AttachStdout" omitempty => attach_stdout: Option<bool>,
        "AttachStderr" omitempty => attach_stderr: Option<bool>,
        "ExposedPorts" omitempty => exposed_ports: Option<Set>,
        "Tty" omitempty => tty: Option<bool>,
        "OpenStdin" omitempty => open_stdin: Option<bool>,
        "StdinOnce" omitempty => stdin_once: Option<bool>,
        "Env" => env: Option<Vec<String>>,
        "Cmd" => cmd: Option<StrSlice>,
        "Healthcheck" omitempty => healthcheck: Option<HealthConfig>,
        "ArgsEscaped" omitempty => args_escaped: bool,
        "Image" omitempty => image: Option<String>,
        "Volumes" => volumes: Option<Set>,
        "WorkingDir" => working_dir: String,
        "Entrypoint" => entrypoint: Option<StrSlice>,
        "OnBuild" => on_build: Option<Vec<String>>,
        "Labels" => labels: Option<BTreeMap<String, String>>,
        "StopSignal" omitempty => stop_signal: String,
        "Shell" omitempty => shell: Option<StrSlice>,
    }

    /// Layers of an image, bottom first, by diff id.
    pub struct ImageRootFs {
        "Type" omitempty => typ: String,
        "Layers" omitempty => layers: Option<Vec<String>>,
    }

    /// What the engine knows about an image beyond its content.
    pub struct ImageMetadata {
        /// RFC 3339; Go's zero time when never tagged here.
        "LastTagTime" => last_tag_time: String,
    }

    /// A line of `docker images`.
    pub struct ImageSummary {
        /// Containers that use it, -1 = not counted.
        "Containers" => containers: i64,
        /// Unix seconds.
        "Created" => created: i64,
        "Id" => id: String,
        "Labels" => labels: Option<BTreeMap<String, String>>,
        "ParentId" => parent_id: String,
        "Descriptor" omitempty => descriptor: Option<OciDescriptor>,
        "Manifests" omitempty => manifests: Option<Vec<ImageManifestSummary>>,
        "RepoDigests" => repo_digests: Option<Vec<String>>,
        "RepoTags" => repo_tags: Option<Vec<String>>,
        /// Bytes shared with other images, -1 = not counted.
        "SharedSize" => shared_size: i64,
        "Size" => size: i64,
        /// Before 1.44 only.
        "VirtualSize" omitempty => virtual_size: i64,
    }

    /// One manifest of an image index.
    pub struct ImageManifestSummary {
        "ID" => id: String,
        "Descriptor" => descriptor: OciDescriptor,
        "Available" => available: bool,
        "Size" => size: ImageManifestSize,
        /// image, attestation or unknown.
        "Kind" => kind: String,
        "ImageData" omitempty => image_data: Option<ImageManifestImageData>,
        "AttestationData" omitempty => attestation_data: Option<ImageManifestAttestationData>,
    }

    /// Bytes of a manifest's content.
    pub struct ImageManifestSize {
        "Content" => content: i64,
        "Total" => total: i64,
    }

    /// Of a manifest with kind `image`.
    pub struct ImageManifestImageData {
        "Platform" => platform: OciPlatform,
        "Size" => size: ImageManifestUnpackedSize,
        "Containers" => containers: Option<Vec<String>>,
    }

    /// Bytes once unpacked.
    pub struct ImageManifestUnpackedSize {
        "Unpacked" => unpacked: i64,
    }

    /// Of a manifest with kind `attestation`.
    pub struct ImageManifestAttestationData {
        "For" => subject: String,
    }

    /// A step of an image's history, newest first.
    pub struct ImageHistoryResponseItem {
        "Comment" => comment: String,
        /// Unix seconds.
        "Created" => created: i64,
        "CreatedBy" => created_by: String,
        /// `<missing>` for steps without an image of their own.
        "Id" => id: String,
        "Size" => size: i64,
        "Tags" => tags: Option<Vec<String>>,
    }

    /// One outcome of `DELETE /images/{name}`.
    pub struct ImageDeleteResponseItem {
        "Deleted" omitempty => deleted: String,
        "Untagged" omitempty => untagged: String,
    }

    /// Answer to `POST /images/prune`.
    pub struct ImagePruneResponse {
        "ImagesDeleted" => images_deleted: Option<Vec<ImageDeleteResponseItem>>,
        "SpaceReclaimed" => space_reclaimed: u64,
    }

    /// One find of `GET /images/search`.
    pub struct ImageSearchResponseItem {
        "star_count" => star_count: i64,
        "is_official" => is_official: bool,
        "name" => name: String,
        "is_automated" => is_automated: bool,
        "description" => description: String,
    }

    /// Answer to `GET /distribution/{name}/json`.
    pub struct DistributionInspect {
        "Descriptor" => descriptor: OciDescriptor,
        "Platforms" => platforms: Option<Vec<OciPlatform>>,
    }

    /// OCI content descriptor (image-spec `descriptor.md`).
    pub struct OciDescriptor {
        "mediaType" => media_type: String,
        "digest" => digest: String,
        "size" => size: i64,
        "urls" omitempty => urls: Option<Vec<String>>,
        "annotations" omitempty => annotations: Option<BTreeMap<String, String>>,
        "data" omitempty => data: String,
        "platform" omitempty => platform: Option<OciPlatform>,
        "artifactType" omitempty => artifact_type: String,
    }

    /// OCI platform (image-spec `image-index.md`).
    pub struct OciPlatform {
        "architecture" => architecture: String,
        "os" => os: String,
        "os.version" omitempty => os_version: String,
        "os.features" omitempty => os_features: Option<Vec<String>>,
        "variant" omitempty => variant: String,
    }

    /// A line of the streams of pull, push, load, import and build (Go's `jsonmessage.JSONMessage`).
    pub struct JsonMessage {
        "stream" omitempty => stream: String,
        "status" omitempty => status: String,
        "progressDetail" omitempty => progress_detail: Option<ProgressDetail>,
        /// The bar as text; before 1.48 only.
        "progress" omitempty => progress: String,
        "id" omitempty => id: String,
        "from" omitempty => from: String,
        "time" omitempty => time: i64,
        "timeNano" omitempty => time_nano: i64,
        "errorDetail" omitempty => error_detail: Option<ErrorDetail>,
        /// The message of `errorDetail` once more.
        "error" omitempty => error: String,
        "aux" omitempty => aux: Option<Value>,
    }

    /// Where a transfer stands; bytes unless `units` says otherwise. `{}` is written for lines without a bar.
    pub struct ProgressDetail {
        "current" omitempty => current: i64,
        "total" omitempty => total: i64,
        "start" omitempty => start: i64,
        "hidecounts" omitempty => hide_counts: bool,
        "units" omitempty => units: String,
    }

    /// An error within a stream.
    pub struct ErrorDetail {
        "code" omitempty => code: i64,
        "message" omitempty => message: String,
    }
}
