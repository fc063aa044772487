//! Arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use kiln::exec::sandbox::inside;
use kiln::{cli, command};

fn main() -> ExitCode {
    command::bug::ends_the_process();
    // Before any thread: this process may be part of a sandbox, which wants to have one thread.
    if let Some(code) = inside::maybe_run(std::env::args_os(), command::ENTRIES) {
        return code;
    }
    let args = match cli::Cli::try_parse_from(cli::ordered(std::env::args_os())) {
        Ok(args) => args,
        Err(usage) => return command::output::usage(&usage),
    };
    match command::run(args.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            ExitCode::from(failure.code())
        }
    }
}
