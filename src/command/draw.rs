//! `kiln draw RECIPE`: the topology of its machines, as text or as a picture.

use super::failure::Failure;
use super::output;
use crate::cli;
use crate::machine::draw;
use crate::ops::error::UsageError;
use crate::ops::{Session, load};
use crate::world::fs;

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::DrawArgs) -> Result<(), Failure> {
    let recipe = load::recipe(session, &args.recipe.options())?.recipe;
    if recipe.machines.is_empty() {
        return Err(UsageError::NoMachines.into());
    }
    match &args.svg {
        Some(path) => Ok(fs::write_atomically(path, draw::svg(recipe.machines.values()).as_bytes())?),
        None => {
            let trees: Vec<String> = recipe.machines.values().map(draw::tree).collect();
            output::print(&trees.join("\n"))
        }
    }
}
