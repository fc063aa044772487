//! `kiln qemu RECIPE|DIR -- ARGS...`: the locked QEMU itself; its exit code becomes kiln's.

use super::failure::Failure;
use crate::cli;
use crate::ops::Session;
use crate::ops::emulator::{self, EmulatorRequest};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::QemuArgs) -> Result<(), Failure> {
    let request = EmulatorRequest { machine: args.machine.clone(), arguments: args.arguments.clone() };
    let (recipe, options) = (args.recipe.options(), args.realize.options());
    match emulator::run(session, (&recipe, &options), &request)? {
        0 => Ok(()),
        code => Err(Failure::Program { code }),
    }
}
