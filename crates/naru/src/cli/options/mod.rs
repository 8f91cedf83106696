//! The flags of `run` and `create`, from words to the body of `POST /containers/create`. Every flag's own syntax is parsed
//! where clap meets it (the modules below); what depends on several flags is decided in [`request`]. Defaults, wording of
//! errors and wire form are those of Docker's client.

mod csv;
mod device;
mod env;
mod flags;
mod mount;
mod network;
mod port;
mod request;
mod resource;
mod security;
#[cfg(test)]
mod tests;

pub use env::{env_flag, environment};
pub use flags::ContainerFlags;
pub use request::Surroundings;
