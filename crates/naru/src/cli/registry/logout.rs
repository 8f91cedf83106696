//! `logout`: forgets a registry's credentials.

use distribution::credentials::{HUB_KEY, hostname};

use super::super::{Context, Outcome, failure, output, registry_auth};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    server: Option<String>,
}

/// Forgets them, under every spelling they may be kept under.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let server = args.server.unwrap_or_default();
    let (shown, keys) = match server.as_str() {
        "" | "docker.io" | HUB_KEY => (HUB_KEY.to_owned(), vec![HUB_KEY.to_owned()]),
        server => {
            let host = hostname(server).to_owned();
            let keys = vec![host.clone(), format!("http://{host}"), format!("https://{host}")];
            (host, keys)
        }
    };
    let mut credentials = registry_auth::credentials(context)?;
    output::line(&format!("Removing login credentials for {shown}"))?;
    let mut errors = Vec::new();
    for key in keys {
        if let Err(error) = credentials.erase(&key) {
            errors.push(format!("{key}: {}", failure::text(&error.into())));
        }
    }
    if !errors.is_empty() {
        output::warn("WARNING: could not erase credentials:");
        errors.iter().for_each(|error| output::warn(error));
    }
    Ok(0)
}
