//! `image verify`: whether everything of an image is what its digests say.

use api::ImageDamage;
use client::Method;

use super::super::{Context, Outcome};
use super::contents::{self, FormatArgs, Shape};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    images: Vec<String>,
    #[command(flatten)]
    shape: FormatArgs,
}

/// Names what is missing or wrong; exits with 1 if anything is.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let shape = Shape::parse(args.shape.format.as_deref())?;
    let client = context.client()?;
    let mut code = 0;
    for image in &args.images {
        let request = client.request(Method::GET, contents::image(image, "/verify")?);
        let damage: Vec<ImageDamage> = request.json().await?;
        if !damage.is_empty() {
            code = 1;
        }
        shape.print(&damage, |damage| match damage {
            [] => format!("{image}: sound\n"),
            damage => damage.iter().map(|part| format!("{image}: {}\n", text(part))).collect(),
        })?;
    }
    Ok(code)
}

fn text(damage: &ImageDamage) -> String {
    let ImageDamage { blob, layer, path, problem } = damage;
    match (blob.as_str(), path.as_str()) {
        ("", "") => format!("layer {layer} {problem}"),
        ("", path) => format!("layer {layer}: {path} {problem}"),
        (blob, _) => format!("blob {blob} {problem}"),
    }
}
