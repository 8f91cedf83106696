//! Standard output and error. Printing can fail (a closed pipe, a full disk), so it is a result and not a panic.

use std::io::{self, Write};

/// Writes to standard output, at once.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Into::into)
}

/// The same, with a line break.
pub fn line(text: &str) -> anyhow::Result<()> {
    print(&format!("{text}\n"))
}

/// Something that the user should know beside the output, as the stock client sets it off.
pub fn note(text: &str) -> anyhow::Result<()> {
    let mut out = "\n".to_owned();
    for (index, line) in text.split('\n').enumerate() {
        let mark = if index == 0 { " Info -> " } else { "         " };
        out.push_str(&format!("{mark}{line}\n"));
    }
    print(&out)
}

/// A line on standard error; what cannot be said there is not said.
pub fn warn(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Bytes to standard output, at once.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Into::into)
}

/// Bytes to standard error.
pub fn error_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    io::stderr().lock().write_all(bytes).map_err(Into::into)
}

/// Writes to standard error, as it is; what cannot be said there is not said.
pub fn print_error(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
