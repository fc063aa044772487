//! Which running machine a user means: the same for every verb that reaches one.

use std::path::{Path, PathBuf};

use super::error::{OpsError, UsageError};
use super::launch::SOCKETS;
use super::project;
use super::session::Session;
use crate::guest::running::{self, FoundMachine, MachineQuery, RunningRun};

/// A running machine, as a user names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WantedMachine {
    /// The recipe or result directory that it was started from; any, when not given.
    pub source: Option<PathBuf>,
    /// Its name; the one on the terminal when not given.
    pub machine: Option<String>,
    /// The process id of its `kiln run`, needed where several runs have such a machine.
    pub run: Option<u32>,
}

/// The machine, if exactly one can be meant.
pub(super) fn find(session: &Session<'_>, wanted: &WantedMachine) -> Result<FoundMachine, OpsError> {
    let runs = running::list(Path::new(SOCKETS));
    let meant: Vec<&RunningRun> =
        runs.iter().filter(|run| wanted.run.is_none_or(|pid| run.record.pid == pid)).collect();
    let source = wanted.source.as_deref().map(|source| started(session, source, &meant)).transpose()?;
    let query = MachineQuery { source, machine: wanted.machine.clone(), run: wanted.run };
    Ok(running::choose(runs, &query).map_err(UsageError::from)?)
}

/// The name under which the runs know a source: a recipe's result may have been started by its directory.
fn started(session: &Session<'_>, source: &Path, runs: &[&RunningRun]) -> Result<PathBuf, OpsError> {
    let source = session.world.canonical(source)?;
    let is_started = |name: &PathBuf| runs.iter().any(|run| run.record.sources.contains(name));
    if is_started(&source) || source.is_dir() {
        return Ok(source);
    }
    let result = session.world.canonical(&project::result_path(&source)).ok();
    Ok(result.filter(is_started).unwrap_or(source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::running::RunRecord;
    use crate::world::memory::MemoryWorld;

    #[test]
    fn a_recipe_names_the_run_of_its_result_directory_unless_it_runs_itself() {
        let mut world = MemoryWorld::default();
        for file in ["/srv/a.kiln", "/srv/result/a/manifest.json", "result/a/manifest.json"] {
            world.files.insert(file.into(), Vec::new());
        }
        let session = Session::silent(&world);
        let result = session.world.canonical(Path::new("result/a")).unwrap();
        let run = |source: &Path| RunningRun {
            directory: "/tmp/run".into(),
            record: RunRecord::new(vec![source.to_owned()], Vec::new()),
        };
        let found = |runs: &[&RunningRun]| started(&session, Path::new("/srv/a.kiln"), runs).unwrap();
        assert_eq!(found(&[&run(&result)]), result);
        assert_eq!(found(&[&run(&result), &run(Path::new("/srv/a.kiln"))]), Path::new("/srv/a.kiln"));
        assert_eq!(found(&[&run(Path::new("/other"))]), Path::new("/srv/a.kiln"));
    }
}
