//! `commit`: makes an image of a container's files.

use api::{CommitQuery, IdResponse};
use client::Method;
use image::Reference;

use super::super::{Context, Failure, Outcome, output, values};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    container: String,
    name: Option<String>,
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(short, long)]
    author: Option<String>,
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long)]
    change: Vec<String>,
    /// Commit message
    #[arg(short, long)]
    message: Option<String>,
    /// Pause container during commit (default true)
    #[arg(short, long, action = clap::ArgAction::Set, num_args = 0..=1, default_value = "true", value_parser = values::boolean)]
    pause: bool,
}

/// Commits, and prints the image's id.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let (mut repo, mut tag) = (String::new(), String::new());
    if let Some(name) = args.name.filter(|name| !name.is_empty()) {
        let reference = Reference::parse(&name)?;
        if reference.digest.is_some() {
            return Err(Failure::new(1, "cannot commit to digest reference").into());
        }
        let reference = reference.with_default_tag();
        (repo, tag) = (reference.familiar_name(), reference.tag.unwrap_or_default());
    }
    let query = CommitQuery {
        container: args.container,
        repo,
        tag,
        comment: args.message.unwrap_or_default(),
        author: args.author.unwrap_or_default(),
        pause: (!args.pause).then_some(false),
        changes: args.change,
    };
    let image: IdResponse =
        context.client()?.request(Method::POST, "/commit").parameters(&query).json().await?;
    output::line(&image.id)?;
    Ok(0)
}
