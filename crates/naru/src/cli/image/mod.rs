//! Verbs about images, one file each.

pub mod cat;
pub mod contents;
pub mod diff;
mod files;
pub mod history;
pub mod images;
pub mod import;
pub mod inspect;
pub mod load;
pub mod log;
pub mod ls;
pub mod prune;
pub mod pull;
pub mod push;
pub mod rm;
pub mod save;
pub mod tag;
pub mod tree;
pub mod verify;
