//! `context inspect`: what is remembered of engines.

use serde_json::{Map, Value, json};

use super::super::{Context, Outcome, inspect};
use super::store::{DEFAULT, Endpoint, Meta, Store};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    names: Vec<String>,
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
}

/// Describes all of them; without names the one in use.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let current = [context.globals().settings.context_name(context.config())];
    let names = if args.names.is_empty() { &current[..] } else { &args.names };
    inspect::run(args.format.as_deref(), names, async |name| describe(context, name)).await
}

fn describe(context: &Context, name: &str) -> anyhow::Result<Vec<u8>> {
    let store = Store::of(context);
    let in_memory = || Value::from("<IN MEMORY>");
    let (meta, meta_path, tls_path) = match name {
        DEFAULT => {
            let mut meta = Meta { name: DEFAULT.to_owned(), ..Meta::default() };
            let endpoint = Endpoint { host: super::default_host(context), skip_tls_verify: false };
            meta.endpoints.insert("docker".to_owned(), endpoint);
            (meta, in_memory(), in_memory())
        }
        name => {
            let path = |path: std::path::PathBuf| Value::from(path.to_string_lossy());
            (store.read(name)?, path(store.meta_folder(name)), path(store.tls_folder(name)))
        }
    };
    let files: Vec<&str> = store.read_tls(name).iter().map(|(file, _)| *file).collect();
    let mut tls = Map::new();
    if !files.is_empty() {
        tls.insert("docker".to_owned(), json!(files));
    }
    // By hand: the order of keys is part of the output.
    Ok(format!(
        "{{\"Name\":{},\"Metadata\":{},\"Endpoints\":{},\"TLSMaterial\":{},\"Storage\":{{\"MetadataPath\":{meta_path},\"TLSPath\":{tls_path}}}}}",
        json!(meta.name),
        serde_json::to_string(&meta.metadata)?,
        serde_json::to_string(&meta.endpoints)?,
        Value::Object(tls)
    )
    .into_bytes())
}
