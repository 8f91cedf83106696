//! `context update`: changes what is remembered of an engine.

use super::super::{Context, Outcome, output};
use super::create::endpoint;
use super::store::{self, Store};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    name: String,
    /// Description of the context
    #[arg(long)]
    description: Option<String>,
    /// set the docker endpoint (default [])
    #[arg(long, value_name = "stringToString", value_delimiter = ',')]
    docker: Vec<String>,
}

/// Changes it.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let store = Store::of(context);
    store::check_name(&args.name)?;
    let mut meta = store.read(&args.name)?;
    if let Some(text) = args.description.filter(|text| !text.is_empty()) {
        meta.describe(&text);
    }
    if !args.docker.is_empty() {
        let (other, tls) = endpoint(&args.docker, context, &store)?;
        meta.endpoints.extend(other.endpoints);
        store.write_tls(&args.name, &tls)?;
    }
    store.write(&meta)?;
    output::line(&args.name)?;
    output::warn(&format!("Successfully updated context \"{}\"", args.name));
    Ok(0)
}
