//! `push`: uploads an image.

use api::ImagePushQuery;
use client::{Lines, Method};

use super::super::pull_image::{self, Draw};
use super::super::registry_auth::{self, Purpose};
use super::super::transfer::Transfer;
use super::super::{Context, Outcome, output, path, platform};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    transfer: Transfer,
    /// Push all tags of an image to the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Push a platform-specific manifest as a single-platform image: "os[/arch[/variant]]"
    #[arg(long)]
    platform: Option<String>,
    /// Pack the layers anew, which changes the digest: "zstd[:LEVEL]" or "gzip[:LEVEL]"
    #[arg(long)]
    compression: Option<String>,
}

const PLATFORM_NOTE: &str =
    "Using --platform pushes only the specified platform manifest of a multi-platform image index.
Other components, like attestations, will not be included.
To push the complete multi-platform image, remove the --platform flag.
";

/// What the engine tells when only one platform's manifest could be pushed.
fn instead_of_index(aux: &serde_json::Value) -> Option<String> {
    let digest = |key: &str| aux.get(key)?.get("digest")?.as_str();
    let (index, manifest) = (digest("originalIndex")?, digest("selectedManifest")?);
    Some(format!(
        "Not all multiplatform-content is present and only the available single-platform image was pushed\n{index} -> {manifest}"
    ))
}

/// Pushes; draws the engine's progress.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let quiet = args.transfer.quiet;
    let reference = args.transfer.reference(args.all_tags)?;
    let query = ImagePushQuery {
        tag: reference.tag.clone().unwrap_or_default(),
        platform: args.platform.as_deref().map(platform::json).transpose()?.unwrap_or_default(),
        compression: args.compression.unwrap_or_default(),
    };
    if args.platform.is_some() && !quiet {
        output::note(PLATFORM_NOTE)?;
    }
    let path = path::image(&reference.familiar_name(), "/push")?;
    let request = context.client()?.request(Method::POST, path).parameters(&query);
    let auth = registry_auth::header(context, &reference.registry, Purpose::Write).await?;
    let response = request.header(registry_auth::HEADER, auth).send().await?;
    let draw = if quiet { Draw::Quiet } else { Draw::Stdout };
    let mut notes = Vec::new();
    pull_image::draw_with(Lines::new(response), draw, |aux| notes.extend(instead_of_index(aux))).await?;
    if !quiet {
        notes.iter().try_for_each(|note| output::note(note))?;
    }
    if quiet {
        output::line(&reference.to_string())?;
    }
    Ok(0)
}
