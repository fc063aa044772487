//! Standard output: the only place that prints there, and the only one that knows a closed pipe is no failure.
//!
//! What is printed may quote others, so control characters are spelled out whether or not a terminal reads them: a script
//! sees the same text as its author.

use std::io::Write;
use std::process::ExitCode;

use super::failure::Failure;
use super::progress;
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

/// Prints commands for a CI service.
pub fn commands(lines: &[String]) -> Result<(), Failure> {
    write(&tell::commands(lines))
}

/// Says what is wrong with a command line, which may quote names of files; or prints the help or the version that it asks for.
pub fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        let text = error.render();
        let text = if progress::is_drawn_on() { text.ansi().to_string() } else { text.to_string() };
        tell::report(text.trim_end());
    } else {
        // A reader that has read enough, such as `head`, is no failure.
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
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
