//! `kiln draw RECIPE`: the topology of its machines, as text or as a picture.

use super::failure::Failure;
use super::output;
use crate::cli;
use crate::machine::draw;
use crate::ops::{self, OpsError, Session, load};
use crate::world::fs;

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::DrawArgs) -> Result<(), Failure> {
    let loaded = load::recipe(session, &args.recipe.options())?;
    load::any_machine(&loaded).map_err(OpsError::from)?;
    let recipe = &loaded.recipe;
    // A picture of a machine that cannot exist would be wrong: its numbers are assigned on the premise that it can.
    ops::check(&loaded)?;
    match &args.svg {
        Some(path) => Ok(fs::write_atomically(path, draw::svg(recipe.machines.values()).as_bytes())?),
        None => {
            let trees: Vec<String> = recipe.machines.values().map(draw::tree).collect();
            output::print(&trees.join("\n"))
        }
    }
}
