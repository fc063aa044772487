//! `kiln run RECIPE|DIR`: boots with the locked QEMU, or prints the command that would.

use super::failure::Failure;
use super::{argv, gdb, registry};
use crate::cli;
use crate::ops::launch::{self, RunRequest};
use crate::ops::{Session, gone, project, share};

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
        gdb: gdb::asked(session, args, &recipe)?,
        host,
        source: recipe.path.clone(),
        keys: args.keys(),
    };
    Ok(launch::run(session, &launches, &options)?)
}
