//! `kiln draw RECIPE`: the topology of its machines, as text or as a picture.

use super::failure::Failure;
use super::{load, output};
use crate::cli;
use crate::machine::draw;
use crate::world::fs;

/// Carries the verb out.
pub fn run(args: &cli::Draw) -> Result<(), Failure> {
    let recipe = load::recipe(&args.recipe)?.recipe;
    if recipe.machines.is_empty() {
        return Err(Failure::Usage("the recipe has no machine".to_owned()));
    }
    match &args.svg {
        Some(path) => {
            fs::write_atomically(path, draw::svg(recipe.machines.values()).as_bytes()).map_err(Failure::world)
        }
        None => {
            let trees: Vec<String> = recipe.machines.values().map(draw::tree).collect();
            output::print(&trees.join("\n"))
        }
    }
}
