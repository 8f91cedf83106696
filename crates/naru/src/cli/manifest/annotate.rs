//! `manifest annotate`: what an entry of a list is for.

use super::super::{Context, Failure, Outcome};
use super::store::Store;

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    list: String,
    #[arg(required = true)]
    manifest: String,
    /// Set architecture
    #[arg(long)]
    arch: Option<String>,
    /// Set operating system
    #[arg(long)]
    os: Option<String>,
    /// Set operating system feature
    #[arg(long, value_delimiter = ',')]
    os_features: Vec<String>,
    /// Set operating system version
    #[arg(long)]
    os_version: Option<String>,
    /// Set architecture variant
    #[arg(long)]
    variant: Option<String>,
}

/// Systems, and the architectures that there are for each.
const TARGETS: &[(&str, &[&str])] = &[
    ("darwin", &["386", "amd64", "arm", "arm64"]),
    ("dragonfly", &["amd64"]),
    ("freebsd", &["386", "amd64", "arm", "arm64"]),
    (
        "linux",
        &[
            "386", "amd64", "arm", "arm64", "loong64", "mips", "mipsle", "mips64", "mips64le", "ppc64le",
            "riscv64", "s390x",
        ],
    ),
    ("netbsd", &["386", "amd64", "arm"]),
    ("openbsd", &["386", "amd64", "arm"]),
    ("plan9", &["386", "amd64"]),
    ("solaris", &["amd64"]),
    ("windows", &["386", "amd64", "arm", "arm64"]),
];

/// Changes the entry.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let (list, name) = (super::reference(&args.list)?, super::reference(&args.manifest)?);
    let store = Store::new(context);
    let found = store.get(&list, &name)?;
    let mut manifest = found
        .ok_or_else(|| Failure::new(1, format!("manifest for image {name} does not exist in {list}")))?;
    let platform = manifest.descriptor.platform.get_or_insert_default();
    let set = |field: &mut String, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            *field = value;
        }
    };
    set(&mut platform.os, args.os);
    set(&mut platform.architecture, args.arch);
    set(&mut platform.variant, args.variant);
    set(&mut platform.os_version, args.os_version);
    for feature in args.os_features {
        if !platform.os_features.contains(&feature) {
            platform.os_features.push(feature);
        }
    }
    let (os, arch) = (platform.os.as_str(), platform.architecture.as_str());
    if !TARGETS.iter().any(|(known, architectures)| *known == os && architectures.contains(&arch)) {
        let text = format!("manifest entry for image has unsupported os/arch combination: {os}/{arch}");
        return Err(Failure::new(1, text).into());
    }
    store.save(&list, &name, &manifest)?;
    Ok(0)
}
