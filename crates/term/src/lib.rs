//! What a terminal user sees: Go templates, tables, sizes and times in words, progress bars, and the terminal's own modes.
//!
//! Everything here turns values into text or text into values; nothing prints, reads the environment or knows a command.
//! The text follows the stock docker client to the byte where scripts parse it: tables, `--format`, sizes, durations.
#![forbid(unsafe_code)]

pub mod duration;
pub mod progress;
pub mod size;
pub mod table;
pub mod template;
pub mod time;
pub mod tty;
pub mod width;
