//! `context import`: a context from an archive that `context export` wrote, Docker's or ours.

use std::io::Read;
use std::path::Path;

use super::super::{Context, Failure, Outcome, file, output};
use super::store::{Meta, Store, TLS_FILES, Tls};

/// No context comes near it.
const LIMIT: u64 = 10 << 20;

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    name: String,
    #[arg(required = true, value_name = "FILE|-")]
    file: String,
}

/// Reads it and remembers the engine.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let store = Store::of(context);
    store.check_new(&args.name)?;
    let (mut meta, tls) = match args.file.as_str() {
        "-" => unpack(std::io::stdin().lock())?,
        path => unpack(std::fs::File::open(path).map_err(|error| file::failed("open", path, &error))?)?,
    };
    meta.name.clone_from(&args.name);
    store.add(&meta, &tls)?;
    output::line(&args.name)?;
    output::warn(&format!("Successfully imported context \"{}\"", args.name));
    Ok(0)
}

/// The context in an archive. Only the files that are known are read, and none is written by the name it has there.
pub(super) fn unpack(input: impl Read) -> anyhow::Result<(Meta, Tls)> {
    let broken =
        |reason: &dyn std::fmt::Display| Failure::new(1, format!("invalid context archive: {reason}"));
    let mut archive = tar::Archive::new(input.take(LIMIT));
    let (mut meta, mut tls) = (None, Vec::new());
    for entry in archive.entries().map_err(|error| broken(&error))? {
        let mut entry = entry.map_err(|error| broken(&error))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(|error| broken(&error))?.into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| broken(&error))?;
        let path = path.strip_prefix("./").unwrap_or(&path);
        if path == Path::new("meta.json") {
            meta = Some(serde_json::from_slice(&bytes).map_err(|error| broken(&error))?);
        } else if let Some(file) =
            TLS_FILES.into_iter().find(|file| path == Path::new("tls/docker").join(file))
        {
            tls.push((file, bytes));
        } else {
            return Err(broken(&format!("unexpected file {}", path.display())).into());
        }
    }
    let meta = meta.ok_or_else(|| broken(&"no context metadata found"))?;
    Ok((meta, tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_archives_are_refused() {
        let error = |bytes: &[u8]| unpack(bytes).unwrap_err().to_string();
        assert_eq!(error(b""), "invalid context archive: no context metadata found");
        assert!(error(b"not a tar archive").starts_with("invalid context archive: "));
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(1);
        archive.append_data(&mut header, "tls/docker/evil.pem", &b"x"[..]).unwrap();
        let error = error(&archive.into_inner().unwrap());
        assert_eq!(error, "invalid context archive: unexpected file tls/docker/evil.pem");
    }
}
