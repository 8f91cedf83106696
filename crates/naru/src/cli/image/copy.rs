//! `image copy`: an image from one place to another, registries, layouts, archives and engines alike. What is there already
//! is not sent, and nothing is packed anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use api::{JsonMessage, ProgressDetail};
use client::{Client, Endpoint, Options};
use copy::{Destination, EngineImage, Event, Files, Place, Source};
use distribution::Purpose;
use image::{Platform, Reference};
use term::progress::Progress;

use super::super::registries::Access;
use super::super::{Context, Failure, Outcome, output};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    source: String,
    #[arg(required = true)]
    destination: String,
    /// Copy the images for all platforms
    #[arg(short, long)]
    all: bool,
    /// Speak to these registries without TLS, or without checking it
    #[arg(long)]
    insecure: bool,
    /// Copy the images for the given platform(s): "os[/arch[/variant]]"
    #[arg(long)]
    platform: Vec<String>,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
}

/// Copies, draws the progress, and prints the digest that the image has at its destination.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let source: Place = args.source.parse()?;
    let destination: Place = args.destination.parse()?;
    if args.all && !args.platform.is_empty() {
        return Err(Failure::new(1, "conflicting options: cannot specify both --all and --platform").into());
    }
    let platform = |text: &String| {
        Platform::parse(text).map_err(|error| Failure::new(1, format!("invalid platform: {error}")))
    };
    let platforms = args.platform.iter().map(platform).collect::<Result<_, _>>()?;
    let insecure = [&source, &destination].into_iter().filter(|_| args.insecure).filter_map(registry);
    let access = Access::new(context, insecure.collect())?;
    // A folder that an archive's data comes from goes when the copy has ended.
    let mut downloaded = None;
    let from = open_source(context, &access, &source, &mut downloaded).await?;
    let to = open_destination(context, &access, &destination, &source, &from).await?;
    let options = copy::Options { all: args.all, platforms };
    let digest = copy::copy(&from, &to, &options, &drawing(args.quiet)).await?;
    output::line(&digest.to_string())?;
    Ok(0)
}

fn registry(place: &Place) -> Option<String> {
    match place {
        Place::Registry(reference) => Some(reference.registry.clone()),
        _ => None,
    }
}

async fn open_source(
    context: &Context,
    access: &Access<'_>,
    place: &Place,
    downloaded: &mut Option<Downloaded>,
) -> anyhow::Result<Source> {
    Ok(match place {
        Place::Registry(reference) => {
            let reference = reference.clone().with_default_tag();
            let repository = access.open(&reference, &Purpose::default()).await?;
            let digest = reference.digest.map(|digest| digest.to_string());
            Source::Registry { repository, wanted: digest.or(reference.tag).unwrap_or_default() }
        }
        Place::Layout { folder, name } => Source::from(Files::layout(folder, name.as_deref())?),
        Place::OciArchive { file, name } => Source::from(Files::oci_archive(file, name.as_deref())?),
        Place::DockerArchive { file, name } => Source::from(Files::docker_archive(file, name.as_deref())?),
        Place::Engine(name) => of_engine(context.client()?.clone(), name, downloaded).await?,
        Place::Remote { name, .. } if name.is_empty() => {
            return Err(Failure::new(1, "ssh://HOST/NAME: the image's name is missing").into());
        }
        Place::Remote { host, name } => of_engine(remote(host)?, name, downloaded).await?,
    })
}

/// Docker's engine gives no single blobs: what it saves is read instead.
async fn of_engine(
    client: Client,
    name: &str,
    downloaded: &mut Option<Downloaded>,
) -> anyhow::Result<Source> {
    if copy::is_naru(&client).await? {
        return Ok(Source::Engine(EngineImage { client, name: name.to_owned() }));
    }
    let archive = downloaded.insert(Downloaded::save(&client, name).await?);
    Ok(Source::from(Files::docker_archive(&archive.path, None)?))
}

/// A saved image; removed when it is no longer needed.
struct Downloaded {
    path: std::path::PathBuf,
}

impl Downloaded {
    async fn save(client: &Client, name: &str) -> anyhow::Result<Self> {
        use std::io::Write as _;
        let query = api::ImageSaveQuery { names: vec![name.to_owned()], ..Default::default() };
        let request = client.request(client::Method::GET, "/images/get").parameters(&query);
        let mut response = request.send().await?;
        let name = format!("naru-copy-{}-{}", std::process::id(), jiff::Timestamp::now().as_nanosecond());
        let saved = Self { path: std::env::temp_dir().join(name) };
        let mut file = std::fs::File::create_new(&saved.path)?;
        while let Some(piece) = response.chunk().await? {
            file.write_all(&piece)?;
        }
        Ok(saved)
    }
}

impl Drop for Downloaded {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn open_destination(
    context: &Context,
    access: &Access<'_>,
    place: &Place,
    from: &Place,
    source: &Source,
) -> anyhow::Result<Destination> {
    Ok(match place {
        Place::Registry(reference) => {
            if reference.digest.is_some() {
                return Err(Failure::new(1, "the destination has a digest: name a tag").into());
            }
            let reference = reference.clone().with_default_tag();
            // The same registry need not be sent what it has.
            let mount_from = match from {
                Place::Registry(other)
                    if other.registry == reference.registry && other.repository != reference.repository =>
                {
                    Some(other.repository.clone())
                }
                _ => None,
            };
            let purpose = Purpose {
                write: true,
                mount_from: mount_from.clone().into_iter().collect(),
                ..Purpose::default()
            };
            let repository = access.open(&reference, &purpose).await?;
            Destination::Registry { repository, tag: reference.tag.unwrap_or_default(), mount_from }
        }
        Place::Layout { folder, name } => Destination::Layout { folder: folder.clone(), name: name.clone() },
        Place::OciArchive { file, name } => {
            Destination::OciArchive { file: file.clone(), name: name.clone() }
        }
        Place::DockerArchive { file, name } => {
            let name = name.as_deref().map(Reference::parse).transpose()?.map(Reference::with_default_tag);
            Destination::DockerArchive { file: file.clone(), name: name.or_else(|| source.name()) }
        }
        Place::Engine(name) => to_engine(context.client()?.clone(), name, source)?,
        Place::Remote { host, name } => to_engine(remote(host)?, name, source)?,
    })
}

fn to_engine(client: Client, name: &str, source: &Source) -> anyhow::Result<Destination> {
    let name = match (name, source.name()) {
        ("", Some(known)) => known.familiar(),
        ("", None) => {
            return Err(Failure::new(1, "the source has no name: say one for the destination").into());
        }
        (name, _) => name.to_owned(),
    };
    Ok(Destination::Engine { image: EngineImage { client, name } })
}

/// The engine of another machine, over ssh.
fn remote(host: &str) -> anyhow::Result<Client> {
    Ok(Client::new(Options {
        endpoint: Endpoint::parse(host, None)?,
        version: None,
        headers: Vec::new(),
        autostart: None,
        user_agent: concat!("Naru-Client/", env!("CARGO_PKG_VERSION"), " (linux)").to_owned(),
    }))
}

/// Draws as pull and push do: a bar for each blob on a terminal, else a line for each step.
fn drawing(quiet: bool) -> copy::Progress {
    let columns = term::tty::size(rustix::stdio::stderr()).map(|size| usize::from(size.width));
    let shown = Arc::new(Mutex::new((Progress::new(columns), HashMap::<String, &'static str>::new())));
    let draw = move |event: Event| {
        if quiet {
            return;
        }
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, status, detail) = match &event {
            Event::Copying { blob, current, total } => (blob, "Copying".to_owned(), Some((*current, *total))),
            Event::Copied(blob) => (blob, "Copied".to_owned(), None),
            Event::Exists(blob) => (blob, "Already exists".to_owned(), None),
            Event::Mounted(blob, from) => (blob, format!("Mounted from {from}"), None),
        };
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let detail = detail.map(|(current, total)| ProgressDetail {
            current: number(current),
            total: number(total),
            ..ProgressDetail::default()
        });
        // Each step once where bars are not drawn.
        let word = if detail.is_some() { "copying" } else { "done" };
        let again = shown.1.insert(id.short().to_owned(), word) == Some(word);
        if columns.is_none() && again {
            return;
        }
        let message = JsonMessage {
            id: id.short().to_owned(),
            status,
            progress_detail: Some(detail.filter(|_| columns.is_some()).unwrap_or_default()),
            ..JsonMessage::default()
        };
        if let Ok(text) = shown.0.draw(&message, jiff::Timestamp::now().as_second()) {
            output::print_error(&text);
        }
    };
    Arc::new(draw)
}
