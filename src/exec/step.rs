//! Carries one step out: inputs at hand in, outputs in the store out.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ExecError;
use super::builtin::{self, Context};
use super::elsewhere;
use super::event::{Event, Listener};
use super::sandbox::{self, Mount, Network, Privileges, Root, SandboxError, Spec};
use super::warm::{self, Warming};
use crate::base::Digest;
use crate::format::qcow2;
use crate::plan::{Ids, Step, Work, id};
use crate::store::{Output, Store, StoreError};
use crate::world::fs;

/// Lines of a failed step that its error shows.
const TAIL: usize = 20;

/// A step that is ready to run.
pub(super) struct Ready<'a> {
    pub(super) step: &'a Step,
    /// Its resolved id.
    pub(super) action: Digest,
    /// Checked files and directories by input path.
    pub(super) inputs: BTreeMap<String, PathBuf>,
    /// The root of its sandbox.
    pub(super) tools: Option<PathBuf>,
    /// Whether its programs see another world than usual.
    pub(super) elsewhere: bool,
    /// How it goes on from an earlier run, if it may.
    pub(super) warm: Option<Warming<'a>>,
    pub(super) store: &'a Store,
    pub(super) listener: &'a dyn Listener,
    /// Whether the build is to end.
    pub(super) stop: &'a dyn Fn() -> bool,
}

/// What was wrong, before it is known where the log is.
enum Trouble {
    Exec(ExecError),
    Step(String),
}

impl<E: Into<ExecError>> From<E> for Trouble {
    fn from(error: E) -> Trouble {
        Trouble::Exec(error.into())
    }
}

/// The log of a step: all of it on disk, its end in memory.
struct Log<'a> {
    ready: &'a Ready<'a>,
    path: PathBuf,
    file: std::fs::File,
    tail: VecDeque<String>,
}

impl Log<'_> {
    fn line(&mut self, line: &str) {
        // A log that cannot be written is no reason to fail a step that can do its work.
        let _ = self.file.write_all(format!("{line}\n").as_bytes());
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
        self.ready.listener.on(Event::StepLog { step: self.ready.step.name.clone(), line: line.to_owned() });
    }
}

/// Runs the step; its outputs are in the store afterwards, the result is not yet recorded. Says whether it went on from
/// an earlier run.
pub(super) fn run(ready: &Ready<'_>) -> Result<(BTreeMap<String, Output>, bool), ExecError> {
    if let Some(kept) = warm::take(ready)? {
        let name = &ready.step.name;
        ready.listener.on(Event::StepWarm { step: name.clone() });
        match attempt(ready, Some(&kept)) {
            Err(ExecError::Step { reason, tail, .. }) => {
                let message =
                    format!("{name} could not go on from its last run and starts from nothing: {reason}{tail}");
                ready.listener.on(Event::Warning { message });
            }
            other => return Ok((other?, true)),
        }
    }
    Ok((attempt(ready, None)?, false))
}

/// One run of it: from a directory that was kept, or from nothing.
fn attempt(ready: &Ready<'_>, kept: Option<&Path>) -> Result<BTreeMap<String, Output>, ExecError> {
    let scratch = ready.store.scratch(&ready.step.name)?;
    let path = scratch.join("log");
    let failed = |error| ready.store.failure(error);
    let mut log = Log { ready, file: fs::create(&path).map_err(failed)?, path, tail: VecDeque::new() };
    let outputs = work(ready, kept, &scratch, &mut log);
    let result = outputs.map_err(|trouble| explain(ready, log, trouble));
    clean_up(ready, &scratch);
    result
}

fn work(
    ready: &Ready<'_>,
    kept: Option<&Path>,
    scratch: &Path,
    log: &mut Log<'_>,
) -> Result<BTreeMap<String, Output>, Trouble> {
    let directory = |name: &str| {
        let path = scratch.join(name);
        fs::create_dir_all(&path).map(|()| path).map_err(|error| ready.store.failure(error))
    };
    let out = directory("out")?;
    let library = ready.elsewhere.then(|| elsewhere::provide(scratch)).transpose();
    let library = library.map_err(|error| ready.store.failure(error))?;
    match &ready.step.work {
        Work::Builtin(builtin) => {
            let scratch = directory("scratch")?;
            let Ready { step, inputs, listener, .. } = ready;
            let (step, elsewhere) = (&step.name, library.as_deref());
            let context = Context { step, inputs, out: &out, scratch: &scratch, elsewhere, listener: *listener };
            builtin::run(builtin, &context).map_err(|error| Trouble::Step(error.to_string()))?;
        }
        Work::Sandbox { .. } => {
            let mut spec = spec(ready, &out);
            if let Some(kept) = kept {
                warm::place(ready, kept, &out)?;
                warm::disguise(ready, &mut spec)?;
            }
            command(spec, library.as_deref(), log)?;
            convert(ready, &out)?;
        }
    }
    let outputs = ready.step.outputs.iter().map(|name| Ok((name.clone(), collect(ready, &out, name)?)));
    let outputs: BTreeMap<String, Output> = outputs.collect::<Result<_, Trouble>>()?;
    warm::keep(ready, &out);
    Ok(outputs)
}

fn command(mut spec: Spec, library: Option<&Path>, log: &mut Log<'_>) -> Result<(), Trouble> {
    if let Some(library) = library {
        elsewhere::preload(&mut spec, library);
    }
    match sandbox::run(&spec, &mut |line| log.line(line)) {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Trouble::Step(status.to_string())),
        Err(SandboxError::Cancelled) => Err(ExecError::Interrupted.into()),
        Err(error) => Err(Trouble::Step(error.to_string())),
    }
}

/// The sandbox of a step, as a value.
fn spec(ready: &Ready<'_>, out: &Path) -> Spec {
    let Work::Sandbox { argv, env, ids, .. } = &ready.step.work else { unreachable!("only commands have sandboxes") };
    let inside = |path: &str| Path::new(id::ROOT).join(path);
    let mut mounts: Vec<Mount> = vec![Mount { source: out.to_owned(), target: inside(id::BUILD), readonly: false }];
    mounts.extend(ready.inputs.iter().map(|(path, source)| Mount {
        source: source.clone(),
        target: inside(id::IN).join(path),
        readonly: true,
    }));
    Spec {
        root: Root::ReadOnly(ready.tools.clone().expect("a command's tools were realized before it")),
        mounts,
        ids: if *ids == Ids::Range { sandbox::Ids::Range } else { sandbox::Ids::Single },
        network: Network::None,
        privileges: Privileges::Build,
        env: id::environment(env),
        argv: argv.clone(),
        cwd: inside(id::BUILD),
    }
}

/// Makes the qcow2 that the step asks for; the raw disk goes.
fn convert(ready: &Ready<'_>, out: &Path) -> Result<(), Trouble> {
    let Work::Sandbox { qcow2: Some((raw, image)), .. } = &ready.step.work else { return Ok(()) };
    let raw = out.join(raw);
    let source = fs::open(&raw).map_err(|error| Trouble::Step(error.to_string()))?;
    let target = fs::create_rw(&out.join(image)).map_err(|error| ready.store.failure(error))?;
    let step = &ready.step.name;
    let mut progress = |done, total| ready.listener.on(Event::StepProgress { step: step.clone(), done, total });
    let written = qcow2::write_qcow2(&source, target, qcow2::Options::default(), &mut progress);
    written.map_err(|error| Trouble::Step(error.to_string()))?;
    Ok(fs::remove_file(&raw).map_err(|error| ready.store.failure(error))?)
}

/// Takes one output into the store.
fn collect(ready: &Ready<'_>, out: &Path, name: &str) -> Result<Output, Trouble> {
    let path = out.join(name);
    let Ok(metadata) = path.symlink_metadata() else {
        return Err(Trouble::Step(format!("it left no {name} behind")));
    };
    if metadata.is_dir() {
        return Ok(ready.store.import_tree(&path)?);
    }
    if !metadata.is_file() {
        return Err(Trouble::Step(format!("its {name} is neither file nor directory")));
    }
    let executable = metadata.permissions().mode() & 0o111 != 0;
    let (digest, size) = ready.store.import(&path)?;
    Ok(Output::File { digest, size, executable })
}

/// Keeps the log where the error says it is.
fn explain(ready: &Ready<'_>, log: Log<'_>, trouble: Trouble) -> ExecError {
    let reason = match trouble {
        Trouble::Exec(error) => return error,
        // What a step says when it is killed is not why it failed.
        Trouble::Step(_) if super::interrupt::stopped() => return ExecError::Interrupted,
        Trouble::Step(reason) => reason,
    };
    // Programs and C libraries say it in these words, in every sandbox's locale.
    let full = |text: &String| text.contains("No space left on device") || text.contains("Disk quota exceeded");
    if full(&reason) || log.tail.iter().any(full) {
        return StoreError::Full(ready.store.root().to_owned()).into();
    }
    let kept = ready.store.log_path(&ready.action);
    if let Err(error) = fs::rename(&log.path, &kept) {
        return ready.store.failure(error).into();
    }
    let tail = log.tail.iter().map(|line| format!("\n  {line}")).collect();
    ExecError::Step { step: ready.step.name.clone(), reason, tail, log: kept }
}

/// Files of subordinate ids can only be removed inside; what stays is swept later.
fn clean_up(ready: &Ready<'_>, scratch: &Path) {
    if fs::remove_tree(scratch).is_err() {
        super::remove_inside(&[scratch.to_owned()], ready.listener);
    }
}
