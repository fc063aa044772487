//! `kiln run RECIPE|DIR`: boots with the locked QEMU, or prints the command that would.

use std::collections::BTreeMap;
use std::path::Path;

use super::failure::Failure;
use super::{output, registry};
use crate::cli::{self, PrintForm};
use crate::guest::gdb::{ArtifactsOrigin, GdbStub, GuestStart};
use crate::machine::LaunchAdditions;
use crate::machine::argv::{Accel, CommandLine, Place};
use crate::ops::error::UsageError;
use crate::ops::launch::{self, RunRequest};
use crate::ops::{Session, gone, project, share};
use crate::plan::ArtifactKind;
use crate::recipe::image::DiskFormat;
use crate::world::fs;

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::RunArgs) -> Result<(), Failure> {
    if let Some(form) = args.print {
        return print(session, args, form);
    }
    let (mut recipe, options) = (args.recipe.options(), args.realize.options());
    let shares = share::directories(session, &args.share)?;
    if let Some(directory) = registry::pulled(session, args)? {
        recipe.path = directory;
    }
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
        gdb: gdb(args, &recipe.path)?,
        host: args.host(),
        source: recipe.path.clone(),
        keys: args.keys(),
    };
    Ok(launch::run(session, &launches, &options)?)
}

/// The stub that is asked for; the source that gdb shows is the directory of `--source`, if there is one alone.
fn gdb(args: &cli::RunArgs, path: &Path) -> Result<Option<GdbStub>, Failure> {
    let Some(port) = args.gdb else { return Ok(None) };
    let start = if args.wait { GuestStart::OnContinue } else { GuestStart::AtOnce };
    let source = match args.recipe.sources.as_slice() {
        [(_, path)] => Some(fs::context("resolve", path, path.canonicalize())?),
        _ => None,
    };
    let artifacts = if path.is_dir() { ArtifactsOrigin::Given } else { ArtifactsOrigin::Built };
    Ok(Some(GdbStub { port, start, source, artifacts }))
}

/// The argv with what a launch fills in: relative to the result directory, so that it can be pasted there.
fn print(session: &Session<'_>, args: &cli::RunArgs, form: PrintForm) -> Result<(), Failure> {
    let machines = launch::described(session, &args.recipe.options())?;
    if let Some(name) = args.machine.as_deref().filter(|name| !machines.contains_key(*name)) {
        return Err(UsageError::no_such_machine(name, machines.keys()).into());
    }
    let front = args.machine.as_ref().or(machines.keys().next()).cloned();
    for (name, machine) in machines {
        if args.machine.as_ref().is_some_and(|asked| *asked != name) {
            continue;
        }
        let additions = if Some(&name) == front.as_ref() { args.additions() } else { LaunchAdditions::default() };
        additions.check(&machine.description).map_err(UsageError::from)?;
        let line = machine.description.argv(|launch| {
            launch.accel = match args.accel {
                cli::AccelArg::Auto => Accel::Open,
                cli::AccelArg::Kvm => Accel::Kvm,
                cli::AccelArg::Tcg => Accel::Tcg,
            };
            (launch.append, launch.arguments) = (additions.append.clone(), additions.arguments.clone());
        });
        let program = machine.description.machine.arch().facts().qemu.program;
        output::print(&spelled(&line, &machine.files, (program, form)))?;
    }
    Ok(())
}

fn spelled(line: &CommandLine, files: &BTreeMap<Place, String>, (program, form): (&str, PrintForm)) -> String {
    let fill = |place: Place| match place {
        // Variables go to a copy, which whoever pastes this makes first.
        place if place != Place::FirmwareVars && files.contains_key(&place) => files[&place].clone(),
        Place::Kernel => ArtifactKind::Kernel.file_name().to_owned(),
        Place::Initrd => ArtifactKind::Initrd.file_name().to_owned(),
        Place::Disk => ArtifactKind::Disk(DiskFormat::Qcow2).file_name().to_owned(),
        Place::Accel => "tcg".to_owned(),
        Place::FirmwareCode => ArtifactKind::FirmwareCode.file_name().to_owned(),
        other => other.name().to_owned(),
    };
    match form {
        PrintForm::Argv => {
            let words = line.words(&fill);
            std::iter::once(program.to_owned()).chain(words).map(|word| format!("{word}\n")).collect()
        }
        PrintForm::Sh => line.sh(program, &fill),
        PrintForm::Json => line.json(program, &fill),
    }
}
