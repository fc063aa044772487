//! `kiln run RECIPE|DIR`: boots with the locked QEMU, or prints the command that would.

use super::failure::Failure;
use super::{argv, gdb, reference};
use crate::cli;
use crate::ops::error::UsageError;
use crate::ops::launch;
use crate::ops::sign::RequiredSignature;
use crate::ops::{OpsError, RunRequest, Session, gone, project, share};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::RunArgs) -> Result<(), Failure> {
    let shares = share::directories(session, &args.share)?;
    let (mut recipe, mut options) = (args.recipe.options(), args.realize.options());
    // The keys are for the signature then, and none for caches, which nobody asks.
    let signature = args.signed.then(|| RequiredSignature { trusted: std::mem::take(&mut options.caches.trusted) });
    if let Some(directory) = reference::pulled(session, args, (&options, signature.as_ref()))? {
        recipe.path = directory;
    }
    if let Some(form) = args.print {
        return argv::print(session, args, (&recipe, signature.as_ref(), form));
    }
    let host = args.host.resources(args.bridge.clone());
    host.check()?;
    let request = RunRequest {
        machine: args.machine.clone(),
        accel: args.accel.into(),
        keep: args.keep.clone(),
        disk_size: args.disk_size,
        additions: args.additions(),
        gdb: gdb::asked(session, args, &recipe)?,
        host,
        source: recipe.path.clone(),
        keys: args.keys(),
    };
    let mut launches = if args.relock_gone {
        if recipe.path.is_dir() {
            return Err(Failure::usage("--relock-gone builds a recipe; a result directory is not built again"));
        }
        let out = project::result_path(&recipe.path);
        if signature.is_some() {
            return Err(OpsError::from(UsageError::SignedRecipe(recipe.path)).into());
        }
        launch::to_run(&gone::ready(session, &recipe, &gone::beside(&out))?, &options, (&out, &request))?
    } else {
        launch::named(session, &recipe, &options, (signature.as_ref(), &request))?
    };
    launch::share(&mut launches, &shares)?;
    Ok(launch::run(session, launches, &request)?)
}
