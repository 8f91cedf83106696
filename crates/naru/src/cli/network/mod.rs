//! Verbs about networks, one file each.

pub mod connect;
pub mod create;
pub mod disconnect;
pub mod doctor;
pub mod inspect;
pub mod ls;
pub mod prune;
pub mod rm;
mod subnets;
