//! `manifest inspect`: a list in the making, or a manifest or list at its registry.

use super::super::{Context, Failure, Outcome, output};
use super::model::{self, ImageManifest};
use super::remote::{self, Found};
use super::store::Store;

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// A manifest, or a list and one of its manifests.
    #[arg(required = true, num_args = 1..=2)]
    names: Vec<String>,
    /// Allow communication with an insecure registry
    #[arg(long)]
    insecure: bool,
    /// Output additional info including layers and platform
    #[arg(short, long)]
    verbose: bool,
}

/// Shows it.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let name = super::reference(args.names.last().map_or("", String::as_str))?;
    let store = Store::new(context);
    if let [list, _] = &args.names[..] {
        let list = super::reference(list)?;
        let found = store.get(&list, &name)?;
        let manifest = found.ok_or_else(|| Failure::new(1, format!("No such manifest: {name} in {list}")))?;
        return show(&manifest, args.verbose);
    }
    if let Some(manifests) = store.list(&name)? {
        return show_list(&manifests, args.verbose);
    }
    let access = remote::access(context, &name, args.insecure)?;
    match remote::find(&access, &name).await? {
        Found::Manifest(manifest) => show(&manifest, args.verbose),
        Found::List(manifests) => show_list(&manifests, args.verbose),
    }
}

fn show(manifest: &ImageManifest, verbose: bool) -> Outcome {
    let json = match verbose {
        true => serde_json::to_string(manifest)?,
        false => String::from_utf8(manifest.bytes()?)?,
    };
    output::line(&model::indent(&json, "\t"))?;
    Ok(0)
}

fn show_list(manifests: &[ImageManifest], verbose: bool) -> Outcome {
    let text = match verbose {
        true => model::indent(&serde_json::to_string(manifests)?, "\t"),
        false => String::from_utf8(model::list(manifests)?.1)?,
    };
    output::line(&text)?;
    Ok(0)
}
