//! The size of a container's terminal.

use api::*;
use monitor::protocol::Body;

use crate::Engine;
use crate::error::{Error, Result};

impl Engine {
    pub async fn container_resize(&self, id: &str, size: ResizeQuery) -> Result<()> {
        let container = self.containers.find(id)?;
        container.running_monitor()?.request(resize(None, &size)?).await?;
        let attributes = [("height", size.height.to_string()), ("width", size.width.to_string())];
        self.container_event(&container, "resize", &attributes);
        Ok(())
    }
}

/// The request for a terminal, of an exec or of the container.
pub(crate) fn resize(exec: Option<String>, size: &ResizeQuery) -> Result<Body> {
    let side = |value: i64| {
        u16::try_from(value).map_err(|_| Error::invalid(format!("invalid terminal size: {value}")))
    };
    Ok(Body::Resize { exec, width: side(size.width)?, height: side(size.height)? })
}
