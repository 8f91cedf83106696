//! `top`: the processes of a container.

use api::{ContainerTopQuery, ContainerTopResponse};
use client::Method;
use term::table::{Layout, align};

use super::super::{Context, Outcome, output, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    container: String,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Lists them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let request = context.client()?.request(Method::GET, path::container(&args.container, "/top")?);
    let query = ContainerTopQuery { ps_args: args.options.join(" ") };
    let processes: ContainerTopResponse = request.parameters(&query).json().await?;
    let mut text = processes.titles.unwrap_or_default().join("\t");
    text.push('\n');
    for process in processes.processes.unwrap_or_default() {
        text.push_str(&process.join("\t"));
        text.push('\n');
    }
    output::print(&align(&text, Layout::TOP))?;
    Ok(0)
}
