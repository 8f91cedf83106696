//! Progress of pull, push, load and import: drawn as it arrives.

use api::JsonMessage;
use client::{Lines, Response};

use super::{Failure, output};

/// Draws an answer that is a stream of messages; an error in it is the command's error. `quiet` draws nothing.
pub async fn show(response: Response, quiet: bool) -> anyhow::Result<()> {
    let mut messages = Lines::<JsonMessage>::new(response);
    let stdout = std::io::stdout();
    let columns = term::tty::is_terminal(&stdout).then(|| {
        let size = term::tty::size(&stdout).filter(|size| size.width > 0);
        size.map_or(200, |size| usize::from(size.width))
    });
    let mut progress = term::progress::Progress::new(columns);
    while let Some(message) = messages.next().await? {
        let now = jiff::Timestamp::now().as_second();
        let text = progress.draw(&message, now).map_err(|error| Failure::new(1, error))?;
        if !quiet && !text.is_empty() {
            output::print(&text)?;
        }
    }
    Ok(())
}
