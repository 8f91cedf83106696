//! `manifest create`: a list of manifests that registries have.

use super::super::{Context, Failure, Outcome, output};
use super::remote::{self, Found};
use super::store::Store;

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    list: String,
    #[arg(required = true)]
    manifests: Vec<String>,
    /// Amend an existing manifest list
    #[arg(short, long)]
    amend: bool,
    /// Allow communication with an insecure registry
    #[arg(long)]
    insecure: bool,
}

/// Asks the registries, and keeps the list for `push`.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let list = super::reference(&args.list)?;
    let store = Store::new(context);
    if store.list(&list)?.is_some() && !args.amend {
        let text = "refusing to amend an existing manifest list with no --amend flag";
        return Err(Failure::new(1, text).into());
    }
    for text in &args.manifests {
        let name = super::reference(text)?;
        let known = store.get(&list, &name)?;
        let manifest = match known {
            Some(manifest) => manifest,
            None => {
                let access = remote::access(context, &name, args.insecure)?;
                match remote::find(&access, &name).await? {
                    Found::Manifest(manifest) => *manifest,
                    Found::List(_) => {
                        return Err(Failure::new(1, format!("{name} is a manifest list")).into());
                    }
                }
            }
        };
        store.save(&list, &name, &manifest)?;
    }
    output::line(&format!("Created manifest list {list}"))?;
    Ok(0)
}
