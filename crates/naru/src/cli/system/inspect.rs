//! `inspect`: describes whatever has this name, of any kind or of one.

use client::Method;

use super::super::{Context, Failure, Outcome, inspect, output, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    names: Vec<String>,
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short, long)]
    size: bool,
    /// Only inspect objects of the given type
    #[arg(long = "type")]
    kind: Option<String>,
}

/// Kind, its group in paths, what follows the name there, and whether it is looked for when no kind is named.
const KINDS: &[(&str, &str, &str, bool)] = &[
    ("container", "containers", "/json", true),
    ("image", "images", "/json", true),
    ("network", "networks", "", true),
    ("volume", "volumes", "", true),
    ("plugin", "plugins", "/json", true),
    ("service", "services", "", false),
    ("task", "tasks", "", false),
    ("node", "nodes", "", false),
    ("secret", "secrets", "", false),
    ("config", "configs", "", false),
];

/// Describes all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let wanted = args.kind.as_deref();
    if let Some(kind) = wanted.filter(|kind| !KINDS.iter().any(|(known, ..)| known == kind)) {
        return Err(Failure::new(
            1,
            format!("unknown type: \"{kind}\": must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\""),
        )
        .into());
    }
    inspect::run(args.format.as_deref(), &args.names, async |name| {
        find(context, name, wanted, args.size).await
    })
    .await
}

async fn find(context: &Context, name: &str, wanted: Option<&str>, size: bool) -> anyhow::Result<Vec<u8>> {
    let client = context.client()?;
    for (kind, group, rest, common) in KINDS {
        if !wanted.map_or(*common, |wanted| wanted == *kind) {
            continue;
        }
        let mut request = client.request(Method::GET, path::object(group, kind, name, rest)?);
        if size && *kind == "container" {
            request = request.query("size", 1);
        }
        match request.bytes().await {
            Ok(json) => {
                if size && *kind != "container" {
                    output::warn(&format!("WARNING: --size ignored for {kind}"));
                }
                return Ok(json.to_vec());
            }
            Err(error) if wanted.is_none() && error.kind().is_some() && is_elsewhere(&error) => (),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::new(1, format!("Error: No such object: {name}")).into())
}

/// An engine without this object, without this kind of object, or whose names of this kind look otherwise.
fn is_elsewhere(error: &client::Error) -> bool {
    use api::ErrorKind::{InvalidParameter, NotFound, NotImplemented, Unavailable};
    matches!(error.kind(), Some(NotFound | NotImplemented | Unavailable | InvalidParameter))
}
