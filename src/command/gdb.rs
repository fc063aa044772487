//! `--gdb` of `kiln run`, for a machine that runs and for a command line that is printed.

use super::failure::Failure;
use crate::cli;
use crate::guest::gdb::{ArtifactsOrigin, GdbStub, GuestStart};
use crate::ops::{RecipeOptions, Session, load, local};
use crate::world::fs;

/// The stub that is asked for; the source that gdb shows is the directory of the kernel that `--source` names, if it is one alone.
pub(super) fn asked(
    session: &Session<'_>,
    args: &cli::RunArgs,
    recipe: &RecipeOptions,
) -> Result<Option<GdbStub>, Failure> {
    let Some(port) = args.gdb else { return Ok(None) };
    let start = if args.wait { GuestStart::OnContinue } else { GuestStart::AtOnce };
    let source = match recipe.sources.is_empty() {
        true => None,
        false => local::kernel_directory(&load::recipe(session, recipe)?.recipe, recipe),
    };
    let source = source.map(|path| fs::context("resolve", &path, path.canonicalize())).transpose()?;
    let artifacts = if recipe.path.is_dir() { ArtifactsOrigin::Given } else { ArtifactsOrigin::Built };
    Ok(Some(GdbStub { port, start, source, artifacts }))
}
