//! `context export`: a context as a tar archive, `meta.json` and `tls/docker/*.pem`, as Docker's client writes it.

use std::io::{IsTerminal, Write};

use super::super::{Context, Failure, Outcome, file, output};
use super::store::{DEFAULT, Store};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    name: String,
    #[arg(value_name = "FILE|-")]
    file: Option<String>,
}

/// Writes it.
pub async fn run(context: &Context, args: Args) -> Outcome {
    if args.name == DEFAULT {
        return Err(Failure::new(1, "cannot export context \"default\"").into());
    }
    let path = args.file.unwrap_or_else(|| format!("{}.dockercontext", args.name));
    let archive = pack(&Store::of(context), &args.name)?;
    if path == "-" {
        let mut out = std::io::stdout().lock();
        if out.is_terminal() {
            let text = "cowardly refusing to export to a terminal, specify a file path";
            return Err(Failure::new(1, text).into());
        }
        out.write_all(&archive)?;
        return Ok(0);
    }
    let failed = |error: std::io::Error| file::failed("open", &path, &error);
    let mut out = std::fs::File::create_new(&path).map_err(failed)?;
    out.write_all(&archive).map_err(failed)?;
    output::warn(&format!("Written file \"{path}\""));
    Ok(0)
}

fn pack(store: &Store, name: &str) -> anyhow::Result<Vec<u8>> {
    let meta = serde_json::to_vec(&store.read(name)?)?;
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, mode: u32, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, path, bytes)
    };
    add("meta.json", tar::EntryType::Regular, 0o644, &meta)?;
    let tls = store.read_tls(name);
    if !tls.is_empty() {
        add("tls", tar::EntryType::Directory, 0o700, &[])?;
        add("tls/docker", tar::EntryType::Directory, 0o700, &[])?;
    }
    for (file, bytes) in tls {
        add(&format!("tls/docker/{file}"), tar::EntryType::Regular, 0o600, &bytes)?;
    }
    Ok(archive.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::super::import::unpack;
    use super::super::store::{Endpoint, Meta};
    use super::*;

    #[test]
    fn what_is_exported_can_be_imported() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let mut meta = Meta { name: "far".to_owned(), ..Meta::default() };
        meta.describe("d");
        let endpoint = Endpoint { host: "tcp://far:2376".to_owned(), skip_tls_verify: true };
        meta.endpoints.insert("docker".to_owned(), endpoint);
        store.write(&meta).unwrap();
        store.write_tls("far", &[("ca.pem", b"x".to_vec()), ("key.pem", b"y".to_vec())]).unwrap();
        let (read, tls) = unpack(&pack(&store, "far").unwrap()[..]).unwrap();
        assert_eq!((read.host(), read.description()), ("tcp://far:2376", "d"));
        assert_eq!(tls, [("ca.pem", b"x".to_vec()), ("key.pem", b"y".to_vec())]);
    }
}
