//! One thin file per verb: joins the layers and turns their errors into words and exit codes.
//!
//! Input: parsed arguments. Output: an exit code: 0 good, 1 mistakes in the recipe, 2 usage, 3 bits differ, 4 the
//! world failed. It must not decide bits: everything that an artifact depends on happens in the layers to its left.

pub mod build;
pub mod check;
pub mod deliver;
pub mod diffoscope;
pub mod doctor;
pub mod draw;
pub mod variation;

pub mod failure;
pub mod fmt;
pub mod gc;

pub mod kconfig;
pub mod launches;
pub mod leaks;
pub mod load;
pub mod lock;
pub mod machines;
pub mod mirrors;
pub mod output;
pub mod plan;
pub mod progress;
pub mod project;
pub mod qemu;
pub mod rebuild;
pub mod record;
pub mod run;
pub mod settle;
pub mod test;
pub mod verify;

use crate::cli::Verb;
use crate::exec::sandbox::inside::EntryPoint;
use failure::Failure;

/// What kiln runs inside its own sandboxes, by name.
pub const ENTRIES: &[(&str, EntryPoint)] = crate::exec::ENTRIES;

/// Carries a verb out.
pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Check(args) => check::run(&args),
        Verb::Fmt(args) => fmt::run(&args),
        Verb::Lock(args) => lock::run(&args),
        Verb::Plan(args) => plan::run(&args),
        Verb::Build(args) => build::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Draw(args) => draw::run(&args),
        Verb::Kconfig(args) => kconfig::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Gc(args) => gc::run(&args),
    }
}
