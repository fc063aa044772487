//! `kiln verify --rebuild RECIPE` and `--inputs`: the same bits again, from the same inputs, in a store of their own.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::load::{self, Ready};
use super::variation::{self, Second, Variation};
use super::verify::Report;
use super::{build, diffoscope};
use crate::base::Foreign;
use crate::cli::{RealizeArgs, RecipeArgs};
use crate::exec::Realized;
use crate::inspect::differ;
use crate::plan::{Fetch, Input};
use crate::store::{Output, Store};

/// Builds in this store first, where there is anything to build, then again from nothing but the inputs.
pub fn run(args: &RecipeArgs) -> Result<Report, Failure> {
    let ready = load::ready(args)?;
    let first = build::realize_to_judge(&ready, &realize_args(false))?;
    let place = ready.store.scratch("rebuild").map_err(Failure::world)?;
    let report = second(args, &ready, &place).and_then(|second| {
        let report = compare(&ready, &first, &second);
        first.judge(&ready.store, &second.realized).map_err(Failure::world)?;
        for step in first.incremental().map(|at| &ready.plan.steps[at].kind) {
            crate::tell!("{step}: went on from an earlier run; compared with a run from nothing");
        }
        Ok(report)
    });
    // What is left is swept with the store's other scratch directories, should this fail.
    let _ = crate::world::fs::remove_tree(&place);
    report
}

fn realize_args(offline: bool) -> RealizeArgs {
    RealizeArgs {
        offline,
        jobs: None,
        no_cache: false,
        incremental: false,
        limits: Vec::new(),
        allow_leaks: false,
        variation: false,
    }
}

/// The second leg is another process, which sees another world; its results are read from its store.
fn second(args: &RecipeArgs, ready: &Ready, place: &Path) -> Result<Second, Failure> {
    let variation = Variation::new(place, &ready.loaded.lock_path)?;
    {
        let store = Store::open_for(&variation.store, load::owner()).map_err(Failure::world)?;
        for fetch in ready.plan.fetches.values().filter(|fetch| ready.store.has(&fetch.digest)) {
            // A copy, which the other store then owns: both may be cleaned without regard to the other.
            let copy = store.part_path(&fetch.digest);
            ready.store.copy_out(&fetch.digest, &copy).map_err(Failure::world)?;
            store.import_expecting(&copy, &fetch.digest, fetch.size).map_err(Failure::world)?;
        }
    }
    variation::build(&variation, args)?;
    let store = Store::open_for(&variation.store, load::owner()).map_err(Failure::world)?;
    // Everything is at hand there now; this only asks what it is.
    let realized = build::realize_in(ready, &ready.plan, &store, &realize_args(true))?;
    Ok(Second { store, realized })
}

fn compare(ready: &Ready, first: &Realized, second: &Second) -> Report {
    let mut report = Report { checked: 0, wrong: Vec::new(), differences: Vec::new() };
    for (at, step) in ready.plan.steps.iter().enumerate() {
        for output in &step.outputs {
            let from = Input::Output { step: at, name: output.clone() };
            let (one, two) = (first.file(&from), second.realized.file(&from));
            report.checked += 1;
            if one == two {
                continue;
            }
            let name = format!("step {}, output {output}", step.kind);
            let sizes = format!("{} ({} bytes), then {} ({} bytes)", one.sha256, one.size, two.sha256, two.size);
            let paths = (
                place(&ready.store, first.output(at, output)),
                place(&second.store, second.realized.output(at, output)),
            );
            let lines = match paths {
                (Some(one), Some(two)) => words(&one, &two, report.wrong.is_empty()),
                _ => vec!["one of them is no longer in its store; `kiln build --no-cache` makes it again".to_owned()],
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
pub fn inputs(args: &RecipeArgs) -> Result<Report, Failure> {
    let ready = load::ready(args)?;
    let fetches: Vec<&Fetch> = ready.plan.fetches.values().collect();
    build::fetch(&ready, &fetches)?;
    Ok(Report { checked: fetches.len(), wrong: Vec::new(), differences: Vec::new() })
}
