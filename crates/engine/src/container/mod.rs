//! Containers: one file per operation. `model` is a container in memory, `registry` all of them.

mod archive;
mod attach;
mod changes;
mod commit;
pub(crate) mod create;
mod detach_keys;
mod events;
mod exec;
mod export;
mod identity;
mod inspect;
mod kill;
pub(crate) mod launch;
mod list;
mod listen;
pub(crate) mod live;
mod logs;
pub(crate) mod model;
pub(crate) mod modes;
pub(crate) mod mounts;
pub(crate) mod name;
mod pause;
mod prune;
pub(crate) mod record;
pub(crate) mod registry;
pub(crate) mod remove;
mod rename;
mod resize;
mod root;
#[cfg(test)]
mod root_tests;
pub(crate) mod security;
pub(crate) mod spec;
mod start;
pub(crate) mod state;
mod stats;
pub(crate) mod status;
mod stop;
mod top;
mod unlink;
mod update;
mod uses;
mod wait;

pub use attach::{AttachOptions, Attachment, ClientStream};
pub use logs::Logs;
pub use uses::ContainerUse;
