//! `naru oci` from outside, as an engine drives it: one process a verb. Needs root and busybox-static.

mod attack;
mod containerd;
mod engines;
mod exec;
mod hooks;
mod kill;
mod life;
mod peers;
mod podman;
mod refusals;
mod rootless;
mod seccomp;
mod systemd;
mod user_systemd;
mod users;
mod verbs;
mod world;
