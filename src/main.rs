//! Arguments in, exit code out.

use std::process::ExitCode;

use kiln::exec::builtin::root;
use kiln::exec::sandbox::inside::{self, Entry};

/// What kiln runs inside its own sandboxes, by name.
const ENTRIES: &[(&str, Entry)] = &[(root::ENTRY, root::inside)];

fn main() -> ExitCode {
    // Before anything else: this process may be part of a sandbox, which wants to have one thread.
    if let Some(code) = inside::maybe_run(std::env::args_os(), ENTRIES) {
        return code;
    }
    ExitCode::SUCCESS
}
