//! Standard output: the only place that prints there, and the only one that knows a closed pipe is no failure.
//!
//! What is printed may quote others, so control characters are spelled out whether or not a terminal reads them: a script
//! sees the same text as its author.

use std::io::Write;

use super::failure::Failure;
use crate::base::tell;

/// Prints text whose line feeds are all kiln's own.
pub fn print(text: &str) -> Result<(), Failure> {
    write(&tell::plain(text))
}

/// Prints a value as indented JSON.
pub fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    json_text(&format!("{}\n", serde_json::to_string_pretty(value).map_err(Failure::world)?))
}

/// Prints a text that is JSON already.
pub fn json_text(text: &str) -> Result<(), Failure> {
    write(&tell::json(text))
}

fn write(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::world(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
