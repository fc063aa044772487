//! What happens inside the user namespace, from first to last.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::packages::{self, Known};
use super::run::Runner;
use super::times::Times;
use super::unpack::{Manner, unpack};
use super::{RootError, database, numbers, pack, parts, rules, script, workspace};
use crate::exec::sandbox::inside::say;
use crate::plan::root::{RootIds, RootPackage, RootSpec};

/// What the process inside is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) spec: RootSpec,
    /// Inputs that the spec names, by their path in the step.
    pub(crate) inputs: std::collections::BTreeMap<String, PathBuf>,
    /// Becomes the tree; must not exist.
    pub(crate) root: PathBuf,
    /// `root.tar` and `users.json` go here.
    pub(crate) out: PathBuf,
    /// A library that programs are to load, of a second build.
    pub(crate) elsewhere: Option<PathBuf>,
}

/// The function that [`crate::exec::sandbox::call`] runs; the argument is a [`Job`] as JSON.
pub(crate) fn entry(argument: &str) -> Result<(), String> {
    let job: Job = serde_json::from_str(argument).map_err(|error| error.to_string())?;
    build(&job).map_err(|error| error.to_string())
}

fn build(job: &Job) -> Result<(), RootError> {
    let spec = &job.spec;
    let packages = packages::read(&files(job)?)?;
    workspace::prepare(&job.root, size(&packages))?;
    let mut times = Times::begin(&job.root, spec.epoch)?;
    let diverting: Vec<&Known> = packages.iter().filter(|package| package.diverts()).collect();
    unpack_all(job, &packages, &mut times)?;
    for package in &diverting {
        times.learn_package(package.control.package(), &package.file)?;
    }
    let deb = |package: &Known| package.diverts().then(|| format!("/tmp/debs/{}.deb", package.control.package()));
    let debs = diverting.iter().map(|package| (package.file.clone(), deb(package).unwrap_or_default())).collect();
    let runner = Runner { root: &job.root, epoch: spec.epoch, debs, elsewhere: job.elsewhere.as_deref() };
    rules::foresee(&job.root)?;
    let version = packages.iter().find(|package| package.control.package() == "dpkg");
    let version = version.ok_or_else(|| RootError::Broken("the image has no package dpkg".to_owned()))?;
    let text = script::configure(&packages::candidates(&packages, deb), version.control.version());
    let mut done = 0;
    runner.script("configuring packages", &text, &mut |line| {
        done += usize::from(line.starts_with("Setting up "));
        say(&format!("{done}/{} {line}", packages.len()));
    })?;
    numbers::settle(spec, &job.root)?;
    parts::apply(job, &runner)?;
    let ids = rules::apply(spec, &job.root)?;
    finish(job, &runner, (&ids, &times))
}

fn finish(job: &Job, runner: &Runner<'_>, (ids, times): (&RootIds, &Times)) -> Result<(), RootError> {
    super::tree::put(&job.out.join("users.json"), &json(ids), 0o644)?;
    // Both only read the tree: dpkg checks it while kiln writes the archive.
    let out = job.out.join("root.tar");
    let (checked, packed) =
        rayon::join(|| verify(job, runner), || pack::write(&job.root, (job.spec.epoch, times), &out));
    checked.and(packed)
}

/// Dpkg's own opinion of the result, and that it holds exactly the packages asked for.
fn verify(job: &Job, runner: &Runner<'_>) -> Result<(), RootError> {
    let mut findings = Vec::new();
    let mut installed = Vec::new();
    let text = "dpkg --audit; dpkg --verify; dpkg-query -W -f='= ${Package} ${Version} ${Architecture} ${Status}\\n'";
    runner.script("dpkg --audit and --verify", text, &mut |line| match line.strip_prefix("= ") {
        Some(package) => installed.push(package.to_owned()),
        None => findings.push(line.to_owned()),
    })?;
    // A file that the recipe replaces differs on purpose.
    let ours = |line: &String| job.spec.files.iter().any(|file| line.ends_with(&format!(" {}", file.path)));
    findings.retain(|line| !ours(line) && !rules::expected_finding(line));
    if !findings.is_empty() {
        return Err(RootError::Program {
            what: "dpkg --audit and --verify",
            status: "findings".to_owned(),
            tail: findings.join("\n"),
        });
    }
    let line = |package: &RootPackage| {
        let RootPackage { name, version, architecture, .. } = package;
        format!("{name} {version} {architecture} install ok installed")
    };
    let mut locked: Vec<String> = job.spec.packages.iter().map(line).collect();
    locked.sort();
    installed.sort();
    if installed == locked {
        return Ok(());
    }
    let odd = |a: &[String], b: &[String]| a.iter().filter(|x| !b.contains(x)).cloned().collect::<Vec<_>>().join(", ");
    let (extra, missing) = (odd(&installed, &locked), odd(&locked, &installed));
    Err(RootError::Broken(format!("installed is not what is locked: extra [{extra}], missing [{missing}]")))
}

fn unpack_all(job: &Job, packages: &[Known], times: &mut Times) -> Result<(), RootError> {
    let ours: Vec<&Known> = packages.iter().filter(|package| !package.diverts()).collect();
    let names = ours.iter().map(|known| (known.control.package().to_owned(), known.file.clone()));
    let judge = |a, b| packages::judge(&ours, a, b);
    let manner = Manner { faithful: true, mtime: None };
    let unpacked = unpack(&job.root, &names.collect::<Vec<_>>(), manner, &judge)?;
    unpacked.iter().flat_map(|package| &package.times).for_each(|mtime| times.learn(*mtime));
    database::write(&job.root, &unpacked)
}

fn files(job: &Job) -> Result<Vec<(RootPackage, PathBuf)>, RootError> {
    let find = |package: &RootPackage| {
        let file = job.inputs.get(&package.input).cloned();
        let file = file.ok_or_else(|| RootError::Broken(format!("there is no input `{}`", package.input)))?;
        Ok((package.clone(), file))
    };
    job.spec.packages.iter().map(find).collect()
}

/// Bytes of the tree: what the packages say they need (policy 5.6.20, in KiB), twice for what scripts add.
fn size(packages: &[Known]) -> u64 {
    let kibibytes = |known: &Known| known.control.stanza.get("Installed-Size")?.parse::<u64>().ok();
    packages.iter().filter_map(kibibytes).sum::<u64>().saturating_mul(2 * 1024)
}

fn json(ids: &RootIds) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(ids).expect("maps of strings to numbers are JSON");
    bytes.push(b'\n');
    bytes
}
