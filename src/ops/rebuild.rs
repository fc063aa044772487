//! The same bits again, from the same inputs, in a store of their own.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::error::OpsError;
use super::event::Notice;
use super::load::{self, Ready};
use super::options::{BuildOptions, CacheOptions, CacheUse, RecipeOptions};
use super::session::Session;
use super::variation::{self, Second, SecondBuild, Variation};
use super::verify::VerifyReport;
use super::{diffoscope, local, realize};
use crate::base::Foreign;
use crate::exec::Realized;
use crate::exec::interrupt::{self, Interruptible, RunningWork};
use crate::inspect::differ;
use crate::plan::Input;
use crate::store::{Output, Store};

/// Builds in this store first, where there is anything to build, then again from nothing but the inputs.
pub fn rebuild(
    session: &Session<'_>,
    options: &RecipeOptions,
    again: &SecondBuild<'_>,
) -> Result<VerifyReport, OpsError> {
    let ready = load::ready(session, options)?;
    local::verifiable(&ready.loaded.recipe)?;
    let first = realize::all(&ready, &realize::to_compare())?;
    // From here on an interrupt ends the second build, and what it left is removed.
    let _running = Interruptible::start(RunningWork::SecondBuild);
    let place = ready.store.scratch("rebuild")?;
    let report = second(&ready, &place, again).and_then(|second| {
        let report = compare(&ready, &first, &second);
        first.judge(&ready.store, &second.realized)?;
        first.confirm((&ready.plan, &ready.store), &second.realized)?;
        for step in first.incremental().map(|at| ready.plan.steps[at].name()) {
            session.notice(Notice::Compared { step: &step });
        }
        Ok(report)
    });
    // What is left is swept with the store's other scratch directories, should this fail.
    let _ = crate::world::fs::remove_tree(&place);
    report
}

/// The second leg is another process, which sees another world; its results are read from its store.
fn second(ready: &Ready<'_>, place: &Path, again: &SecondBuild<'_>) -> Result<Second, OpsError> {
    let variation = Variation::new(place, &ready.loaded.lock_path)?;
    {
        let store = Store::open_for(&variation.store, load::owner())?;
        for fetch in ready.plan.fetches.values().filter(|fetch| ready.store.has_sized(&fetch.digest, fetch.size)) {
            if interrupt::flag().load(Ordering::Relaxed) {
                return Err(OpsError::Interrupted);
            }
            // A copy, which the other store then owns: both may be cleaned without regard to the other.
            let copy = store.part_path(&fetch.digest);
            ready.store.copy_out(&fetch.digest, &copy)?;
            store.import_expecting(&copy, &fetch.digest, fetch.size)?;
        }
    }
    variation::build(&ready.loaded.session, &variation, again)?;
    let store = Store::open_for(&variation.store, load::owner())?;
    // Everything is at hand there now; this only asks what it is.
    let caches = CacheOptions { wanted: CacheUse::Nothing, ..CacheOptions::default() };
    let options = BuildOptions { offline: true, caches, ..BuildOptions::default() };
    let realized = realize::in_store(ready, &store, &options)?;
    Ok(Second { store, realized })
}

fn compare(ready: &Ready<'_>, first: &Realized, second: &Second) -> VerifyReport {
    let mut report = VerifyReport::default();
    for (at, step) in ready.plan.steps.iter().enumerate() {
        for output in &step.outputs {
            let objects = (first.output(at, output), second.realized.output(at, output));
            // What is transient is judged by what is made of it.
            let (Some(first_object), Some(second_object)) = objects else { continue };
            let from = Input::Output { step: at, name: output.clone() };
            let (one, two) = (first.file(&from), second.realized.file(&from));
            report.checked += 1;
            if one == two {
                continue;
            }
            let taken = first.taken().find(|(taken, _)| *taken == at);
            let taken = taken.map(|(_, origin)| format!(", which {}", origin.words())).unwrap_or_default();
            let name = format!("step {}, output {output}{taken}", step.kind);
            let sizes = format!("{} ({} bytes), then {} ({} bytes)", one.sha256, one.size, two.sha256, two.size);
            let paths = (place(&ready.store, first_object), place(&second.store, second_object));
            let lines = match paths {
                (Some(one), Some(two)) => words(&one, &two, report.wrong.is_empty()),
                _ => vec![
                    "one of them is no longer in its store; run `kiln build --no-cache` to make it again".to_owned(),
                ],
            };
            let lines: String = lines.iter().map(|line| format!("\n    {}", Foreign(line))).collect();
            report.wrong.push(format!("{name}: {sizes}{lines}"));
        }
    }
    report
}

/// kiln's own words, and of the first step, from which the others follow, diffoscope's.
fn words(one: &Path, two: &Path, first: bool) -> Vec<String> {
    let mut lines = differ::differences(one, two);
    if first {
        lines.extend(diffoscope::opinion(Path::new("diffoscope"), one, two));
    }
    lines
}

fn place(store: &Store, output: &Output) -> Option<PathBuf> {
    match output {
        Output::File { digest, .. } => store.path(digest).ok(),
        Output::Tree { root, .. } => store.tree(root).ok(),
    }
}

/// Every input is in the store with its digest, or a mirror still has it: then it is fetched, which checks it.
pub fn inputs(session: &Session<'_>, options: &RecipeOptions) -> Result<VerifyReport, OpsError> {
    let ready = load::ready(session, options)?;
    local::verifiable(&ready.loaded.recipe)?;
    Ok(VerifyReport { checked: realize::inputs(&ready)?, ..VerifyReport::default() })
}
