//! `manifest rm`: forgets lists in the making.

use super::super::{Context, Outcome, each, failure};
use super::store::Store;

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    lists: Vec<String>,
}

/// Forgets all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let store = Store::new(context);
    let remove = |text: &String| store.remove(&super::reference(text)?);
    let errors = args.lists.iter().filter_map(|list| remove(list).err());
    each::finish(errors.map(|error| failure::text(&error)).collect())
}
