//! `image inspect`: describes images.

use api::ImageInspectQuery;
use client::Method;

use super::super::{Context, Outcome, inspect, path, platform};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    images: Vec<String>,
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
    /// Inspect a specific platform of the multi-platform image: "os[/arch[/variant]]"
    #[arg(long)]
    platform: Option<String>,
}

/// Describes all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let client = context.client()?;
    let platform = args.platform.as_deref().map(platform::json).transpose()?.unwrap_or_default();
    let query = ImageInspectQuery { platform, ..ImageInspectQuery::default() };
    inspect::run(args.format.as_deref(), &args.images, async |name| {
        let request = client.request(Method::GET, path::image(name, "/json")?).parameters(&query);
        Ok(request.bytes().await?.to_vec())
    })
    .await
}
