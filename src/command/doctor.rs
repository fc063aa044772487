//! `kiln doctor`: what this machine allows, and how to allow more.

use super::failure::Failure;
use super::output;
use crate::cli;
use crate::exec::doctor;
use crate::ops::{Session, load};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::DoctorArgs) -> Result<(), Failure> {
    let store = load::open_store(session.world)?;
    let facts = doctor::examine(store.root());
    if args.json {
        output::json(&facts)?;
    } else {
        let lines: Vec<String> = facts.iter().map(|fact| format!("{fact}\n")).collect();
        output::print(&lines.concat())?;
    }
    match facts.iter().filter(|fact| fact.stops_builds()).count() {
        0 => Ok(()),
        count => Err(Failure::world(format!("{count} problems prevent kiln from building on this host"))),
    }
}
