//! Worlds for tests: a real registry, a real token server, a network that fails on purpose, images of any shape, a private CA.
//!
//! Everything is a guard: it picks a free port, keeps its files in a temporary folder, runs beside any number of others, and
//! is gone when dropped, also when the test panics or is killed. Synchronous, so that every crate's tests can use it. Needs
//! Debian's `docker-registry`, `apache2-utils` and `skopeo` where the docs say so. Never part of a product.
#![forbid(unsafe_code)]

mod forward;
mod http;
pub mod images;
mod moto;
mod pki;
mod proxy;
mod registry;
mod token;
mod user;

pub use forward::Forward;
pub use http::Seen;
pub use images::{Entry, ImageSpec, LayerSpec, Pushed};
pub use moto::Moto;
pub use pki::{Ca, Issued};
pub use proxy::{Fault, Proxy, When};
pub use registry::{Registry, RegistryBuilder};
pub use token::{TokenServer, User};
pub use user::ORDINARY_USER;

use std::time::{Duration, Instant};

/// Polls until `condition` holds; panics with `what` after ten seconds.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
