//! Questions on a terminal.

use std::io::{self, BufRead};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::super::output;

/// Asks for a line.
pub fn line(question: &str) -> anyhow::Result<String> {
    output::print(question)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// Asks for a line that is not shown while it is typed.
pub fn secret(question: &str) -> anyhow::Result<String> {
    output::print(question)?;
    let silence = Silence::enter()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    drop(silence);
    output::print("\n")?;
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}

/// A terminal without echo, until dropped.
struct Silence(Termios);

impl Silence {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO;
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // The terminal may be gone; there is nobody to tell.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
