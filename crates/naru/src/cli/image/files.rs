//! `image ls IMAGE PATH`: the files of an image, as `ls -l` shows them.

use api::{ImageFile, ImagePathQuery};
use client::{Client, Method};
use term::table::{Layout, align};

use super::super::Outcome;
use super::contents::{self, Shape};

/// Columns as narrow as they can be.
const LAYOUT: Layout = Layout { min_width: 0, padding: 2 };

/// Lists what is in a folder, or the one file.
pub async fn run(client: &Client, image: &str, path: &str, format: Option<&str>) -> Outcome {
    let shape = Shape::parse(format)?;
    let request = client.request(Method::GET, contents::image(image, "/files")?);
    let files: Vec<ImageFile> = request.parameters(&ImagePathQuery { path: path.to_owned() }).json().await?;
    shape.print(&files, |files| align(&files.iter().map(row).collect::<String>(), LAYOUT))?;
    Ok(0)
}

fn row(file: &ImageFile) -> String {
    let mode = mode(file);
    let size = match file.device.is_empty() {
        true => contents::size(file.size),
        false => file.device.clone(),
    };
    let time = file.modified.split('.').next().unwrap_or_default().trim_end_matches('Z');
    let link = match file.link_target.is_empty() {
        true => String::new(),
        false => format!(" -> {}", file.link_target),
    };
    format!("{mode}\t{}:{}\t{size}\t{time}Z\t{}{link}\n", file.uid, file.gid, file.path)
}

/// `drwxr-xr-x`.
fn mode(file: &ImageFile) -> String {
    let kind = match file.typ.as_str() {
        "directory" => 'd',
        "symlink" => 'l',
        "char" => 'c',
        "block" => 'b',
        "fifo" => 'p',
        "socket" => 's',
        _ => '-',
    };
    let mut out = kind.to_string();
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = file.mode >> shift;
        out.push(if bits & 4 == 0 { '-' } else { 'r' });
        out.push(if bits & 2 == 0 { '-' } else { 'w' });
        out.push(match (file.mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, false) => letter.to_ascii_uppercase(),
            (true, true) => letter,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_look_like_those_of_ls() {
        let file = ImageFile {
            path: "/usr/bin/su".into(),
            typ: "file".into(),
            mode: 0o4751,
            gid: 7,
            size: 1500,
            modified: "2024-01-02T03:04:05.5Z".into(),
            ..ImageFile::default()
        };
        assert_eq!(row(&file), "-rwsr-x--x\t0:7\t1.5kB\t2024-01-02T03:04:05Z\t/usr/bin/su\n");
        let link = ImageFile { typ: "symlink".into(), mode: 0o1777, link_target: "x".into(), ..file.clone() };
        assert!(row(&link).starts_with("lrwxrwxrwt\t"));
        assert!(row(&link).ends_with("/usr/bin/su -> x\n"));
        let device = ImageFile { typ: "char".into(), mode: 0o2640, device: "1:3".into(), ..file };
        assert!(row(&device).starts_with("crw-r-S---\t0:7\t1:3\t"));
    }
}
