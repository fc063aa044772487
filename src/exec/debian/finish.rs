//! A base to the root file system of an image: users' numbers, what the recipe adds, and the rules once more.

use std::path::{Path, PathBuf};

use super::job::Job;
use super::rules::{RuleInput, Stage};
use super::run::Runner;
use super::{findings, origin, parts, rules};
use crate::exec::failure::StepFailure;
use crate::exec::tree::parts::Addition;
use crate::exec::tree::{RootError, Times, numbers, pack, restore, workspace};
use crate::plan::root::{BASE, BASE_WARNINGS, NAMED, NAMED_WARNINGS, ROOT, RootIds, RootSpec, USERS};
use crate::world::fs;

/// Restores the base, changes it, and writes `root.tar` and `users.json`.
pub(crate) fn build(job: &Job<'_>, spec: &RootSpec) -> Result<(), RootError> {
    let (base, warnings) = base(job)?;
    let mut findings = findings::of_base(spec, warnings)?;
    let tree = workspace::prepare(&job.root, size(job)?)?;
    let mut times = Times::begin(&tree, spec.epoch)?;
    restore::restore(base, &tree, &mut times)?;
    let log = |line: &str| job.log(line);
    let (epoch, variation) = (spec.epoch, job.variation);
    let runner = Runner { root: &job.root, hostname: &spec.hostname, epoch, mounts: Vec::new(), variation, log: &log };
    numbers::settle(spec, &tree, origin::of)?;
    let addition = Addition::new(spec, job.inputs, &tree)?;
    parts::apply(&addition, &runner)?;
    findings.extend(parts::unmade::find(&addition)?);
    findings::admit(spec, &findings)?;
    let input = RuleInput { rules: spec.rules, epoch: spec.epoch, stage: Stage::Root, files: &spec.files };
    let ids = rules::apply(&input, &addition.keeping_placed())?;
    fs::write_atomically(&job.out.join(USERS), &json(&ids))?;
    findings::write(job, &findings)?;
    pack::write(&tree, (spec.epoch, &times), &job.out.join(ROOT), &mut ())
}

/// The base that was configured under the image's own name, where there is one, and what was found in it.
fn base<'a>(job: &'a Job<'_>) -> Result<(&'a Path, &'a Path), RootError> {
    let missing = |name: &str| RootError::from(StepFailure::bug(format!("there is no input `{name}`")));
    let input = |name: &str| job.inputs.get(name).map(PathBuf::as_path).ok_or_else(|| missing(name));
    let file = input(NAMED)?;
    let size = fs::context("read", file, file.metadata())?.len();
    if size > 0 { Ok((file, input(NAMED_WARNINGS)?)) } else { Ok((input(BASE)?, input(BASE_WARNINGS)?)) }
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
