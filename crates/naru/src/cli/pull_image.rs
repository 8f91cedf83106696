//! Pulling an image: what `run`, `create` and `pull` share.

use api::{ImageCreateQuery, JsonMessage};
use client::{Lines, Method};
use image::Reference;
use term::progress::Progress;

use super::Context;
use super::registry_auth::{self, Purpose};

/// Where progress is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// Standard output: pulling is what the user asked for.
    Stdout,
    /// Standard error: standard output belongs to a container.
    Stderr,
    /// Nowhere.
    Quiet,
}

/// Pulls one image by reference and draws the progress.
pub async fn pull(
    context: &Context,
    reference: &Reference,
    platform: &str,
    draw: Draw,
) -> anyhow::Result<()> {
    let query = ImageCreateQuery {
        from_image: reference.familiar_name(),
        tag: match (&reference.digest, &reference.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_default(),
        },
        platform: platform.to_owned(),
        ..ImageCreateQuery::default()
    };
    let mut request = context.client()?.request(Method::POST, "/images/create").parameters(&query);
    if let Some(auth) = registry_auth::find(context, &reference.registry, Purpose::Read).await? {
        request = request.header(registry_auth::HEADER, auth.to_header());
    }
    draw_all(request.lines().await?, draw).await
}

/// Draws a stream of progress to its end. An error in the stream is the verb's error.
pub async fn draw_all(lines: Lines<JsonMessage>, draw: Draw) -> anyhow::Result<()> {
    draw_with(lines, draw, |_| ()).await
}

/// The same; `aux` gets what the stream says to programs.
pub async fn draw_with(
    mut lines: Lines<JsonMessage>,
    draw: Draw,
    mut aux: impl FnMut(&serde_json::Value),
) -> anyhow::Result<()> {
    let columns = match draw {
        Draw::Stdout => term::tty::size(rustix::stdio::stdout()),
        Draw::Stderr => term::tty::size(rustix::stdio::stderr()),
        Draw::Quiet => None,
    };
    let mut progress = Progress::new(columns.map(|size| usize::from(size.width)));
    while let Some(message) = lines.next().await? {
        if let Some(value) = &message.aux {
            aux(value);
        }
        let now = jiff::Timestamp::now().as_second();
        let text = progress.draw(&message, now).map_err(anyhow::Error::msg)?;
        match draw {
            Draw::Stdout => super::output::print(&text)?,
            Draw::Stderr => super::output::print_error(&text),
            Draw::Quiet => {}
        }
    }
    Ok(())
}
