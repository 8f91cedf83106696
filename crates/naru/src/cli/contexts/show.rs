//! `context show`: the name of the context in use.

use super::super::{Context, Outcome, output};

/// No flags.
#[derive(clap::Args)]
pub struct Args {}

/// Prints it.
pub async fn run(context: &Context, _: Args) -> Outcome {
    output::line(&context.globals().settings.context_name(context.config()))?;
    Ok(0)
}
