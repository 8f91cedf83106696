//! `image ls`: lists images as `images` does; with a path, the files of one.

use super::super::{Context, Outcome};
use super::{files, images};

/// Flags.
#[derive(clap::Args)]
// Two structs of the same name would be two groups of the same name.
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    list: images::Args,
    path: Option<String>,
}

/// Lists.
pub async fn run(context: &Context, args: Args) -> Outcome {
    match (&args.list.repository, &args.path) {
        (Some(image), Some(path)) => {
            files::run(context.client()?, image, path, args.list.format.as_deref()).await
        }
        _ => images::run(context, args.list).await,
    }
}
