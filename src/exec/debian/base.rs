//! Packages to a configured system: what all images of the same packages have in common.
//!
//! The packages of a lock are configured in layers. kiln unpacks the first one all at once; those of a later one are unpacked
//! by dpkg, over what is there. A step configures one layer over the archive of the layers below, or all of them one after
//! the other.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::checksums::{Checksums, Watched};
use super::excerpt::{Excerpts, PackageFailure};
use super::job::Job;
use super::packages::{self, Known};
use super::rules::{RuleInput, Stage};
use super::run::Runner;
use super::script::Candidate;
use super::stand_ins::{self, StandIns};
use super::traces::Traces;
use super::{Deb, answers, checksums, database, findings, machine, remade, rules, script, verify};
use crate::base::{Arch, Foreign};
use crate::exec::failure::StepFailure;
use crate::exec::tree::{PathFilter, RootError, Times, Tree, UnpackMode, Witness, pack, restore, unpack, workspace};
use crate::plan::Statement;
use crate::plan::root::{BASE, BELOW, BaseSpec, NAMED, PathFilters, RootPackage, TRACES};
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
    let layers = spec.ranges().ok_or_else(|| StepFailure::bug("base.json has larger layers than packages"))?;
    let there = layers.first().map_or(0, |layer| layer.start);
    let below = (there > 0).then(|| input(job, BELOW)).transpose()?;
    let packages = packages::read(&files(job, &spec.packages[there..])?)?;
    let restored =
        below.as_ref().map_or(Ok(0), |below| fs::context("read", below, below.metadata()).map(|found| found.len()))?;
    let tree = workspace::prepare(&job.root, size(&packages).saturating_add(2 * restored))?;
    let mut times = Times::begin(&tree, spec.epoch)?;
    let mut remade = Vec::new();
    if let Some(below) = below {
        restore::restore(&below, &tree, &mut times)?;
        // Before any script of this layer runs, which could write one.
        remade = remade::read(&tree)?;
    }
    let filter = PathFilter::new(&spec.paths);
    let log = |line: &str| job.log(line);
    let runner = |mounts| Runner {
        root: &job.root,
        hostname: &spec.hostname,
        epoch: spec.epoch,
        mounts,
        variation: job.variation,
        log: &log,
    };
    let base = Base { job, spec, tree: &tree, filter: &filter };
    let (stop, quicker) = (AtomicBool::new(false), job.stand_ins.is_some());
    // The unpacked files are read while scripts run, one after the other. Without the quicker programs dpkg has to do it.
    let checksums = std::thread::scope(|scope| {
        let _ended = Stopped(&stop);
        let mut reading = None;
        for range in layers {
            let packages = &packages[range.start - there..range.end - there];
            let layer = Layer { range: &range, packages };
            base.unpack(&layer, &mut times)?;
            let prepared = base.prepare(&layer)?;
            if quicker && reading.is_none() {
                reading = Some(scope.spawn(|| {
                    let _low = checksums::Low::begin();
                    checksums::read(&tree, Checksums::default(), &stop)
                }));
            }
            base.scripts(&layer, &runner(prepared.mounts.clone()), &prepared)?;
        }
        let Some(reading) = reading else { return Ok(Checksums::default()) };
        stop.store(true, Ordering::Relaxed);
        checksums::hurry();
        let read = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        checksums::read(&tree, read, &AtomicBool::new(false))
    })?;
    answers::check(&tree, spec, &|doubt| job.warn(doubt))?;
    machine::forget_names(&tree)?;
    rules::apply(&RuleInput { rules: spec.rules, epoch: spec.epoch, stage: Stage::Base, files: &[] }, &tree)?;
    if !remade.is_empty() {
        remade::add(&tree, remade)?;
    }
    // Both only read the tree: dpkg looks at its database while kiln writes the archive.
    let mut watched = Watched::new(&checksums, witness);
    let audit = || Ok::<_, RootError>((verify::audit(spec, &tree, &runner(Vec::new()))?, rules::doubtful(&tree)?));
    let (audited, packed) = rayon::join(audit, || pack::write(&tree, (spec.epoch, &times), out, &mut watched));
    let (audited, doubtful) = audited?;
    packed?;
    let files = verify::files(spec, &tree, &filter, &runner(Vec::new()), &watched.finish())?;
    findings::write(job, &[verify::in_order([audited, files].concat()), doubtful].concat())
}

/// Tells those who read beside that there is no more need, when it goes.
struct Stopped<'a>(&'a AtomicBool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What all layers have in common.
struct Base<'a> {
    job: &'a Job<'a>,
    spec: &'a BaseSpec,
    tree: &'a Tree,
    filter: &'a PathFilter<'a>,
}

/// Packages that are configured together.
struct Layer<'a> {
    /// Where in the list they are.
    range: &'a Range<usize>,
    packages: &'a [Known],
}

impl Layer<'_> {
    /// Packages that dpkg unpacks, and where it sees them.
    fn deb(&self, package: &Known) -> Option<String> {
        let by_dpkg = self.range.start > 0 || package.diverts();
        by_dpkg.then(|| format!("/tmp/debs/{}.deb", package.control.package()))
    }
}

/// What a layer's scripts run with.
struct Prepared {
    packages: Vec<Candidate>,
    /// Files that they see besides the tree.
    mounts: Vec<(PathBuf, String)>,
    /// What the script begins with.
    before: String,
}

impl Base<'_> {
    /// Unpacks what dpkg does not, and learns the times of all packages.
    fn unpack(&self, layer: &Layer<'_>, times: &mut Times) -> Result<(), RootError> {
        let (late, early): (Vec<&Known>, Vec<&Known>) =
            layer.packages.iter().partition(|package| layer.deb(package).is_some());
        let is_first = layer.range.start == 0;
        if is_first {
            unpack_all(self.tree, self.spec.architecture, (&early, self.filter), times)?;
        }
        late.iter().try_for_each(|package| times.learn_package(&package.deb(Some(self.filter))))?;
        if is_first { left_out(self.tree, &self.spec.paths, self.filter) } else { Ok(()) }
    }

    /// The packages that dpkg unpacks, and the programs that are quicker than those of the packages.
    fn prepare(&self, layer: &Layer<'_>) -> Result<Prepared, RootError> {
        let deb = |package: &Known| Some((package.file.clone(), layer.deb(package)?));
        let debs = layer.packages.iter().filter_map(deb);
        // A package that moves others' files out of the way could move what lies under a stand-in, which stays where it is.
        let moves = |package: &Known| {
            package.diverts() && package.preinst().is_some_and(|script| stand_ins::may_be_moved_by(&script))
                || package
                    .scripts()
                    .any(|script| stand_ins::are_handled_by(&script) || stand_ins::may_be_moved_later_by(&script))
        };
        let is_first = layer.range.start == 0;
        let handled = layer.packages.iter().any(moves) || !is_first && stand_ins::are_handled_in(self.tree)?;
        let quicker = self.job.stand_ins.as_ref().filter(|_| !handled);
        let quicker = quicker.map_or(Ok(StandIns::default()), |directory| stand_ins::prepare(self.tree, directory))?;
        for program in &quicker.programs {
            self.job.log(&format!("kiln: a quicker program stands in for {program}"));
        }
        let packages = packages::candidates(layer.packages, |package| layer.deb(package));
        Ok(Prepared { packages, mounts: debs.chain(quicker.mounts).collect(), before: quicker.before })
    }

    /// Runs the scripts of a layer's packages.
    fn scripts(&self, layer: &Layer<'_>, runner: &Runner<'_>, prepared: &Prepared) -> Result<(), RootError> {
        let Base { job, spec, tree, .. } = self;
        let coming = prepared.packages.iter().filter(|package| package.deb.is_some());
        rules::foresee(tree, &coming.map(|package| package.name.as_str()).collect::<Vec<_>>())?;
        machine::describe(tree, spec)?;
        let answers = answers::prepare(tree, spec, layer.range)?;
        let dpkg = spec.packages.iter().find(|package| package.name == "dpkg");
        let dpkg = dpkg.ok_or_else(|| StepFailure::recipe(Statement::Block, "the image has no package dpkg"))?;
        let before = [prepared.before.as_str(), answers].concat();
        let text = script::configure(&prepared.packages, &dpkg.version, &before);
        let (mut done, mut excerpts) = (layer.range.start, Excerpts::default());
        let configured = runner.script("configuring packages", &text, &mut |line| {
            if line.starts_with("Setting up ") {
                done += 1;
                job.progress(done, spec.packages.len());
            }
            excerpts.hear(line);
            job.log(line);
        });
        configured.map_err(|error| of_packages(error, excerpts.finish()))
    }
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
    (packages, filter): (&[&Known], &PathFilter<'_>),
    times: &mut Times,
) -> Result<(), RootError> {
    let debs: Vec<Deb> = packages.iter().map(|known| known.deb(Some(filter))).collect();
    let judge = |a, b| packages::judge(packages, a, b);
    let manner = UnpackMode { arch, faithful: true, mtime: None };
    let unpacked = unpack(tree, &debs, manner, &judge)?;
    unpacked.iter().flat_map(|package| &package.times).for_each(|mtime| times.learn(*mtime));
    database::write(tree, &unpacked)
}

fn files(job: &Job<'_>, packages: &[RootPackage]) -> Result<Vec<(RootPackage, PathBuf)>, RootError> {
    packages.iter().map(|package| Ok((package.clone(), input(job, &package.input)?))).collect()
}

fn input(job: &Job<'_>, name: &str) -> Result<PathBuf, RootError> {
    let file = job.inputs.get(name).cloned();
    file.ok_or_else(|| RootError::from(StepFailure::bug(format!("there is no input `{name}`"))))
}

/// Bytes of the tree: what the packages say they need (policy 5.6.20, in KiB), twice for what scripts add.
fn size(packages: &[Known]) -> u64 {
    let kibibytes = |known: &Known| known.control.stanza.get("Installed-Size")?.parse::<u64>().ok();
    packages.iter().filter_map(kibibytes).sum::<u64>().saturating_mul(2 * 1024)
}
