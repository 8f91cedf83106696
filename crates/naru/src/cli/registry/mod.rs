//! Verbs about registries, one file each.

pub mod login;
pub mod logout;
mod prompt;
pub mod search;
