//! `image rm`, `rmi`: removes names of images, and images without names.

use api::{ImageDeleteResponseItem, ImageRemoveQuery};
use client::Method;

use super::super::{Context, Failure, Outcome, failure, output, path, platform};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    images: Vec<String>,
    /// Force removal of the image
    #[arg(short, long)]
    force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    no_prune: bool,
    /// Remove only the given platform variant: "os[/arch[/variant]]"
    #[arg(long)]
    platform: Vec<String>,
}

/// Removes all of them, one after the other: what one leaves decides about the next. With `--force` an image that is not there
/// is told and no failure.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let platforms = platform::json_all(&args.platform)?;
    let query = ImageRemoveQuery { force: args.force, noprune: args.no_prune, platforms };
    let client = context.client()?;
    let (mut errors, mut fatal) = (Vec::new(), false);
    for name in &args.images {
        let request = client.request(Method::DELETE, path::image(name, "")?).parameters(&query);
        match request.json::<Vec<ImageDeleteResponseItem>>().await {
            Ok(items) => items.iter().try_for_each(|item| output::print(&text(item)))?,
            Err(error) => {
                fatal |= !error.is_not_found();
                errors.push(failure::text(&error.into()));
            }
        }
    }
    let text = errors.join("\n");
    match errors.is_empty() {
        true => Ok(0),
        false if args.force && !fatal => {
            output::warn(&text);
            Ok(0)
        }
        false => Err(Failure::new(1, text).into()),
    }
}

fn text(item: &ImageDeleteResponseItem) -> String {
    match item.deleted.is_empty() {
        true => format!("Untagged: {}\n", item.untagged),
        false => format!("Deleted: {}\n", item.deleted),
    }
}
