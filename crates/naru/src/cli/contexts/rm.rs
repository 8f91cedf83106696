//! `context rm`: forgets engines.

use super::super::{Context, Failure, Outcome, each, output};
use super::store::{self, DEFAULT, Store};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    names: Vec<String>,
    /// Force the removal of a context in use
    #[arg(short, long)]
    force: bool,
}

/// Forgets all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let current = context.globals().settings.context_name(context.config());
    let mut errors = Vec::new();
    for name in &args.names {
        match remove(context, name, name == &current, args.force) {
            Ok(()) => output::line(name)?,
            Err(error) => errors.push(error.to_string()),
        }
    }
    each::finish(errors)
}

fn remove(context: &Context, name: &str, is_current: bool, force: bool) -> anyhow::Result<()> {
    if name == DEFAULT {
        return Err(Failure::new(1, "context \"default\" cannot be removed").into());
    }
    let store = Store::of(context);
    if !force && !store.has(name) {
        return Err(Failure::new(1, format!("context \"{name}\" does not exist")).into());
    }
    if is_current {
        if !force {
            let text = format!("context \"{name}\" is in use, set -f flag to force remove");
            return Err(Failure::new(1, text).into());
        }
        // A current context that is gone would make every command fail.
        store::set_current(context, DEFAULT)?;
    }
    store.remove(name)
}
