//! `kiln run --print`: the command line of a machine's QEMU in one of its spellings.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::{gdb, output};
use crate::cli::{self, PrintForm};
use crate::machine::LaunchAdditions;
use crate::machine::argv::{Accel, CommandLine, Place};
use crate::ops::error::UsageError;
use crate::ops::launch;
use crate::ops::sign::RequiredSignature;
use crate::ops::{RecipeOptions, Session};
use crate::plan::ArtifactKind;
use crate::recipe::image::DiskFormat;

/// The argv with what a launch fills in: relative to the result directory, so that it can be pasted there.
pub(super) fn print(
    session: &Session<'_>,
    args: &cli::RunArgs,
    (recipe, signature, form): (&RecipeOptions, Option<&RequiredSignature>, PrintForm),
) -> Result<(), Failure> {
    let machines = launch::described(session, recipe, signature)?;
    if let Some(name) = args.machine.as_deref().filter(|name| !machines.contains_key(*name)) {
        return Err(UsageError::no_such_machine(name, machines.keys()).into());
    }
    let front = args.machine.as_ref().or(machines.keys().next()).cloned();
    for (name, machine) in machines {
        if args.machine.as_ref().is_some_and(|asked| *asked != name) {
            continue;
        }
        let mut additions = if Some(&name) == front.as_ref() { args.additions() } else { LaunchAdditions::default() };
        additions.check(&machine.description).map_err(UsageError::from)?;
        if let Some(gdb) = gdb::asked(session, args, recipe)?.filter(|_| Some(&name) == front.as_ref()) {
            gdb.add_to_printed(&mut additions);
        }
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
