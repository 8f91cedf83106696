//! Where a copy ends up, decided from what both sides are and nothing else:
//!
//! | destination | source is a file | source is a folder |
//! |---|---|---|
//! | a folder | below it, under its own name | below it, under its own name; its contents alone for `folder/.` |
//! | a file | in its place | an error |
//! | nothing, with a slash at its end | an error | made, with the source's contents |
//! | nothing | made, under the new name | made, with the source's contents |

use super::super::Failure;

/// What is copied.
#[derive(Debug, Clone)]
pub struct Source {
    pub path: String,
    pub is_dir: bool,
    /// Its name in the copy, when a link was followed to it.
    pub rebase: Option<String>,
}

/// Where it is copied to.
#[derive(Debug, Clone)]
pub struct Place {
    pub path: String,
    pub exists: bool,
    pub is_dir: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The folder to unpack in.
    pub folder: String,
    /// The first part of every name in the archive…
    pub from: String,
    /// … and what it is to be called.
    pub to: String,
}

/// Decides.
pub fn plan(source: &Source, place: &Place) -> Result<Plan, Failure> {
    let from = base_name(&source.path);
    let own = source.rebase.clone().unwrap_or_else(|| from.clone());
    if place.exists && place.is_dir {
        return Ok(Plan { folder: place.path.clone(), from, to: own });
    }
    if place.exists && source.is_dir {
        return Err(Failure::new(1, "cannot copy directory"));
    }
    if !place.exists && !source.is_dir && asserts_folder(&place.path) {
        return Err(Failure::new(1, "no such directory"));
    }
    Ok(Plan { folder: folder_name(&place.path), from, to: base_name(&place.path) })
}

/// `a/` and `a/.` can only be folders.
fn asserts_folder(path: &str) -> bool {
    path.ends_with('/') || is_contents(path)
}

/// `a/.` means what is in `a`.
fn is_contents(path: &str) -> bool {
    path == "." || path.ends_with("/.")
}

/// The parts of a path that mean something.
fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => (),
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if path.starts_with('/') => (),
            part => parts.push(part),
        }
    }
    parts
}

/// The last part: `.` when the contents of a folder are meant, `/` for the root.
pub fn base_name(path: &str) -> String {
    if is_contents(path) {
        return ".".to_owned();
    }
    parts(path)
        .last()
        .map_or_else(|| if path.starts_with('/') { "/" } else { "." }.to_owned(), ToString::to_string)
}

/// Everything before the last part.
pub fn folder_name(path: &str) -> String {
    let parts = parts(path);
    let keep = if is_contents(path) { parts.len() } else { parts.len().saturating_sub(1) };
    let folder = parts[..keep].join("/");
    match (path.starts_with('/'), folder.is_empty()) {
        (true, _) => format!("/{folder}"),
        (false, true) => ".".to_owned(),
        (false, false) => folder,
    }
}

impl Plan {
    /// A name of the archive as it is to be called.
    pub fn rename(&self, name: &str) -> String {
        let name = name.strip_prefix("./").filter(|_| self.from != ".").unwrap_or(name);
        // Of the root only the contents have names.
        if self.from == "/" {
            return format!("{}/{}", self.to, name.trim_start_matches('/'));
        }
        match name.strip_prefix(self.from.as_str()) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{}{rest}", self.to),
            _ => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(
        source: &str,
        is_dir: bool,
        place: &str,
        state: &str,
    ) -> Result<(String, String, String), String> {
        let source = Source { path: source.to_owned(), is_dir, rebase: None };
        let place = Place { path: place.to_owned(), exists: state != "none", is_dir: state == "folder" };
        plan(&source, &place)
            .map(|plan| (plan.folder, plan.from, plan.to))
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_table() {
        let ok = |folder: &str, from: &str, to: &str| Ok((folder.to_owned(), from.to_owned(), to.to_owned()));
        let wrong = |text: &str| Err(text.to_owned());
        for (source, is_dir, place, state, expected) in [
            ("/a/f", false, "/d", "folder", ok("/d", "f", "f")),
            ("/a/s", true, "/d", "folder", ok("/d", "s", "s")),
            ("/a/s/", true, "/d/", "folder", ok("/d/", "s", "s")),
            ("/a/s/.", true, "/d", "folder", ok("/d", ".", ".")),
            ("/a/f", false, "/d/g", "file", ok("/d", "f", "g")),
            ("/a/s", true, "/d/g", "file", wrong("cannot copy directory")),
            ("/a/f", false, "/d/g/", "none", wrong("no such directory")),
            ("/a/s", true, "/d/g/", "none", ok("/d", "s", "g")),
            ("/a/s/.", true, "/d/g", "none", ok("/d", ".", "g")),
            ("/a/f", false, "/d/g", "none", ok("/d", "f", "g")),
            ("f", false, "g", "none", ok(".", "f", "g")),
            ("/", true, "/d/g", "none", ok("/d", "/", "g")),
        ] {
            assert_eq!(planned(source, is_dir, place, state), expected, "{source} {place} {state}");
        }
    }

    #[test]
    fn names_change_at_their_first_part_only() {
        let plan =
            |from: &str, to: &str| Plan { folder: String::new(), from: from.to_owned(), to: to.to_owned() };
        assert_eq!(plan("s", "t").rename("s/s/x"), "t/s/x");
        assert_eq!(plan("s", "t").rename("s"), "t");
        assert_eq!(plan("s", "t").rename("sx"), "sx");
        assert_eq!(plan(".", "g").rename("./a"), "g/a");
        assert_eq!(plan("/", "g").rename("etc/x"), "g/etc/x");
    }
}
