//! `system prune`: removes everything that nothing uses.

use api::{ApiVersion, BuildPruneResponse, Filters};
use client::Method;

use super::super::{Context, Failure, Outcome, container, image, network, output, prune, volume};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Remove all unused images not just dangling ones
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    prune: prune::PruneArgs,
    /// Prune anonymous volumes
    #[arg(long)]
    volumes: bool,
}

/// Removes it, if the user means it. What one step frees, the next may remove.
pub async fn run(context: &Context, args: Args) -> Outcome {
    if args.volumes && args.prune.filter.iter().any(|(key, _)| key == "until") {
        let text = "ERROR: The \"until\" filter is not supported with \"--volumes\"";
        return Err(Failure::new(1, text).into());
    }
    let filters = prune::filters(context, &args.prune.filter);
    if !args.prune.force && !prune::confirmed(&warning(&args, &filters))? {
        return Ok(0);
    }
    let (text, mut reclaimed) = container::prune::prune(context, filters.clone()).await?;
    output::print(&text)?;
    output::print(&network::prune::prune(context, filters.clone()).await?)?;
    if args.volumes {
        let (text, bytes) = volume::prune::prune(context, filters.clone()).await?;
        output::print(&text)?;
        reclaimed += bytes;
    }
    let (text, bytes) = image::prune::prune(context, args.all, filters.clone()).await?;
    output::print(&text)?;
    reclaimed += bytes;
    let (text, bytes) = build_cache(context, args.all, &filters).await?;
    output::print(&text)?;
    reclaimed += bytes;
    output::print(&prune::reclaimed(reclaimed))?;
    Ok(0)
}

fn warning(args: &Args, filters: &Filters) -> String {
    let mut text = "WARNING! This will remove:\n".to_owned();
    let mut item = |what: &str| text.push_str(&format!("  - {what}\n"));
    item("all stopped containers");
    item("all networks not used by at least one container");
    if args.volumes {
        item("all anonymous volumes not used by at least one container");
    }
    match args.all {
        true => item("all images without at least one container associated to them"),
        false => item("all dangling images"),
    }
    item(if args.all { "all build cache" } else { "unused build cache" });
    if !filters.is_empty() {
        text.push_str("\n  Items to be pruned will be filtered with:\n");
        for key in filters.keys() {
            filters.get(key).for_each(|value| text.push_str(&format!("  - {key}={value}\n")));
        }
    }
    text.push_str("\nAre you sure you want to continue?");
    text
}

/// An engine that builds nothing has no cache to prune.
async fn build_cache(context: &Context, all: bool, filters: &Filters) -> anyhow::Result<(String, u64)> {
    let client = context.client()?;
    if client.version().await? < ApiVersion::v1(31) {
        return Ok((String::new(), 0));
    }
    let mut request = client.request(Method::POST, "/build/prune");
    if all {
        request = request.query("all", 1);
    }
    if !filters.is_empty() {
        request = request.query("filters", filters.to_json());
    }
    let answer: BuildPruneResponse = match request.json().await {
        Ok(answer) => answer,
        Err(error)
            if matches!(error.kind(), Some(api::ErrorKind::NotFound | api::ErrorKind::NotImplemented)) =>
        {
            return Ok((String::new(), 0));
        }
        Err(error) => return Err(error.into()),
    };
    let removed = answer.caches_deleted.unwrap_or_default();
    Ok((prune::list("Deleted build cache objects:", &removed), answer.space_reclaimed))
}
