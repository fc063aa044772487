//! `kiln verify --rebuild RECIPE` and `--inputs`: the same bits again, from the same inputs, in a store of their own.

use super::build;
use super::failure::Failure;
use super::load::{self, Ready};
use super::verify::Report;
use crate::cli::{RealizeArgs, RecipeArgs};
use crate::exec::Realized;
use crate::plan::{Fetch, Input};
use crate::store::Store;

/// Builds in this store first, where there is anything to build, then again from nothing but the inputs.
pub fn run(args: &RecipeArgs) -> Result<Report, Failure> {
    let ready = load::ready(args)?;
    let first = build::realize(&ready, &realize_args(None, false))?;
    let place = ready.store.scratch("rebuild").map_err(Failure::world)?;
    let second = Store::open(&place.join("store")).map_err(Failure::world)?;
    let result = again(&ready, &second);
    let report = result.map(|realized| compare(&ready, &first, &realized));
    drop(second);
    // What is left is swept with the store's other scratch directories, should this fail.
    let _ = crate::world::fs::remove_tree(&place);
    report
}

fn realize_args(jobs: Option<u32>, offline: bool) -> RealizeArgs {
    RealizeArgs { offline, jobs, no_cache: false }
}

/// The second leg sees other processors, another umask, another store, another working directory.
fn again(ready: &Ready, second: &Store) -> Result<Realized, Failure> {
    for fetch in ready.plan.fetches.values().filter(|fetch| ready.store.has(&fetch.digest)) {
        let path = ready.store.path(&fetch.digest).map_err(Failure::world)?;
        second.import_expecting(&path, &fetch.digest, fetch.size).map_err(Failure::world)?;
    }
    build::realize_in(ready, &ready.plan, second, &realize_args(Some(1), false))
}

fn compare(ready: &Ready, first: &Realized, second: &Realized) -> Report {
    let mut report = Report { checked: 0, wrong: Vec::new() };
    for (at, step) in ready.plan.steps.iter().enumerate() {
        for output in &step.outputs {
            let from = Input::Output { step: at, name: output.clone() };
            let (one, two) = (first.file(&from), second.file(&from));
            report.checked += 1;
            if one != two {
                let name = format!("step {}, output {output}", step.name);
                let sizes = format!("{} ({} bytes), then {} ({} bytes)", one.sha256, one.size, two.sha256, two.size);
                report.wrong.push(format!("{name}: {sizes}"));
            }
        }
    }
    report
}

/// Every input is in the store with its digest, or a mirror still has it: then it is fetched, which checks it.
pub fn inputs(args: &RecipeArgs) -> Result<Report, Failure> {
    let ready = load::ready(args)?;
    let fetches: Vec<&Fetch> = ready.plan.fetches.values().collect();
    build::fetch(&ready, &fetches)?;
    Ok(Report { checked: fetches.len(), wrong: Vec::new() })
}
