//! Verbs about images, one file each.

pub mod load;
pub mod ls;
pub mod pull;
pub mod rm;
pub mod save;
pub mod tag;
