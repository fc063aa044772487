//! `kiln run RECIPE|DIR`: boots with the locked QEMU, or prints the command that would.

use super::failure::Failure;
use super::{argv, registry};
use crate::cli;
use crate::guest::gdb::{ArtifactsOrigin, GdbStub, GuestStart};
use crate::ops::launch::{self, RunRequest};
use crate::ops::{RecipeOptions, Session, gone, load, local, project, share};
use crate::world::fs;

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::RunArgs) -> Result<(), Failure> {
    let shares = share::directories(session, &args.share)?;
    let (mut recipe, options) = (args.recipe.options(), args.realize.options());
    if let Some(directory) = registry::pulled(session, args)? {
        recipe.path = directory;
    }
    if let Some(form) = args.print {
        return argv::print(session, args, (&recipe, form));
    }
    let host = args.host.resources(args.bridge.clone());
    host.check()?;
    let mut launches = if args.relock_gone {
        if recipe.path.is_dir() {
            return Err(Failure::usage("--relock-gone builds a recipe; a result directory is not built again"));
        }
        let out = project::result_path(&recipe.path);
        launch::of_recipe(&gone::ready(session, &recipe, &gone::beside(&out))?, &options, &out)?
    } else {
        launch::named(session, &recipe, &options)?
    };
    launch::enlarge(&mut launches, args.disk_size);
    launch::share(&mut launches, &shares)?;
    let options = RunRequest {
        machine: args.machine.clone(),
        accel: args.accel.into(),
        keep: args.keep.clone(),
        additions: args.additions(),
        gdb: gdb(session, args, &recipe)?,
        host,
        source: recipe.path.clone(),
        keys: args.keys(),
    };
    Ok(launch::run(session, &launches, &options)?)
}

/// The stub that is asked for; the source that gdb shows is the directory of the kernel that `--source` names, if it is one alone.
fn gdb(session: &Session<'_>, args: &cli::RunArgs, recipe: &RecipeOptions) -> Result<Option<GdbStub>, Failure> {
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
