//! Verbs about containers, one file each.

pub mod commit;
pub mod cp;
mod cp_pack;
mod cp_plan;
mod cp_unpack;
pub mod diff;
pub mod export;
pub mod inspect;
pub mod kill;
pub mod logs;
pub mod ls;
pub mod pause;
pub mod port;
pub mod prune;
pub mod rename;
pub mod restart;
pub mod rm;
pub mod stats;
pub mod stop;
mod stopping;
pub mod top;
pub mod unpause;
pub mod update;
pub mod wait;
