//! The door through which kiln starts itself again: `main` asks here first whether this process is part of a sandbox.

use std::ffi::OsString;
use std::process::ExitCode;

pub use super::job::EMPTY;
use super::job::{INIT, INSIDE, MONITOR, Message, Wires, Work};
use super::{EntryError, SandboxError, Spec, init, limits, monitor, spawn};
use crate::world::fs;

/// A function that [`super::call`] can run: it gets the argument, and says why it failed.
pub type EntryPoint = fn(&str) -> Result<(), EntryError>;

/// Entry that runs the [`Spec`] that it is given, which then has the ids of the call.
pub const NESTED: &str = "nested";

/// Entries that every kiln has.
const OWN: [(&str, EntryPoint); 2] = [(EMPTY, empty), (NESTED, nested)];

/// What this process is, when kiln started it for a sandbox; `None` when a person started it.
///
/// `args` are all of the process's arguments with the program's name first. Threads must not exist yet.
pub fn maybe_run(args: impl IntoIterator<Item = OsString>, entries: &[(&str, EntryPoint)]) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    let first = args.next()?;
    match first.to_str()? {
        MONITOR => Some(Wires::inherited(args).map_or(ExitCode::FAILURE, |wires| monitor::main(&wires))),
        INIT => Some(Wires::inherited(args).map_or(ExitCode::FAILURE, |wires| init::main(&wires))),
        INSIDE => {
            let name = args.next()?.into_string().ok()?;
            Some(Wires::inherited(args).map_or(ExitCode::FAILURE, |wires| run(&name, &wires, entries)))
        }
        _ => None,
    }
}

/// Tells the caller of [`super::call`] one line; errors do not matter, for then nobody listens.
pub fn say(line: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), format!("{line}\n").as_bytes());
}

fn run(name: &str, wires: &Wires, entries: &[(&str, EntryPoint)]) -> ExitCode {
    if let Ok(job) = wires.job() {
        limits::hold(job.limits);
    }
    let entry = entries.iter().chain(&OWN).find(|(known, _)| *known == name);
    let result = match (entry, wires.job().map(|job| job.work)) {
        (Some((_, entry)), Ok(Work::Entry { argument, .. })) => {
            tell_of_panics(wires).and_then(|()| Ok(entry(&argument)?))
        }
        (None, _) => Err(SandboxError::Misuse(format!("kiln has no function {name}"))),
        (_, Ok(Work::Program(_))) => Err(SandboxError::Misuse(format!("{name} was given a program"))),
        (_, Err(error)) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // When nobody listens any more there is nobody to tell.
            let _ = wires.tell(&Message::Failed(error));
            ExitCode::FAILURE
        }
    }
}

/// Has panics of this process told to the caller like every other failure, so that nobody takes them for the host's.
fn tell_of_panics(wires: &Wires) -> Result<(), SandboxError> {
    let twin = wires.twin().map_err(|error| SandboxError::setup("duplicate the socket to the caller", &error))?;
    let next = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let words = panic.payload_as_str().unwrap_or("without words");
        let _ = twin.tell(&Message::Failed(SandboxError::Panicked(words.to_owned())));
        next(panic);
    }));
    Ok(())
}

/// Removes what is in directories (a JSON list of paths) with files of owners that only exist inside: the caller may not.
fn empty(argument: &str) -> Result<(), EntryError> {
    let paths: Vec<std::path::PathBuf> = serde_json::from_str(argument).map_err(|error| error.to_string())?;
    for path in paths {
        let failed = |error: std::io::Error| format!("cannot empty {}: {error}", path.display());
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            fs::remove_tree(&entry.path()).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Runs a program in a sandbox within this one.
fn nested(argument: &str) -> Result<(), EntryError> {
    let spec: Spec = serde_json::from_str(argument).map_err(|error| error.to_string())?;
    let status = spawn::run(&spec, &mut say).map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", spec.argv.join(" ")).into()) }
}
