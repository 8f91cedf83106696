//! The Engine API as data: version 1.51's objects with Go's JSON semantics, query parameters, filters, stream framing,
//! version numbers and error kinds. Shared by server and client; does no I/O and makes no decisions.
//!
//! Struct names follow the swagger definitions, field order and `omitempty` follow moby's Go types. Types are at the root of
//! the crate; the modules are only how the files are cut.
#![forbid(unsafe_code)]

pub mod case;
pub mod container;
pub mod error;
pub mod event;
pub mod exec;
pub mod filters;
pub mod go;
pub mod host_config;
pub mod image;
pub mod image_contents;
pub mod network;
pub mod network_doctor;
pub mod query;
pub mod stats;
pub mod stream;
pub mod system;
pub mod version;
pub mod volume;

pub use container::*;
pub use error::ErrorKind;
pub use event::*;
pub use exec::*;
pub use filters::Filters;
pub use host_config::*;
pub use image::*;
pub use image_contents::*;
pub use network::*;
pub use network_doctor::*;
pub use query::*;
pub use stats::*;
pub use system::*;
pub use version::ApiVersion;
pub use volume::*;
