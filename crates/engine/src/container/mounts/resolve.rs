//! Makes what mounts need.
