//! Containers: one file per operation. `model` is a container in memory, `registry` all of them.

mod archive;
mod attach;
mod changes;
mod commit;
pub(crate) mod create;
mod events;
mod exec;
mod export;
mod inspect;
mod kill;
mod list;
mod logs;
pub(crate) mod model;
pub(crate) mod modes;
pub(crate) mod mounts;
pub(crate) mod name;
mod pause;
mod prune;
pub(crate) mod record;
pub(crate) mod registry;
mod remove;
mod rename;
mod resize;
pub(crate) mod security;
pub(crate) mod spec;
mod start;
mod stats;
pub(crate) mod status;
mod stop;
mod top;
mod update;
mod uses;
mod wait;

pub use attach::{AttachOptions, Attachment, ClientStream};
pub use logs::Logs;
pub use uses::ContainerUse;
