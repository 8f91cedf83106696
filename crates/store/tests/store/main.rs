//! The store from outside: real archives, real file systems, real peers (skopeo, umoci, podman) where they are installed.

mod archives;
mod browse;
mod commits;
mod crash;
mod images;
mod inspect;
mod layers;
mod limits;
mod peers;
mod power;
mod repair;
mod skeleton;
mod snapshots;
mod tree;
mod world;
