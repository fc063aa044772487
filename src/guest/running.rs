//! Which machines of this user are running: a record in the private directory of each run, and whoever looks for one.
//!
//! Input: the directories of runs in `/tmp`. Output: what runs, with the ways to reach it. A record is believed only if its
//! directory is this user's, closed to everybody else, and in use: `/tmp` is everybody's, and a run that was killed leaves
//! its directory behind.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::rundir::{self, RunDir};
use crate::base::Foreign;
use crate::world::dir::Dir;
use crate::world::{WorldError, fs};

/// The record's name in the directory of a run.
const FILE: &str = "running.json";
/// Version of the record: another kiln may have written it.
const FORMAT: u32 = 1;
/// No record of kiln's is larger.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// What a run says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    format: u32,
    /// The kiln that runs it.
    pub pid: u32,
    /// What names it: the recipe, the result directory; absolute and without links.
    pub sources: Vec<PathBuf>,
    /// Its machines.
    pub machines: Vec<RunningMachine>,
}

/// One machine of a run. What belongs to it is in the directory of the run, in one of its own name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningMachine {
    pub name: String,
    /// The port on 127.0.0.1 that leads to its port 22.
    #[serde(default)]
    pub ssh: Option<u16>,
    /// Its QMP socket, below the directory of the run.
    #[serde(default)]
    pub qmp: Option<PathBuf>,
}

impl RunRecord {
    /// A record of this process.
    pub fn new(sources: Vec<PathBuf>, machines: Vec<RunningMachine>) -> RunRecord {
        RunRecord { format: FORMAT, pid: std::process::id(), sources, machines }
    }

    /// Writes it into the directory of its run, where others find it until the run ends.
    pub fn publish(&self, run: &RunDir) -> Result<(), WorldError> {
        let bytes = serde_json::to_vec(self).expect("a record has string keys only");
        fs::write_with_mode(&run.path().join(FILE), &bytes, 0o600)
    }
}

/// A run that is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningRun {
    /// Its private directory.
    pub directory: PathBuf,
    pub record: RunRecord,
}

/// A machine that is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundMachine {
    /// The private directory of its run.
    pub directory: PathBuf,
    pub machine: RunningMachine,
}

/// Which machine is meant.
#[derive(Debug, Clone, Default)]
pub struct MachineQuery {
    /// The recipe or the result directory that it was started from, absolute and without links; any, when not given.
    pub source: Option<PathBuf>,
    /// Its name; the only one, or the one on the terminal, when not given.
    pub machine: Option<String>,
    /// The process id of its kiln; any, when not given.
    pub run: Option<u32>,
}

/// Why there is no such machine.
#[derive(Debug, thiserror::Error)]
pub enum RunningError {
    #[error("no machine of {} is running; start it with `kiln run`", Foreign(.0.display()))]
    NoRun(PathBuf),
    #[error("no machine is running; start one with `kiln run`")]
    NothingRuns,
    #[error("no machine `{}` is running; these are: {running}", Foreign(name))]
    NoSuchMachine { name: String, running: String },
    #[error("no `kiln run` with process id {pid} is running; these are: {running}")]
    NoSuchRun { pid: u32, running: String },
    #[error("several runs have such a machine; choose one with `--run PID`: {pids}")]
    Several { pids: String },
}

/// Every run of this user that is going on, with a record that can be read.
pub fn list(base: &Path) -> Vec<RunningRun> {
    let directories = rundir::in_use(base).into_iter();
    let found = directories.filter_map(|directory| Some(RunningRun { record: read(&directory)?, directory }));
    found.collect()
}

fn read(directory: &Path) -> Option<RunRecord> {
    let bytes = Dir::open(directory).ok()?.plain(FILE).ok()?.read(MAX_RECORD_BYTES).ok()?;
    let record: RunRecord = serde_json::from_slice(&bytes).ok()?;
    let is_below = |path: &PathBuf| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let sane = record.machines.iter().all(|machine| machine.qmp.as_ref().is_none_or(is_below));
    (record.format == FORMAT && sane).then_some(record)
}

/// The machine that is meant among these runs, if exactly one can be.
pub fn choose(runs: Vec<RunningRun>, query: &MachineQuery) -> Result<FoundMachine, RunningError> {
    let of_source = |run: &RunningRun| query.source.as_ref().is_none_or(|source| run.record.sources.contains(source));
    let runs: Vec<RunningRun> = runs.into_iter().filter(of_source).collect();
    if runs.is_empty() {
        return Err(query.source.clone().map_or(RunningError::NothingRuns, RunningError::NoRun));
    }
    let pids = |runs: &mut dyn Iterator<Item = &RunningRun>| {
        runs.map(|run| run.record.pid.to_string()).collect::<Vec<_>>().join(", ")
    };
    let meant = |run: &&RunningRun| query.run.is_none_or(|pid| run.record.pid == pid);
    if let (Some(pid), None) = (query.run, runs.iter().find(meant)) {
        return Err(RunningError::NoSuchRun { pid, running: pids(&mut runs.iter()) });
    }
    let mut found = Vec::new();
    for run in runs.iter().filter(meant) {
        let machines = run.record.machines.iter();
        let machine = match &query.machine {
            Some(name) => machines.clone().find(|machine| machine.name == *name),
            None => machines.clone().next(),
        };
        found.extend(machine.map(|machine| (run, machine)));
    }
    match &found[..] {
        [(run, machine)] => Ok(FoundMachine { directory: run.directory.clone(), machine: (*machine).clone() }),
        [] => {
            let names =
                runs.iter().filter(meant).flat_map(|run| &run.record.machines).map(|machine| machine.name.as_str());
            let running = names.collect::<Vec<_>>().join(", ");
            Err(RunningError::NoSuchMachine { name: query.machine.clone().unwrap_or_default(), running })
        }
        several => Err(RunningError::Several { pids: pids(&mut several.iter().map(|(run, _)| *run)) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(name: &str) -> RunningMachine {
        RunningMachine { name: name.into(), ..RunningMachine::default() }
    }

    fn run(pid: u32, source: &str, machines: &[&str]) -> RunningRun {
        let machines = machines.iter().map(|name| machine(name)).collect();
        let record = RunRecord { format: FORMAT, pid, sources: vec![source.into()], machines };
        RunningRun { directory: format!("/tmp/{pid}").into(), record }
    }

    fn query(source: Option<&str>, machine: Option<&str>) -> MachineQuery {
        MachineQuery { source: source.map(PathBuf::from), machine: machine.map(str::to_owned), run: None }
    }

    #[test]
    fn one_machine_is_meant_or_the_reason_is_given() {
        let runs = || vec![run(1, "/a.kiln", &["m", "n"]), run(2, "/b.kiln", &["m"])];
        let name = |query| choose(runs(), &query).map(|found| (found.directory, found.machine.name));
        assert_eq!(name(query(Some("/a.kiln"), None)).unwrap(), ("/tmp/1".into(), "m".into()));
        assert_eq!(name(query(None, Some("n"))).unwrap(), ("/tmp/1".into(), "n".into()));
        assert_eq!(name(query(Some("/b.kiln"), Some("m"))).unwrap(), ("/tmp/2".into(), "m".into()));
        let said = |query| name(query).unwrap_err().to_string();
        assert!(said(query(None, Some("m"))).ends_with("choose one with `--run PID`: 1, 2"));
        let of_run = |pid, source, machine| MachineQuery { run: Some(pid), ..query(source, machine) };
        assert_eq!(name(of_run(2, None, Some("m"))).unwrap(), ("/tmp/2".into(), "m".into()));
        assert!(said(of_run(3, None, None)).starts_with("no `kiln run` with process id 3 is running; these are: 1, 2"));
        assert!(said(of_run(2, Some("/a.kiln"), None)).ends_with("these are: 1"));
        assert!(said(of_run(2, None, Some("n"))).ends_with("these are: m"));
        assert!(said(query(Some("/c.kiln"), None)).starts_with("no machine of /c.kiln is running"));
        assert!(said(query(Some("/a.kiln"), Some("x"))).ends_with("these are: m, n"));
        assert!(choose(Vec::new(), &query(None, None)).unwrap_err().to_string().contains("no machine is running"));
    }

    #[test]
    fn a_record_is_believed_while_its_run_goes_on_and_only_if_it_is_sane() {
        let base = std::env::temp_dir().join(format!("kiln-running-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        let run = RunDir::new(&base).unwrap();
        assert_eq!(list(&base), [], "without a record");
        let record = RunRecord::new(vec!["/r.kiln".into()], vec![machine("m")]);
        record.publish(&run).unwrap();
        let found = list(&base);
        assert_eq!((found.len(), &found[0].record), (1, &record));
        let path = run.path().join(FILE);
        let text = String::from_utf8(fs::read(&path, 1 << 20).unwrap()).unwrap();
        for wrong in
            ["{", &text.replace("\"format\":1", "\"format\":9"), &text.replace("\"qmp\":null", "\"qmp\":\"../q\"")]
        {
            assert_ne!(wrong, text);
            fs::write_atomically(&path, wrong.as_bytes()).unwrap();
            assert_eq!(list(&base), [], "{wrong}");
        }
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert_eq!(list(&base), [], "a pipe is not waited for");
        fs::remove_file(&path).unwrap();
        record.publish(&run).unwrap();
        fs::protect(run.path(), 0o755, None).unwrap();
        assert_eq!(list(&base), [], "open to others");
        fs::protect(run.path(), 0o700, None).unwrap();
        let (left, link) = (base.join("kiln-run-left"), base.join("kiln-run-link"));
        fs::create_dir_all(&left).unwrap();
        fs::protect(&left, 0o700, None).unwrap();
        fs::write_atomically(&left.join(".lock"), b"").unwrap();
        fs::write_atomically(&left.join(FILE), text.as_bytes()).unwrap();
        std::os::unix::fs::symlink(run.path(), &link).unwrap();
        assert_eq!(list(&base).len(), 1, "neither what a killed run left nor a link");
        drop(run);
        assert_eq!(list(&base), []);
        fs::remove_tree(&base).unwrap();
    }
}
