//! `images`: lists images.

use api::{ImageListQuery, ImageSummary};
use client::Method;

use super::super::{Context, Failure, Outcome, list, output, values};
use super::image_tree;
use crate::format::{Clock, Format, image};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    pub repository: Option<String>,
    /// Show all images (default hides intermediate images)
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter", value_parser = values::filter)]
    filter: Vec<(String, String)>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long)]
    pub format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// List multi-platform images as a tree
    #[arg(long)]
    tree: bool,
}

/// Lists.
pub async fn run(context: &Context, args: Args) -> Outcome {
    if args.tree {
        let others = [
            (args.quiet, "--quiet"),
            (args.no_trunc, "--no-trunc"),
            (args.digests, "--show-digest"),
            (args.format.is_some(), "--format"),
        ];
        if let Some((_, other)) = others.iter().find(|(given, _)| *given) {
            return Err(Failure::new(1, format!("{other} is not yet supported with --tree")).into());
        }
    }
    let wanted = list::wanted(context, args.format.as_deref(), args.quiet, "imagesFormat");
    let mut filters = values::filters(&args.filter);
    if let Some(repository) = &args.repository {
        filters.add("reference", repository);
    }
    let query = ImageListQuery { all: args.all, manifests: args.tree, filters, ..ImageListQuery::default() };
    let request = context.client()?.request(Method::GET, "/images/json").parameters(&query);
    let images: Vec<ImageSummary> = request.json().await?;
    if args.tree {
        output::print(&image_tree::draw(&images))?;
        return Ok(0);
    }
    let format = Format::parse(&image::format(&wanted, args.quiet, args.digests));
    let clock = Clock::system();
    let rows =
        images.iter().flat_map(|image| image::rows(image, !args.no_trunc, args.digests, &format, &clock));
    list::print(&image::KIND, &format, rows)?;
    Ok(0)
}
