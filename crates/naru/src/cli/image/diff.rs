//! `image diff`: the files that differ between two images; with a path, the text that differs.

use std::time::Duration;

use api::{ImageDiffQuery, ImageFile, ImageFileChange, ImagePathQuery};
use client::{Client, Method};
use similar::TextDiff;

use super::super::{Context, Outcome, output};
use super::contents::{self, FormatArgs, Shape, letter};

/// Files above this size are not compared line by line.
const LARGEST_TEXT: u64 = 16 << 20;

/// How long the shortest difference is looked for; then a longer one will do.
const PATIENCE: Duration = Duration::from_secs(5);

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    before: String,
    #[arg(required = true)]
    after: String,
    path: Option<String>,
    #[command(flatten)]
    shape: FormatArgs,
    /// Name the files only
    #[arg(long)]
    name_only: bool,
    /// Show how much each file grew or shrank
    #[arg(long)]
    stat: bool,
}

/// Tells it.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let shape = Shape::parse(args.shape.format.as_deref())?;
    let client = context.client()?;
    let path = args.path.clone().unwrap_or_default();
    let request = client.request(Method::GET, contents::image(&args.before, "/diff")?);
    let query = ImageDiffQuery { to: args.after.clone(), path };
    let changes: Vec<ImageFileChange> = request.parameters(&query).json().await?;
    if shape.is_text() && args.path.is_some() && !args.name_only && !args.stat {
        for change in &changes {
            output::print(&difference(client, &args, change).await?)?;
        }
        return Ok(0);
    }
    shape.print(&changes, |changes| match (args.name_only, args.stat) {
        (true, _) => changes.iter().map(|change| format!("{}\n", change.path)).collect(),
        (_, true) => statistics(changes),
        _ => changes.iter().map(line).collect(),
    })?;
    Ok(0)
}

fn line(change: &ImageFileChange) -> String {
    let attributes = attributes(change).map(|text| format!(" ({text})")).unwrap_or_default();
    format!("{} {}{attributes}\n", letter(change.kind), change.path)
}

/// What changed beside the content.
fn attributes(change: &ImageFileChange) -> Option<String> {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return None };
    let mut changed = Vec::new();
    if before.typ != after.typ {
        changed.push(format!("{} to {}", before.typ, after.typ));
    }
    if before.mode != after.mode {
        changed.push(format!("mode {:o} to {:o}", before.mode, after.mode));
    }
    if (before.uid, before.gid) != (after.uid, after.gid) {
        changed.push(format!("owner {}:{} to {}:{}", before.uid, before.gid, after.uid, after.gid));
    }
    Some(changed.join(", ")).filter(|text| !text.is_empty())
}

fn statistics(changes: &[ImageFileChange]) -> String {
    let bytes = |file: &Option<ImageFile>| file.as_ref().map_or(0, |file| file.size);
    let count = |kind| changes.iter().filter(|change| change.kind == kind).count();
    let (mut out, mut sum) = (String::new(), 0_i128);
    for change in changes {
        let growth = i128::from(bytes(&change.after)) - i128::from(bytes(&change.before));
        sum += growth;
        out.push_str(&format!("{} {:>9} {}\n", letter(change.kind), signed(growth), change.path));
    }
    let (added, modified, deleted) = (count(1), count(0), count(2));
    let sum = signed(sum);
    out.push_str(&format!("{added} added, {modified} changed, {deleted} deleted, {sum}\n"));
    out
}

fn signed(bytes: i128) -> String {
    let sign = if bytes < 0 { '-' } else { '+' };
    format!("{sign}{}", contents::size(u64::try_from(bytes.unsigned_abs()).unwrap_or(u64::MAX)))
}

/// One file's change as a patch.
async fn difference(client: &Client, args: &Args, change: &ImageFileChange) -> anyhow::Result<String> {
    let (old, new) = (format!("{}:{}", args.before, change.path), format!("{}:{}", args.after, change.path));
    let name = |name: &str, file: &Option<ImageFile>| match file {
        Some(_) => name.to_owned(),
        None => "/dev/null".to_owned(),
    };
    let (from, to) = (name(&old, &change.before), name(&new, &change.after));
    let mut out = format!("diff {old} {new}\n");
    if let Some(attributes) = attributes(change) {
        out.push_str(&format!("{attributes}\n"));
    }
    if !change.content {
        return Ok(out);
    }
    let before = content(client, &args.before, &change.before).await?;
    let after = content(client, &args.after, &change.after).await?;
    match (before, after) {
        (Some(before), Some(after)) => {
            let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(&before, &after);
            out.push_str(&diff.unified_diff().header(&from, &to).to_string());
        }
        _ => out.push_str(&format!("Binary files {from} and {to} differ\n")),
    }
    Ok(out)
}

/// A file's text; a link's target; nothing of a missing file or a folder. `None` when it is not text.
async fn content(client: &Client, image: &str, file: &Option<ImageFile>) -> anyhow::Result<Option<String>> {
    let Some(file) = file else { return Ok(Some(String::new())) };
    match file.typ.as_str() {
        "directory" => Ok(Some(String::new())),
        "symlink" => Ok(Some(file.link_target.clone())),
        "file" if file.size <= LARGEST_TEXT => {
            let request = client.request(Method::GET, contents::image(image, "/file")?);
            let bytes = request.parameters(&ImagePathQuery { path: file.path.clone() }).bytes().await?;
            Ok(String::from_utf8(bytes.into()).ok().filter(|text| !text.contains('\0')))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: u64, mode: u32) -> Option<ImageFile> {
        Some(ImageFile { size, mode, typ: "file".into(), ..ImageFile::default() })
    }

    #[test]
    fn changes_in_words() {
        let change = |path: &str, kind, before, after| ImageFileChange {
            path: path.into(),
            kind,
            content: true,
            before,
            after,
        };
        let changes = [
            change("/a", 1, None, file(1500, 0o644)),
            change("/b", 0, file(2000, 0o644), file(1000, 0o4755)),
            change("/c", 2, file(7, 0o644), None),
        ];
        assert_eq!(changes.iter().map(line).collect::<String>(), "A /a\nC /b (mode 644 to 4755)\nD /c\n");
        assert_eq!(
            statistics(&changes),
            "A    +1.5kB /a\nC      -1kB /b\nD       -7B /c\n1 added, 1 changed, 1 deleted, +493B\n"
        );
    }
}
