//! Making a container.

pub(crate) mod merge;
pub(crate) mod ports;
pub(crate) mod validate;
