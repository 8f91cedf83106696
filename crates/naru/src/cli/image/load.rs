//! `load`: reads images from a tar archive.

use api::ImageLoadQuery;
use client::{Body, Lines, Method};

use super::super::pull_image::{self, Draw};
use super::super::{Context, Failure, Outcome, file, output, platform};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Read from tar archive file, instead of STDIN
    #[arg(short, long)]
    input: Option<String>,
    /// Load only the given platform(s): "os[/arch[/variant]]"
    #[arg(long)]
    platform: Vec<String>,
    /// Suppress the load output
    #[arg(short, long)]
    quiet: bool,
}

/// Loads, and prints what the engine says about it.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let body = match args.input.as_deref().filter(|path| !path.is_empty()) {
        Some(path) => Body::reader(file::open(path).await?),
        None if term::tty::is_terminal(std::io::stdin()) => {
            return Err(Failure::new(1, "requested load from stdin, but stdin is empty").into());
        }
        None => Body::reader(tokio::io::stdin()),
    };
    // Bars are for people.
    let quiet = args.quiet || !term::tty::is_terminal(std::io::stdout());
    let query = ImageLoadQuery { quiet, platform: platform::json_all(&args.platform)? };
    let request = context.client()?.request(Method::POST, "/images/load").parameters(&query);
    let request = request.header("content-type", "application/x-tar").body(body);
    let mut response = request.send().await?;
    if response.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        pull_image::draw_all(Lines::new(response), Draw::Stdout).await?;
        return Ok(0);
    }
    while let Some(chunk) = response.chunk().await? {
        output::bytes(&chunk)?;
    }
    Ok(0)
}
