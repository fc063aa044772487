//! `kiln ssh RECIPE|DIR` and `kiln cp FROM TO`: OpenSSH of this host, told how to reach a running machine.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::failure::Failure;
use crate::cli;
use crate::ops::remote::{self, HostCommand};
use crate::ops::running::WantedMachine;
use crate::ops::{ErrorClass, Session};

/// A shell or a command in a running machine.
pub(super) fn ssh(session: &Session<'_>, args: &cli::SshArgs) -> Result<(), Failure> {
    let wanted = WantedMachine { source: Some(args.source.clone()), machine: args.machine.clone(), run: args.run };
    Err(become_program(&remote::ssh(session, &wanted, &args.command)?))
}

/// A copy into a running machine or out of one.
pub(super) fn copy(session: &Session<'_>, args: &cli::CpArgs) -> Result<(), Failure> {
    let cli::CpArgs { from, to, .. } = args;
    if let Some(surplus) = &args.surplus {
        let words = format!(
            "`kiln cp` takes FROM and TO; a recipe is named by an option: `kiln cp --recipe {from} {to} {surplus}`"
        );
        return Err(Failure::usage(words));
    }
    let run = WantedMachine { source: args.recipe.clone(), machine: None, run: args.run };
    Err(become_program(&remote::copy(session, &run, (from, to))?))
}

/// Becomes a program, so that the terminal, signals and the exit code are its own; returns only if that fails.
fn become_program(HostCommand { program, arguments }: &HostCommand) -> Failure {
    let error = Command::new(program).args(arguments).exec();
    let text = match error.kind() {
        ErrorKind::NotFound => {
            format!(
                "`{program}` is not installed; `kiln ssh` and `kiln cp` need OpenSSH's client (Debian: openssh-client)"
            )
        }
        _ => format!("cannot start `{program}`: {error}"),
    };
    Failure::Stated { class: ErrorClass::Host, text }
}
