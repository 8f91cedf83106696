//! `naru oci` from outside, as an engine drives it: one process a verb. Needs root and busybox-static.

mod exec;
mod hooks;
mod life;
mod peers;
mod verbs;
mod world;
