//! How a command line fails: exit code and text. Errors without a code of their own exit with 1, as Docker's do.

use std::fmt;

/// A failure with an exit code of its own.
#[derive(Debug)]
pub struct Failure {
    code: i32,
    text: String,
}

impl Failure {
    /// Exits with `code` after printing `text`; an empty text prints nothing.
    pub fn new(code: i32, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// Flags that make no sense: 125, whatever the verb.
    pub fn flags(text: impl Into<String>) -> Self {
        Self::new(125, text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// Prints an error; the exit code it stands for.
pub fn report(error: &anyhow::Error) -> i32 {
    // Whoever read our output has seen enough.
    if error.chain().any(is_broken_pipe) {
        return 141;
    }
    if let Some(failure) = error.downcast_ref::<Failure>() {
        if !failure.text.is_empty() {
            eprintln!("{}", failure.text);
        }
        return failure.code;
    }
    eprintln!("{}", text(error));
    1
}

/// An error in one line or more. A client's error says everything itself.
pub fn text(error: &anyhow::Error) -> String {
    match error.downcast_ref::<client::Error>() {
        Some(client::Error::Permission { source, .. }) => format!("{error}: {source}"),
        Some(_) => error.to_string(),
        None => format!("{error:#}"),
    }
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
