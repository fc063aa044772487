//! `kiln draw RECIPE`: the topology of its machines, as text or as a picture.

use super::failure::Failure;
use super::output;
use crate::cli;
use crate::machine::draw;
use crate::ops::{self, ExistingFile, OpsError, Session, TextTarget, WrittenText, load};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::DrawArgs) -> Result<(), Failure> {
    let loaded = load::recipe(session, &args.recipe.options())?;
    load::any_machine(&loaded).map_err(OpsError::from)?;
    let recipe = &loaded.recipe;
    // A picture of a machine that cannot exist would be wrong: its numbers are assigned on the premise that it can.
    ops::check(&loaded)?;
    match &args.svg {
        Some(path) => {
            let picture = draw::svg(recipe.machines.values());
            match TextTarget::open(path, ExistingFile::Replace)?.write(&picture)? {
                WrittenText::Handed => output::print(&picture),
                WrittenText::There => Ok(()),
            }
        }
        None => {
            let trees: Vec<String> = recipe.machines.values().map(draw::tree).collect();
            output::print(&trees.join("\n"))
        }
    }
}
