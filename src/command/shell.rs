//! `kiln shell RECIPE STEP`: a shell in the sandbox of a step.

use super::failure::Failure;
use crate::cli;
use crate::ops::Session;
use crate::ops::shell::{self, ShellStart};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::ShellArgs) -> Result<(), Failure> {
    let start = if args.failed { ShellStart::AfterCommand } else { ShellStart::Fresh };
    Ok(shell::shell(session, &args.recipe.options(), &args.realize.options(), (&args.step, start))?)
}
