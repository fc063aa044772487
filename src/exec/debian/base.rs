//! Packages to a configured system: what all images of the same packages have in common.

use std::path::{Path, PathBuf};

use super::excerpt::{Excerpts, PackageFailure};
use super::job::Job;
use super::packages::{self, Known};
use super::rules::{RuleInput, Stage};
use super::run::Runner;
use super::stand_ins::{self, StandIns};
use super::traces::Traces;
use super::verify::verify;
use super::{Deb, answers, database, findings, machine, rules, script};
use crate::base::{Arch, Foreign};
use crate::exec::failure::StepFailure;
use crate::exec::tree::{PathFilter, RootError, Times, Tree, UnpackMode, Witness, pack, unpack, workspace};
use crate::plan::Statement;
use crate::plan::root::{BASE, BaseSpec, NAMED, PathFilters, RootPackage, TRACES};
use crate::world::fs;

/// Configures packages under a name that stands for any, and writes `base.tar` and where that name is in it.
pub(crate) fn build(job: &Job<'_>, spec: &BaseSpec) -> Result<(), RootError> {
    let out = job.out.join(BASE);
    let mut traces = Traces::new()?;
    configure(job, spec, &out, &mut traces)?;
    let json = serde_json::to_vec_pretty(&traces.found()).expect("a list of strings is JSON");
    Ok(fs::write_atomically(&job.out.join(TRACES), &json)?)
}

/// Configures them under the image's own name, unless the base has no trace of any.
pub(crate) fn named(job: &Job<'_>, spec: &BaseSpec, traces: &[String]) -> Result<(), RootError> {
    let out = job.out.join(NAMED);
    if traces.is_empty() {
        findings::write(job, &[])?;
        return Ok(fs::write_atomically(&out, b"")?);
    }
    job.log(&format!("configured again under the host name {}, on which these files depend:", spec.hostname));
    traces.iter().for_each(|path| job.log(&format!("  {}", Foreign(path))));
    configure(job, spec, &out, &mut ())
}

/// Unpacks, configures, puts in order, and writes the archive.
fn configure(job: &Job<'_>, spec: &BaseSpec, out: &Path, witness: &mut (impl Witness + Send)) -> Result<(), RootError> {
    let packages = packages::read(&files(job, spec)?)?;
    let tree = workspace::prepare(&job.root, size(&packages))?;
    let mut times = Times::begin(&tree, spec.epoch)?;
    let diverting: Vec<&Known> = packages.iter().filter(|package| package.diverts()).collect();
    let filter = PathFilter::new(&spec.paths);
    unpack_all(&tree, spec.architecture, (&packages, &filter), &mut times)?;
    for package in &diverting {
        times.learn_package(&package.deb(Some(&filter)))?;
    }
    left_out(&tree, &spec.paths, &filter)?;
    let deb = |package: &Known| package.diverts().then(|| format!("/tmp/debs/{}.deb", package.control.package()));
    let debs: Vec<(PathBuf, String)> =
        diverting.iter().map(|package| (package.file.clone(), deb(package).unwrap_or_default())).collect();
    let log = |line: &str| job.log(line);
    let runner = |mounts| Runner {
        root: &job.root,
        hostname: &spec.hostname,
        epoch: spec.epoch,
        mounts,
        variation: job.variation,
        log: &log,
    };
    rules::foresee(&tree)?;
    machine::describe(&tree, spec)?;
    let answers = answers::prepare(&tree, spec)?;
    let version = packages.iter().find(|package| package.control.package() == "dpkg");
    let version = version
        .ok_or_else(|| RootError::from(StepFailure::recipe(Statement::Block, "the image has no package dpkg")))?;
    // A package that moves others' files out of the way could move what lies under a stand-in, which stays where it is.
    let quicker = job.stand_ins.as_ref().filter(|_| diverting.is_empty());
    let quicker = quicker.map_or(Ok(StandIns::default()), |directory| stand_ins::prepare(&tree, directory))?;
    quicker.programs.iter().for_each(|program| job.log(&format!("kiln: a quicker program stands in for {program}")));
    let before = [quicker.before.as_str(), answers].concat();
    let text = script::configure(&packages::candidates(&packages, deb), version.control.version(), &before);
    let (mut done, mut excerpts) = (0, Excerpts::default());
    let configured = runner([debs, quicker.mounts].concat()).script("configuring packages", &text, &mut |line| {
        if line.starts_with("Setting up ") {
            done += 1;
            job.progress(done, packages.len());
        }
        excerpts.hear(line);
        job.log(line);
    });
    configured.map_err(|error| of_packages(error, excerpts.finish()))?;
    answers::check(&tree, spec, &|doubt| job.warn(doubt))?;
    machine::forget_names(&tree)?;
    rules::apply(&RuleInput { rules: spec.rules, epoch: spec.epoch, stage: Stage::Base, files: &[] }, &tree)?;
    // Both only read the tree: dpkg checks it while kiln writes the archive.
    let check =
        || Ok::<_, RootError>([verify(spec, &tree, &filter, &runner(Vec::new()))?, rules::doubtful(&tree)?].concat());
    let (checked, packed) = rayon::join(check, || pack::write(&tree, (spec.epoch, &times), out, witness));
    findings::write(job, &checked?)?;
    packed
}

/// The same failure with the packages whose scripts failed, and what they said.
fn of_packages(error: RootError, failures: Vec<PackageFailure>) -> RootError {
    match error {
        RootError::Program { what, status, .. } if !failures.is_empty() => {
            let tail = failures.iter().flat_map(|failure| &failure.lines).cloned().collect::<Vec<_>>().join("\n");
            let packages = failures.into_iter().map(|failure| failure.package).collect();
            RootError::Program { what, status, tail, packages }
        }
        other => other,
    }
}

/// Has dpkg in the image leave out the same files, now and later. A pattern that matches nothing was meant to do something.
fn left_out(tree: &Tree, paths: &PathFilters, filter: &PathFilter<'_>) -> Result<(), RootError> {
    if filter.is_empty() {
        return Ok(());
    }
    if let Some(pattern) = filter.idle() {
        let message = format!("no file of this image's packages matches `{pattern}`");
        let failure = StepFailure::recipe(Statement::Pattern(pattern.to_owned()), message);
        return Err(failure.help("patterns are compared with the paths in the packages; `*` also matches `/`").into());
    }
    let line = |word: &str, pattern: &String| format!("path-{word}={pattern}\n");
    let exclude = paths.exclude.iter().map(|pattern| line("exclude", pattern));
    let text: String = exclude.chain(paths.include.iter().map(|pattern| line("include", pattern))).collect();
    tree.directory("etc/dpkg/dpkg.cfg.d")?;
    Ok(tree.put("etc/dpkg/dpkg.cfg.d/kiln-paths", text.as_bytes(), 0o644)?)
}

fn unpack_all(
    tree: &Tree,
    arch: Arch,
    (packages, filter): (&[Known], &PathFilter<'_>),
    times: &mut Times,
) -> Result<(), RootError> {
    let ours: Vec<&Known> = packages.iter().filter(|package| !package.diverts()).collect();
    let debs: Vec<Deb> = ours.iter().map(|known| known.deb(Some(filter))).collect();
    let judge = |a, b| packages::judge(&ours, a, b);
    let manner = UnpackMode { arch, faithful: true, mtime: None };
    let unpacked = unpack(tree, &debs, manner, &judge)?;
    unpacked.iter().flat_map(|package| &package.times).for_each(|mtime| times.learn(*mtime));
    database::write(tree, &unpacked)
}

fn files(job: &Job<'_>, spec: &BaseSpec) -> Result<Vec<(RootPackage, PathBuf)>, RootError> {
    let find = |package: &RootPackage| {
        let file = job.inputs.get(&package.input).cloned();
        let file =
            file.ok_or_else(|| RootError::from(StepFailure::bug(format!("there is no input `{}`", package.input))))?;
        Ok((package.clone(), file))
    };
    spec.packages.iter().map(find).collect()
}

/// Bytes of the tree: what the packages say they need (policy 5.6.20, in KiB), twice for what scripts add.
fn size(packages: &[Known]) -> u64 {
    let kibibytes = |known: &Known| known.control.stanza.get("Installed-Size")?.parse::<u64>().ok();
    packages.iter().filter_map(kibibytes).sum::<u64>().saturating_mul(2 * 1024)
}
