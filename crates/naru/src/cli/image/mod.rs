//! Verbs about images, one file each.

pub mod cat;
pub mod contents;
pub mod copy;
pub mod diff;
mod files;
pub mod history;
mod image_tree;
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
