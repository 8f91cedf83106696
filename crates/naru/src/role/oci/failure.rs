//! Why a verb failed, as one line, and the exit code.

use runtime::bundle::Error;

/// See the module.
#[derive(Debug)]
pub enum Failure {
    /// What was typed, or a file of the caller's.
    Message(String),
    /// What was asked of a container.
    Container {
        /// Begins the message: "run failed: ".
        doing: &'static str,
        /// What went wrong.
        error: Error,
    },
}

/// Short for this role's results.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// With this text.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Message(message.into())
    }

    /// Something of the caller's could not be used.
    pub fn io<E: Into<std::io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |error| Self::Message(format!("{doing}: {}", error.into()))
    }

    /// What `doing` to a container met.
    pub fn during<E: Into<Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Container { doing, error: error.into() }
    }

    /// runc's one exit code for everything that went wrong before a program ran.
    pub fn code(&self) -> i32 {
        1
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Container { doing: "", error }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Message(message) => formatter.write_str(message),
            Self::Container { doing, error } => write!(formatter, "{doing}{error}"),
        }
    }
}
