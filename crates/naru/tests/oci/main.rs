//! `naru oci` from outside, as an engine drives it: one process a verb. Needs root and busybox-static.

mod life;
mod world;
