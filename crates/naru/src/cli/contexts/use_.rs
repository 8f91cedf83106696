//! `context use`: commands go to another engine from now on.

use super::super::{Context, Outcome, output};
use super::store::{self, DEFAULT, Store};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    name: String,
}

/// Changes config.json.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let name = args.name.as_str();
    if name != DEFAULT {
        store::check_name(name)?;
        Store::of(context).read(name)?;
    }
    store::set_current(context, name)?;
    output::line(name)?;
    output::warn(&format!("Current context is now \"{name}\""));
    if name != DEFAULT && context.globals().settings.host_variable.is_some() {
        output::warn(&format!(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use \"{name}\", either set the global --context flag, or unset DOCKER_HOST environment variable."
        ));
    }
    Ok(0)
}
