//! A base to the root file system of an image: users' numbers, what the recipe adds, and the rules once more.

use super::job::Job;
use super::rules::{RuleInput, Stage};
use super::run::Runner;
use super::{findings, origin, parts, rules};
use crate::exec::failure::StepFailure;
use crate::exec::tree::parts::Addition;
use crate::exec::tree::{RootError, Times, numbers, pack, restore, workspace};
use crate::plan::root::{BASE_WARNINGS, ROOT, RootIds, RootSpec, USERS};
use crate::world::fs;

/// Restores `base.tar`, changes it, and writes `root.tar` and `users.json`.
pub(crate) fn build(job: &Job<'_>, spec: &RootSpec) -> Result<(), RootError> {
    let missing = || RootError::from(StepFailure::bug("there is no output of a base among the inputs".to_owned()));
    let base = job.inputs.get("base.tar").ok_or_else(missing)?;
    let warnings = job.inputs.get(BASE_WARNINGS).ok_or_else(missing)?;
    let findings = findings::of_base(spec, warnings)?;
    let tree = workspace::prepare(&job.root, size(job)?)?;
    let mut times = Times::begin(&tree, spec.epoch)?;
    restore::restore(base, &tree, &mut times)?;
    let log = |line: &str| job.log(line);
    let (epoch, variation) = (spec.epoch, job.variation);
    let runner = Runner { root: &job.root, epoch, debs: Vec::new(), variation, log: &log };
    numbers::settle(spec, &tree, origin::of)?;
    let addition = Addition::new(spec, job.inputs, &tree)?;
    parts::apply(&addition, &runner)?;
    let input = RuleInput { rules: spec.rules, epoch: spec.epoch, stage: Stage::Root, files: &spec.files };
    let ids = rules::apply(&input, &addition.keeping_placed())?;
    fs::write_atomically(&job.out.join(USERS), &json(&ids))?;
    findings::write(job, &findings)?;
    pack::write(&tree, (spec.epoch, &times), &job.out.join(ROOT))
}

/// Bytes of the tree: everything that is put into it, twice for what its file system needs beside.
fn size(job: &Job<'_>) -> Result<u64, RootError> {
    let mut sum = 0_u64;
    for file in job.inputs.values() {
        sum = sum.saturating_add(fs::context("read", file, file.metadata())?.len());
    }
    Ok(sum.saturating_mul(2))
}

fn json(ids: &RootIds) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(ids).expect("maps of strings to numbers are JSON");
    bytes.push(b'\n');
    bytes
}
