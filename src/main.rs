//! Arguments in, exit code out.

use std::process::ExitCode;

use kiln::exec::sandbox::inside;

fn main() -> ExitCode {
    // Before anything else: this process may be part of a sandbox, which wants to have one thread.
    if let Some(code) = inside::maybe_run(std::env::args_os(), kiln::exec::ENTRIES) {
        return code;
    }
    ExitCode::SUCCESS
}
