//! Why a verb failed, as one line, and the exit code.

use runtime::bundle::Error;

/// See the module.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: i32,
    /// Nothing went wrong: somebody asked what could be said.
    is_help: bool,
}

/// Short for this role's results.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// With this text.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1, is_help: false }
    }

    /// What was asked for by `--help`, in place of a result.
    pub fn help(text: String) -> Self {
        Self { message: text, code: 0, is_help: true }
    }

    /// See [`Self::help`].
    pub fn is_help(&self) -> bool {
        self.is_help
    }

    /// Something of the caller's could not be used.
    pub fn io<E: Into<std::io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |error| Self::usage(format!("{doing}: {}", runtime::bundle::reason(&error.into())))
    }

    /// The message with this before it.
    pub fn within(self, doing: &str) -> Self {
        if self.is_help {
            return self;
        }
        Self { message: format!("{doing}{}", self.message), ..self }
    }

    /// The message with this after it, in parentheses.
    pub fn followed_by(self, why: &str) -> Self {
        Self { message: format!("{} ({why})", self.message), ..self }
    }

    /// Another exit code than runc's usual 1.
    pub fn with_code(self, code: i32) -> Self {
        Self { code, ..self }
    }

    /// The exit code.
    pub fn code(&self) -> i32 {
        self.code
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::usage(error.to_string())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}
