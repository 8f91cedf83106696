//! `stats`: what containers use, once or as it changes.
//!
//! ```text
//! one task a container: GET …/stats ─▶ Board ◀─ one task: GET /events (containers come and go)
//!                                        └─▶ drawn twice a second
//! ```

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::{
    ContainerListQuery, ContainerStatsQuery, ContainerStatsResponse, ContainerSummary, EventMessage, Filters,
};
use client::{Client, Method};
use tokio::task::{JoinSet, LocalSet};

use super::super::{Context, Failure, Outcome, failure, list, output, path};
use crate::format::{Format, render, short_id, stats};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    containers: Vec<String>,
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long)]
    no_stream: bool,
    /// Do not truncate output
    #[arg(long)]
    no_trunc: bool,
}

const REDRAW: Duration = Duration::from_millis(500);

/// What is shown, in the order in which it was met.
#[derive(Default)]
struct Board(Mutex<Vec<Entry>>);

struct Entry {
    /// As the user, or the list of containers, calls it.
    name: String,
    sample: Option<ContainerStatsResponse>,
    error: Option<String>,
    /// Its stream has ended.
    gone: bool,
}

impl Board {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<Entry>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds an entry, unless it is there.
    fn add(&self, name: &str) -> bool {
        self.with(|entries| {
            if entries.iter().any(|entry| entry.name == name && !entry.gone) {
                return false;
            }
            entries.retain(|entry| entry.name != name);
            entries.push(Entry { name: name.to_owned(), sample: None, error: None, gone: false });
            true
        })
    }

    fn change(&self, name: &str, work: impl FnOnce(&mut Entry)) {
        self.with(|entries| entries.iter_mut().find(|entry| entry.name == name).map(work));
    }

    fn text(&self, format: &Format, truncate: bool) -> Result<String, Failure> {
        self.with(|entries| {
            let shown = entries.iter().filter(|entry| !entry.gone);
            let rows = shown.map(|entry| stats::row(&entry.name, entry.sample.as_ref(), truncate));
            render(&stats::KIND, format, rows.collect::<Vec<_>>())
        })
        .map_err(|error| Failure::new(1, error.0))
    }

    fn errors(&self) -> Vec<String> {
        self.with(|entries| entries.iter().filter_map(|entry| entry.error.clone()).collect())
    }
}

/// Shows them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    // A request's body may be bound to its thread, and with it the tasks.
    LocalSet::new().run_until(show(context, args)).await
}

async fn show(context: &Context, args: Args) -> Outcome {
    let wanted = list::wanted(context, args.format.as_deref(), false, "statsFormat");
    let format = Format::parse(stats::format(&wanted));
    let client = context.client()?;
    let board = Arc::new(Board::default());
    let names = match args.containers.is_empty() {
        true => listed(client, args.all).await?,
        false => args.containers.clone(),
    };
    if args.no_stream {
        once(client, &board, &names).await;
    } else {
        let follow = args.containers.is_empty().then_some(args.all);
        return stream(client, board, &names, follow, &format, !args.no_trunc).await;
    }
    match board.errors() {
        errors if errors.is_empty() => output::print(&board.text(&format, !args.no_trunc)?)?,
        errors => return Err(Failure::new(1, errors.join("\n")).into()),
    }
    Ok(0)
}

async fn listed(client: &Client, all: bool) -> anyhow::Result<Vec<String>> {
    let query = ContainerListQuery { all, ..ContainerListQuery::default() };
    let containers: Vec<ContainerSummary> =
        client.request(Method::GET, "/containers/json").parameters(&query).json().await?;
    Ok(containers.iter().map(|container| short_id(&container.id).to_owned()).collect())
}

/// One sample of each.
async fn once(client: &Client, board: &Arc<Board>, names: &[String]) {
    let mut tasks = JoinSet::new();
    for name in names.iter().filter(|name| board.add(name)) {
        tasks.spawn_local(watch(client.clone(), Arc::clone(board), name.clone(), false));
    }
    tasks.join_all().await;
}

/// Reads samples of a container onto the board until there are no more.
async fn watch(client: Client, board: Arc<Board>, name: String, stream: bool) {
    let outcome = samples(&client, &board, &name, stream).await;
    board.change(&name, |entry| {
        entry.gone = stream;
        if let Err(error) = outcome {
            entry.error = Some(failure::text(&error));
        }
    });
}

async fn samples(client: &Client, board: &Board, name: &str, stream: bool) -> anyhow::Result<()> {
    let query = ContainerStatsQuery { stream: Some(stream), ..ContainerStatsQuery::default() };
    let request = client.request(Method::GET, path::container(name, "/stats")?).parameters(&query);
    let mut samples = request.lines::<ContainerStatsResponse>().await?;
    while let Some(sample) = samples.next().await? {
        board.change(name, |entry| entry.sample = Some(sample));
        if !stream {
            break;
        }
    }
    Ok(())
}

/// Redraws until the user has enough, or nothing is left of what was named. `follow` shows containers that come, too; its value
/// says whether those that only exist count.
async fn stream(
    client: &Client,
    board: Arc<Board>,
    names: &[String],
    follow: Option<bool>,
    format: &Format,
    truncate: bool,
) -> Outcome {
    let mut tasks = JoinSet::new();
    for name in names.iter().filter(|name| board.add(name)) {
        tasks.spawn_local(watch(client.clone(), Arc::clone(&board), name.clone(), true));
    }
    if let Some(all) = follow {
        tasks.spawn_local(arrivals(client.clone(), Arc::clone(&board), all));
    }
    let named: BTreeSet<&String> = names.iter().collect();
    let mut ticks = tokio::time::interval(REDRAW);
    output::print("\x1b[2J")?;
    loop {
        ticks.tick().await;
        let errors = board.errors();
        if follow.is_none() && !errors.is_empty() {
            return Err(Failure::new(1, errors.join("\n")).into());
        }
        output::print(&frame(&board.text(format, truncate)?))?;
        let left = board.with(|entries| {
            entries.iter().filter(|entry| !entry.gone && named.contains(&entry.name)).count()
        });
        if follow.is_none() && left == 0 {
            return Ok(0);
        }
    }
}

/// A picture over the one before: from the top, each line to its end, and nothing below.
fn frame(text: &str) -> String {
    format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))
}

/// Watches containers that start (or, with `all`, are made).
async fn arrivals(client: Client, board: Arc<Board>, all: bool) {
    let filters = Filters::default().with("type", "container");
    let request = client.request(Method::GET, "/events").query("filters", filters.to_json());
    let Ok(mut events) = request.lines::<EventMessage>().await else { return };
    let mut tasks = JoinSet::new();
    while let Ok(Some(event)) = events.next().await {
        let name = short_id(&event.actor.id).to_owned();
        let comes = event.action == "start" || all && event.action == "create";
        if comes && board.add(&name) {
            tasks.spawn_local(watch(client.clone(), Arc::clone(&board), name, true));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_board_keeps_who_is_there() {
        let board = Board::default();
        assert!(board.add("web"));
        assert!(!board.add("web"), "twice");
        let format = Format::parse("{{.Container}} {{.CPUPerc}}");
        assert_eq!(board.text(&format, true).unwrap(), "web --\n");
        board.change("web", |entry| entry.gone = true);
        assert_eq!(board.text(&format, true).unwrap(), "");
        assert!(board.add("web"), "it came back");
        assert_eq!(frame("a\nb\n"), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
    }
}
