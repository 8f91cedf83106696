//! `create`: a container that is not started. What it shares with `run` is here: pull policy, the create request, warnings,
//! the file with the id.

use std::fs::{File, OpenOptions};
use std::io::Write;

use api::{ContainerCreateQuery, ContainerCreateRequest, ContainerCreateResponse};
use client::Method;
use image::Reference;

use super::failure::{self, Failure};
use super::options::{ContainerFlags, Surroundings};
use super::pull_image::{self, Draw};
use super::{Context, Outcome, output};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    flags: ContainerFlags,
    #[arg(required = true)]
    image: String,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Creates a container and prints its id.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let surroundings = surroundings(context, &args.flags)?;
    let request = args.flags.request(&args.image, &args.command, &surroundings);
    let request = request.map_err(|error| bad_flags("create", &error))?;
    let created = create(context, &args.flags, &request).await?;
    output::line(&created.id)?;
    Ok(0)
}

/// What the request needs to know besides the flags.
pub fn surroundings(context: &Context, flags: &ContainerFlags) -> anyhow::Result<Surroundings> {
    let config = context.config();
    let proxies = match config.proxies.is_empty() {
        true => Vec::new(),
        false => config.proxy_environment(&context.client()?.options().endpoint.to_string()),
    };
    let console = flags.tty.then(super::session::console_size).flatten();
    Ok(Surroundings { console, proxies, detach: false })
}

/// Flags that contradict each other: 125, with a way to help.
pub fn bad_flags(verb: &str, error: &anyhow::Error) -> Failure {
    let text = failure::text(error);
    Failure::flags(format!("naru: {text}\n\nRun 'naru {verb} --help' for more information"))
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pull {
    Always,
    Missing,
    Never,
}

fn pull_policy(text: &str) -> anyhow::Result<Pull> {
    match text {
        "always" => Ok(Pull::Always),
        "missing" | "" => Ok(Pull::Missing),
        "never" => Ok(Pull::Never),
        _ => Err(Failure::flags(format!(
            "invalid pull option: '{text}': must be one of \"always\", \"missing\" or \"never\""
        ))
        .into()),
    }
}

/// Creates a container, pulling its image as `--pull` says. Most images are there: nothing is asked before.
pub async fn create(
    context: &Context,
    flags: &ContainerFlags,
    request: &ContainerCreateRequest,
) -> anyhow::Result<ContainerCreateResponse> {
    let policy = pull_policy(&flags.pull)?;
    let id_file = flags.cidfile.as_deref().map(IdFile::new).transpose()?;
    let platform =
        flags.platform.clone().or_else(|| context.globals().default_platform.clone()).unwrap_or_default();
    let image = request.config.image.as_str();
    let draw = if flags.quiet { Draw::Quiet } else { Draw::Stderr };
    if policy == Pull::Always {
        pull_image::pull(context, &reference(image)?, &platform, draw).await?;
    }
    let query =
        ContainerCreateQuery { name: flags.name.clone().unwrap_or_default(), platform: platform.clone() };
    let send = async || {
        let post = context.client()?.request(Method::POST, "/containers/create");
        anyhow::Ok(post.parameters(&query).json_body(request).json::<ContainerCreateResponse>().await?)
    };
    let created = match send().await {
        Err(error) if policy == Pull::Missing && lacks_image(&error) => {
            let reference = reference(image)?;
            if !flags.quiet {
                output::warn(&format!("Unable to find image '{}' locally", reference.familiar()));
            }
            pull_image::pull(context, &reference, &platform, draw).await?;
            send().await?
        }
        outcome => outcome?,
    };
    for warning in created.warnings.iter().flatten() {
        output::warn(&format!("WARNING: {warning}"));
    }
    if let Some(file) = id_file {
        file.write(&created.id)?;
    }
    Ok(created)
}

fn reference(image: &str) -> anyhow::Result<Reference> {
    Ok(Reference::parse(image)?.with_default_tag())
}

/// A 404 about the image, or about its being here for the wanted platform, and not about a network or a volume.
fn lacks_image(error: &anyhow::Error) -> bool {
    let texts = ["No such image", "does not match the specified platform"];
    error
        .downcast_ref::<client::Error>()
        .is_some_and(|error| error.is_not_found() && texts.iter().any(|text| error.message().contains(text)))
}

/// `--cidfile`: made before the container, so that two commands cannot share one; removed when it stays empty.
struct IdFile<'a> {
    path: &'a str,
    file: File,
    written: bool,
}

impl<'a> IdFile<'a> {
    fn new(path: &'a str) -> anyhow::Result<Self> {
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => Ok(Self { path, file, written: false }),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => anyhow::bail!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            ),
            Err(error) => anyhow::bail!("failed to create the container ID file: {error}"),
        }
    }

    fn write(mut self, id: &str) -> anyhow::Result<()> {
        self.file
            .write_all(id.as_bytes())
            .map_err(|error| anyhow::anyhow!("failed to write the container ID ({id}) to file: {error}"))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for IdFile<'_> {
    fn drop(&mut self) {
        if !self.written {
            let _ = std::fs::remove_file(self.path);
        }
    }
}
