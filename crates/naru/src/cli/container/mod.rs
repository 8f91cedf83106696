//! Verbs about containers, one file each.

pub mod kill;
pub mod logs;
pub mod ls;
pub mod pause;
pub mod restart;
pub mod rm;
pub mod stop;
pub mod unpause;
pub mod wait;
