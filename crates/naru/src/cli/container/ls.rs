//! `container ls`, `ps`: lists containers.

use api::{ContainerListQuery, ContainerSummary};
use client::Method;
use term::template::Template;

use super::super::{Context, Failure, Outcome, list, output, values};
use crate::format::{Clock, Format, container};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter", value_parser = values::filter)]
    filter: Vec<(String, String)>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Show n last created containers (includes all states) (default -1)
    #[arg(short = 'n', long, value_name = "int", default_value = "-1", value_parser = values::integer)]
    last: i64,
    /// Show the latest created container (includes all states)
    #[arg(short, long)]
    latest: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
}

/// Lists.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let wanted = list::wanted(context, args.format.as_deref(), args.quiet, "psFormat");
    if args.quiet && !wanted.is_empty() {
        output::warn("WARNING: Ignoring custom format, because both --format and --quiet are set.");
    }
    check(&wanted)?;
    let size = args.size || wanted.contains(".Size") || wanted.contains("json .}");
    let query = ContainerListQuery {
        all: args.all,
        limit: if args.latest && args.last == -1 { 1 } else { args.last.max(0) },
        size,
        filters: values::filters(&args.filter),
    };
    let request = context.client()?.request(Method::GET, "/containers/json").parameters(&query);
    let containers: Vec<ContainerSummary> = request.json().await?;
    let format = Format::parse(&container::format(&wanted, args.quiet, args.size));
    let clock = Clock::system();
    let rows = containers.iter().map(|container| container::row(container, !args.no_trunc, &clock));
    list::print(&container::KIND, &format, rows)?;
    Ok(0)
}

/// A template that cannot be read, or fits no container, is told before the engine is asked.
fn check(format: &str) -> anyhow::Result<()> {
    let template = Template::parse("", format)
        .map_err(|error| Failure::new(1, format!("failed to parse template: {error}")))?;
    let none = container::row(&ContainerSummary::default(), true, &Clock::system());
    template
        .execute(&none.into_value(container::KIND.type_name))
        .map_err(|error| Failure::new(1, format!("failed to execute template: {error}")))?;
    Ok(())
}
