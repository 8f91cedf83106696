//! Attacks on the runtime from inside a container, from its image, its volumes and its configuration. Each test does what the
//! attack does, shows that it got as far as it can, and that it was stopped; without the defence it fails.

mod binds;
mod descriptors;
mod devices;
mod exe;
mod kernel;
mod keys;
mod privileges;
mod proc;
mod races;
mod trace;
