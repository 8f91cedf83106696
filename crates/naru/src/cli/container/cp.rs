//! `cp`: copies files out of and into containers, by the engine's archive endpoints. Where things end up follows `cp`: see
//! [`plan`](super::cp_plan).

use api::{ContainerArchiveQuery, PathStat};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::{Body, Client, Method, Response};
use tokio::io::AsyncWriteExt;

use super::super::{Context, Failure, Outcome, output, path};
use super::cp_plan::{Place, Source, base_name, plan};
use super::{cp_pack, cp_unpack};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    source: String,
    #[arg(required = true)]
    destination: String,
    /// Archive mode (copy all uid/gid information)
    #[arg(short, long)]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached
    #[arg(short, long)]
    quiet: bool,
}

/// Copies in the direction that the arguments say.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let fail = |text: &str| Err(Failure::new(1, text).into());
    if args.source.is_empty() {
        return fail("source can not be empty");
    }
    if args.destination.is_empty() {
        return fail("destination can not be empty");
    }
    let client = context.client()?;
    let told = !args.quiet && term::tty::is_terminal(std::io::stderr());
    let (bytes, to) = match (split(&args.source), split(&args.destination)) {
        ((None, source), (Some(container), target)) => {
            let bytes = into_container(client, &args, source, container, target).await?;
            (bytes, format!("{container}:{target}"))
        }
        ((Some(container), source), (None, target)) => {
            let bytes = out_of_container(client, &args, container, source, target).await?;
            (bytes, target.to_owned())
        }
        ((Some(_), _), (Some(_), _)) => return fail("copying between containers is not supported"),
        _ => return fail("must specify at least one container source"),
    };
    if told && args.destination != "-" {
        output::warn(&format!(
            "Successfully copied {} to {to}",
            term::size::human_with_precision(bytes as f64, 3)
        ));
    }
    Ok(0)
}

/// `container:path`, or a path of this side: one that is absolute or begins with a dot may have colons.
fn split(argument: &str) -> (Option<&str>, &str) {
    match argument.split_once(':') {
        Some((container, path)) if !argument.starts_with(['/', '.']) => (Some(container), path),
        _ => (None, argument),
    }
}

async fn out_of_container(
    client: &Client,
    args: &Args,
    container: &str,
    from: &str,
    to: &str,
) -> anyhow::Result<u64> {
    let (mut source, mut rebase) = (from.to_owned(), None);
    if args.follow_link {
        let found = stat(client, container, from).await?;
        if found.is_symlink() {
            rebase = Some(base_name(from));
            source = target_of(&found, from);
        }
    }
    let query = ContainerArchiveQuery { path: source.clone(), ..Default::default() };
    let request = client.request(Method::GET, path::container(container, "/archive")?);
    let mut response = request.parameters(&query).send().await?;
    if to == "-" {
        let mut bytes = 0;
        while let Some(chunk) = response.chunk().await? {
            bytes += chunk.len() as u64;
            output::bytes(&chunk)?;
        }
        return Ok(bytes);
    }
    let is_dir = read_stat(&response)?.is_dir();
    let source = Source { path: source, is_dir, rebase };
    let plan = plan(&source, &cp_unpack::destination(to)?)?;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    theirs.set_nonblocking(true)?;
    let mut theirs = tokio::net::UnixStream::from_std(theirs)?;
    let work = tokio::task::spawn_blocking(move || cp_unpack::unpack(ours, &plan));
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await? {
        bytes += chunk.len() as u64;
        // Whoever unpacks has had enough, or has failed: the outcome below says which.
        if theirs.write_all(&chunk).await.is_err() {
            break;
        }
    }
    drop(theirs);
    work.await??;
    Ok(bytes)
}

async fn into_container(
    client: &Client,
    args: &Args,
    from: &str,
    container: &str,
    to: &str,
) -> anyhow::Result<u64> {
    let destination = resolve(client, container, to).await?;
    if from == "-" {
        if !destination.is_dir {
            return Err(
                Failure::new(1, format!("destination \"{container}:{to}\" must be a directory")).into()
            );
        }
        send(client, args, container, &destination.path, Body::reader(tokio::io::stdin())).await?;
        return Ok(0);
    }
    let source = cp_pack::source(from, args.follow_link)?;
    let plan = plan(&source, &destination)?;
    let folder = plan.folder.clone();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    theirs.set_nonblocking(true)?;
    let theirs = tokio::net::UnixStream::from_std(theirs)?;
    let work = tokio::task::spawn_blocking(move || cp_pack::pack(ours, &source, &plan));
    let sent = send(client, args, container, &folder, Body::reader(theirs)).await;
    // What this side could not read explains what the other side got.
    match (work.await?, sent) {
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(_)) if !cp_pack::is_cut_short(&error) => Err(error),
        (_, Err(error)) => Err(error),
        (Ok(bytes), Ok(())) => Ok(bytes),
    }
}

async fn send(client: &Client, args: &Args, container: &str, folder: &str, body: Body) -> anyhow::Result<()> {
    let query = ContainerArchiveQuery {
        path: folder.to_owned(),
        no_overwrite_dir_non_dir: true,
        copy_uid_gid: args.archive,
    };
    let request = client.request(Method::PUT, path::container(container, "/archive")?).parameters(&query);
    Ok(request.header("content-type", "application/x-tar").body(body).empty().await?)
}

/// A place in a container; the last symbolic link is followed here, because the engine replaces it instead.
async fn resolve(client: &Client, container: &str, to: &str) -> anyhow::Result<Place> {
    let mut place = Place { path: to.to_owned(), exists: false, is_dir: false };
    // Not there: its folder may be, and copying then makes it.
    let Ok(mut found) = stat(client, container, to).await else { return Ok(place) };
    if found.is_symlink() {
        place.path = target_of(&found, to);
        match stat(client, container, &place.path).await {
            Ok(target) => found = target,
            Err(_) => return Ok(place),
        }
    }
    place.exists = true;
    place.is_dir = found.is_dir();
    Ok(place)
}

/// Where a link at `path` points.
fn target_of(link: &PathStat, path: &str) -> String {
    match link.link_target.starts_with('/') {
        true => link.link_target.clone(),
        false => {
            let folder = path.trim_end_matches('/').rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{}", link.link_target)
        }
    }
}

async fn stat(client: &Client, container: &str, path: &str) -> anyhow::Result<PathStat> {
    let query = ContainerArchiveQuery { path: path.to_owned(), ..Default::default() };
    let request = client.request(Method::HEAD, path::container(container, "/archive")?);
    read_stat(&request.parameters(&query).send().await?)
}

fn read_stat(response: &Response) -> anyhow::Result<PathStat> {
    let wrong = || Failure::new(1, "unable to decode container path stat header");
    let header = response.header("x-docker-container-path-stat").ok_or_else(wrong)?;
    let json = STANDARD.decode(header).map_err(|_| wrong())?;
    Ok(serde_json::from_slice(&json).map_err(|_| wrong())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_a_container_or_not() {
        for (argument, expected) in [
            ("web:/etc/passwd", (Some("web"), "/etc/passwd")),
            ("web:a:b", (Some("web"), "a:b")),
            ("file", (None, "file")),
            ("./web:x", (None, "./web:x")),
            ("/web:x", (None, "/web:x")),
            ("-", (None, "-")),
        ] {
            assert_eq!(split(argument), expected, "{argument}");
        }
    }

    #[test]
    fn links_point_from_their_folder() {
        let link = |target: &str| PathStat { link_target: target.to_owned(), ..PathStat::default() };
        assert_eq!(target_of(&link("/x"), "/a/b"), "/x");
        assert_eq!(target_of(&link("c"), "/a/b"), "/a/c");
        assert_eq!(target_of(&link("c"), "/b/"), "/c");
    }
}
