//! The product from outside: Naru's CLI and the stock `docker` client against a real engine, each test in a world of its own
//! (see `world`). Needs root, util-linux, iproute2, busybox-static and the docker client.

mod bad_input;
mod containers;
mod engine;
mod full_disk;
mod image_archives;
mod image_contents;
mod image_copy;
mod images;
mod loot;
mod manifests;
mod network;
mod power;
mod registries;
mod registry;
mod remote;
mod storage;
mod world;
