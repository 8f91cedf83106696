//! `volume create`: makes a volume.

use api::{Volume, VolumeCreateOptions};
use client::Method;

use super::super::{Context, Failure, Outcome, output, values};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    volume: Option<String>,
    /// Specify volume driver name (default "local")
    #[arg(short, long, default_value = "local")]
    driver: String,
    /// Set metadata for a volume
    #[arg(long)]
    label: Vec<String>,
    /// Specify volume name
    #[arg(long, hide = true)]
    name: Option<String>,
    /// Set driver specific options (default map[])
    #[arg(short, long)]
    opt: Vec<String>,
}

/// Makes it, and prints its name.
pub async fn run(context: &Context, args: Args) -> Outcome {
    if args.volume.is_some() && args.name.is_some() {
        let text =
            "conflicting options: cannot specify a volume-name through both --name and as a positional arg";
        return Err(Failure::new(1, text).into());
    }
    let body = VolumeCreateOptions {
        driver: args.driver,
        driver_opts: Some(values::pairs(&args.opt)),
        labels: Some(values::pairs(&args.label)),
        name: args.volume.or(args.name).unwrap_or_default(),
        ..VolumeCreateOptions::default()
    };
    let volume: Volume =
        context.client()?.request(Method::POST, "/volumes/create").json_body(&body).json().await?;
    output::line(&volume.name)?;
    Ok(0)
}
