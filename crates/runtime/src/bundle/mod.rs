//! Containers that are driven one command at a time, as runc's are: a bundle (a folder with `config.json`) becomes a container
//! with a folder of its own below a state root. Every command is a process of its own; what they share is that folder and what
//! the kernel knows.
//!
//! ```text
//!   create ─▶ creating ─▶ created ─ start ─▶ running ⇄ paused
//!                            └──────────┬───────┴───── the process ends ─▶ stopped ─ delete ─▶
//!
//!   <root>/<id>/state.json     written before and after the launch     Record
//!   <root>/<id>/start.sock     while the process waits to be started   gate
//! ```
//!
//! Status is never stored: it follows from whether the process lives (pid and start time), waits at its gate, is frozen.

mod config;
mod container;
mod create;
mod delete;
mod error;
mod place;
mod processes;
mod record;
mod store;

pub use config::{Bundle, process_plan, resources_plan};
pub use container::{Container, Status};
pub use create::{Create, Created};
pub use error::Error;
pub use place::{cgroup_path, scope};
pub use record::Record;
pub use store::Store;

pub use crate::error::reason;
