//! `context create`: remembers an engine under a name.

use super::super::{Context, Failure, Outcome, file, output};
use super::store::{DEFAULT, Endpoint, Meta, Store, Tls};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    name: String,
    /// Description of the context
    #[arg(long)]
    description: Option<String>,
    /// set the docker endpoint (default [])
    #[arg(long, value_name = "stringToString", value_delimiter = ',')]
    docker: Vec<String>,
    /// create context from a named context
    #[arg(long)]
    from: Option<String>,
}

/// Remembers it.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let store = Store::of(context);
    store.check_new(&args.name)?;
    let described = args.description.as_deref().unwrap_or_default();
    let (mut meta, tls) = match (&args.from, args.docker.is_empty()) {
        (Some(from), true) => copy(context, &store, from)?,
        (_, false) => endpoint(&args.docker, context, &store)?,
        (None, true) => copy(context, &store, DEFAULT)?,
    };
    meta.name.clone_from(&args.name);
    if !described.is_empty() {
        meta.describe(described);
    }
    store.add(&meta, &tls)?;
    output::line(&args.name)?;
    output::warn(&format!("Successfully created context \"{}\"", args.name));
    Ok(0)
}

/// All of another context.
fn copy(context: &Context, store: &Store, from: &str) -> anyhow::Result<(Meta, Tls)> {
    if from != DEFAULT {
        return Ok((store.read(from)?, store.read_tls(from)));
    }
    let mut meta = Meta::default();
    meta.describe("Current DOCKER_HOST based configuration");
    let endpoint = Endpoint { host: super::default_host(context), skip_tls_verify: false };
    meta.endpoints.insert("docker".to_owned(), endpoint);
    Ok((meta, Vec::new()))
}

/// What `--docker host=…,ca=…,cert=…,key=…,skip-tls-verify=…,from=…` says.
pub fn endpoint(words: &[String], context: &Context, store: &Store) -> anyhow::Result<(Meta, Tls)> {
    let failed = |text: String| Failure::new(1, format!("unable to create docker endpoint config: {text}"));
    let (mut endpoint, mut tls) = (Endpoint::default(), Tls::new());
    for word in words {
        let (key, value) = word
            .split_once('=')
            .ok_or_else(|| Failure::flags(format!("{word} must be formatted as key=value")))?;
        let mut certificate = |name: &'static str| {
            let read = std::fs::read(value);
            let read = read.map_err(|error| failed(format!("open {value}: {}", file::reason(&error))));
            read.map(|bytes| tls.push((name, bytes)))
        };
        match key {
            "host" => value.clone_into(&mut endpoint.host),
            "ca" => certificate("ca.pem")?,
            "cert" => certificate("cert.pem")?,
            "key" => certificate("key.pem")?,
            "skip-tls-verify" => {
                endpoint.skip_tls_verify = super::super::values::boolean(value).map_err(failed)?;
            }
            "from" => {
                let (meta, files) = copy(context, store, value)?;
                endpoint = meta.endpoints.get("docker").cloned().unwrap_or_default();
                tls = files;
            }
            key => return Err(failed(format!("unrecognized config key: {key}")).into()),
        }
    }
    let mut meta = Meta::default();
    meta.endpoints.insert("docker".to_owned(), endpoint);
    Ok((meta, tls))
}
