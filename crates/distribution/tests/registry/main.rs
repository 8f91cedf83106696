//! The registry client against Debian's docker-registry, a token server and a network that fails.

mod auth;
mod ecr;
mod faults;
mod mirrors;
mod proxies;
mod pull;
mod push;
mod tls;
mod world;
