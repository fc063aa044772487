//! One thin file per verb: parsed arguments to one operation of `ops`, and what came of it to words and exit codes.
//!
//! Input: parsed arguments. Output: an exit code, see `docs/errors.md`. It must not decide bits: everything that an
//! artifact depends on happens in the layers to its left.

mod argv;
pub mod attest;
pub mod bug;
pub mod build;
pub mod bundle;
pub mod challenge;
pub mod check;
pub mod diff;
pub mod doctor;
pub mod draw;
pub mod events;
mod export;
pub mod failure;
pub mod fmt;
pub mod gc;
mod gdb;
pub mod kconfig;
pub mod lock;
mod lock_notices;
mod notices;
pub mod outdated;
pub mod output;
pub mod plan;
pub mod progress;
pub mod push;
pub mod qemu;
pub mod qmp;
pub mod questions;
mod reference;
pub mod registry;
mod remote;
pub mod report;
mod results;
mod root;
pub mod run;
pub mod sbom;
pub mod shell;
pub mod sign;
pub mod signals;
pub mod store;
pub mod test;
mod tested;
pub mod verify;
mod verify_all;

use crate::cli::Verb;
use crate::exec::sandbox::inside::EntryPoint;
use crate::ops::Session;
use crate::world::RealWorld;
use events::Terminal;
use failure::Failure;

/// What kiln runs inside its own sandboxes, by name.
pub const ENTRIES: &[(&str, EntryPoint)] = crate::exec::ENTRIES;

/// Carries a verb out.
pub fn run(verb: Verb) -> Result<(), Failure> {
    signals::listen();
    let (world, terminal) = (RealWorld::default(), Terminal::default());
    let session = Session { world: &world, listener: &terminal };
    match verb {
        Verb::Check(args) => check::run(&session, &args),
        Verb::Fmt(args) => fmt::run(&session, &args),
        Verb::Lock(args) => lock::run(&session, &args),
        Verb::Plan(args) => plan::run(&session, &args),
        Verb::Build(args) => build::run(&session, &args),
        Verb::Run(args) => run::run(&session, &args),
        Verb::Ssh(args) => remote::ssh(&session, &args),
        Verb::Cp(args) => remote::copy(&session, &args),
        Verb::Qemu(args) => qemu::run(&session, &args),
        Verb::Qmp(args) => qmp::run(&session, &args),
        Verb::Test(args) => test::run(&session, &args),
        Verb::Verify(args) => verify::run(&session, &args),
        Verb::Sign(args) => sign::run(&session, &args),
        Verb::Attest(args) => attest::run(&session, &args),
        Verb::Bundle(args) => bundle::bundle(&session, &args),
        Verb::Unbundle(args) => bundle::unbundle(&session, &args),
        Verb::Export(args) => export::run(&session, &args),
        Verb::Push(args) => registry::push(&session, &args),
        Verb::Pull(args) => registry::pull(&session, &args),
        Verb::Challenge(args) => challenge::run(&session, &args),
        Verb::Sbom(args) => sbom::run(&session, &args),
        Verb::Diff(args) => diff::run(&session, &args),
        Verb::Why(args) => questions::why(&session, &args),
        Verb::Size(args) => questions::size(&session, &args),
        Verb::Outdated(args) => outdated::run(&session, &args),
        Verb::Report(args) => report::run(&session, &args),
        Verb::Draw(args) => draw::run(&session, &args),
        Verb::Kconfig(args) => kconfig::run(&session, &args),
        Verb::Shell(args) => shell::run(&session, &args),
        Verb::Doctor(args) => doctor::run(&session, &args),
        Verb::Store(args) => store::run(&session, &args),
        Verb::Root(args) => root::run(&session, &args),
        Verb::Gc(args) => gc::run(&session, &args),
    }
}
