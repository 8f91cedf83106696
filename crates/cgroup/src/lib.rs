//! Control groups, version 1, version 2 and hybrid: create with limits, update, list, freeze, kill, remove, count. A [`Cgroup`] is
//! a name; what is true about it is in the kernel. Never decides limits, never leaves a half-made group behind.
//!
//! On v1 a container has one folder in each hierarchy that it needs (the memory, cpu, pids, … ones always; cpuset, hugetlb and the
//! like only with such a limit). On a hybrid host it has one in the v2 tree too: without controllers, but with `cgroup.kill`.
#![forbid(unsafe_code)]

mod details;
mod devices;
mod error;
mod files;
mod group;
mod host;
mod oom;
mod resources;
mod stats;
mod systemd;
mod v1;
mod v2;

pub use details::{Counter, Cpuset, Details};
pub use error::{Error, Result};
pub use group::{Cgroup, Entry};
pub use host::{Hierarchy, Host};
pub use oom::OomWatch;
pub use resources::*;
pub use stats::*;
pub use systemd::{Manager, Scope, StandIn};
