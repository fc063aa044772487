//! `kiln run RECIPE|DIR`: boots with the locked QEMU, or prints the command that would.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::failure::Failure;
use super::{launches, load, machines, output};
use crate::base::Foreign;
use crate::cli::{self, PrintForm};
use crate::guest::event::{TestEvent, TestListener};
use crate::guest::{self, Launch};
use crate::machine::Description;
use crate::machine::argv::{Accel, CommandLine, Place};
use crate::plan::ArtifactKind;
use crate::recipe::image::DiskFormat;
use crate::recipe::machine::Machine;
use crate::world::RealWorld;

/// Sockets and overlays of a run: a short path, since a socket's may have 107 bytes.
const BASE: &str = "/tmp";

/// Carries the verb out.
pub fn run(args: &cli::Run) -> Result<(), Failure> {
    if let Some(form) = args.print {
        return print(args, form);
    }
    let launches = launches::named(&args.recipe, &args.realize)?;
    let front = chosen(&launches, args.machine.as_deref())?;
    let background: Vec<&Launch> = launches.values().filter(|launch| launch.machine != front.machine).collect();
    let interrupted = launches::interruption()?;
    let options = guest::run::RunOptions {
        accel: launches::accel(args.accel),
        keep: args.keep.clone(),
        base: PathBuf::from(BASE),
        interrupted: &interrupted,
    };
    guest::run::run(front, &background, &options, &Told).map_err(launches::failure)
}

fn chosen<'a>(launches: &'a BTreeMap<String, Launch>, asked: Option<&str>) -> Result<&'a Launch, Failure> {
    match asked {
        Some(name) => launches.get(name).ok_or_else(|| unknown(name, launches.keys())),
        None => launches.values().next().ok_or_else(|| Failure::Usage("the recipe has no machine".to_owned())),
    }
}

fn unknown<'a>(name: &str, machines: impl Iterator<Item = &'a String>) -> Failure {
    let names: Vec<&str> = machines.map(String::as_str).collect();
    Failure::Usage(format!("there is no machine `{name}`; there are: {}", names.join(", ")))
}

/// The argv with what a launch fills in: relative to the result directory, so that it can be pasted there.
fn print(args: &cli::Run, form: PrintForm) -> Result<(), Failure> {
    let machines = described(&args.recipe)?;
    if let Some(name) = args.machine.as_deref().filter(|name| !machines.contains_key(*name)) {
        return Err(unknown(name, machines.keys()));
    }
    for (name, (described, files)) in machines {
        if args.machine.as_ref().is_some_and(|asked| *asked != name) {
            continue;
        }
        let line = described.argv(|launch| {
            launch.accel = match args.accel {
                cli::Accel::Auto => Accel::Open,
                cli::Accel::Kvm => Accel::Kvm,
                cli::Accel::Tcg => Accel::Tcg,
            }
        });
        let program = described.machine.arch().facts().qemu.program;
        output::print(&spelled(&line, &files, (program, form)))?;
    }
    Ok(())
}

/// Names of the files that fill places.
type Files = BTreeMap<Place, String>;

/// The machines of a recipe as they would be built, or of a directory as it was.
fn described(args: &cli::RecipeArgs) -> Result<BTreeMap<String, (Description, Files)>, Failure> {
    if args.recipe.is_dir() {
        let store = load::open_store(&RealWorld::default())?;
        let found = launches::described(&store, &args.recipe)?.into_iter().map(|(name, launch)| {
            let files = launch.artifacts.into_iter().map(|(place, artifact)| (place, artifact.file));
            (name, (launch.description, files.collect()))
        });
        return Ok(found.collect());
    }
    let loaded = load::recipe(args)?;
    let lock = load::lock_of(&loaded)?;
    machines::judge(&loaded.recipe, &lock)?;
    let one = |machine: &Machine| {
        let description = machines::description(&loaded.recipe, &lock, machine)?;
        Ok((machine.name.clone(), (description, Files::new())))
    };
    loaded.recipe.machines.values().map(one).collect()
}

fn spelled(line: &CommandLine, files: &Files, (program, form): (&str, PrintForm)) -> String {
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

/// What happens around a run, on standard error.
pub struct Told;

impl TestListener for Told {
    fn on(&self, event: TestEvent<'_>) {
        match event {
            TestEvent::Booting { machine, accel } => crate::tell!("{machine}: booting under {}", accel.name()),
            TestEvent::Ready { machine, millis } => {
                crate::tell!("{machine}: ready after {:.1} s", millis as f64 / 1000.0)
            }
            TestEvent::TestStarted { title } => crate::tell!("test: {}", Foreign(title)),
            TestEvent::TestFinished(result) => crate::tell!("{}", result.text()),
            TestEvent::Notice(text) => crate::tell!("{text}"),
        }
    }
}
