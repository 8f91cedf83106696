//! `import`: makes an image of a tar archive of files.

use api::ImageCreateQuery;
use client::{Body, Lines, Method};
use image::Reference;

use super::super::pull_image::{self, Draw};
use super::super::{Context, Outcome, file};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    source: String,
    name: Option<String>,
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long)]
    change: Vec<String>,
    /// Set commit message for imported image
    #[arg(short, long)]
    message: Option<String>,
    /// Set platform if server is multi-platform capable
    #[arg(long)]
    platform: Option<String>,
}

/// Imports, and prints the image's id.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let is_url = ["http://", "https://"].iter().any(|scheme| args.source.starts_with(scheme));
    let (from_src, body) = match args.source.as_str() {
        "-" => ("-".to_owned(), Body::reader(tokio::io::stdin())),
        // The engine fetches it.
        url if is_url => (url.to_owned(), Body::Empty),
        path => ("-".to_owned(), Body::reader(file::open(path).await?)),
    };
    let repo = args.name.unwrap_or_default();
    if !repo.is_empty() {
        Reference::parse(&repo)?;
    }
    let query = ImageCreateQuery {
        from_src,
        repo,
        message: args.message.unwrap_or_default(),
        changes: args.change,
        platform: args.platform.or_else(|| context.globals().default_platform.clone()).unwrap_or_default(),
        ..ImageCreateQuery::default()
    };
    let request = context.client()?.request(Method::POST, "/images/create").parameters(&query);
    pull_image::draw_all(Lines::new(request.body(body).send().await?), Draw::Stdout).await?;
    Ok(0)
}
