//! What a lock says of its contents by itself, for a directory whose recipe is not there: one that was pulled.
//!
//! Input: a lock and the manifest of its build. Output: a plan with a step for each image, stock or compiled kernel and QEMU, and with what
//! of the lock is in it. Which delivered file has which of them, and what builds and tools took part, only a recipe says.

use std::collections::{BTreeMap, BTreeSet};

use crate::deliver::manifest::Manifest;
use crate::lock::{Lock, LockedPackage};
use crate::plan::stock::carries_kernel;
use crate::plan::{Builder, Builtin, Input, Plan, Step, StepKind, Work};

/// The plan, and its steps for images and kernels.
pub(super) fn plan(lock: &Lock, manifest: &Manifest) -> (Plan, Vec<usize>) {
    let mut outline = Outline { builder: Builder::new(lock), lock };
    let images = lock.images.keys().filter_map(|image| Some((StepKind::Root(image.clone()), lock.sets.get(image)?)));
    let mut loose: Vec<usize> = Vec::new();
    for (kind, packages) in images {
        let inputs = outline.packages(packages.iter());
        loose.push(outline.step(kind, inputs));
    }
    for kernel in kernels(lock) {
        loose.extend(outline.kernel(kernel));
    }
    for (machine, step) in &manifest.qemu {
        if let Some(at) = outline.emulator(step) {
            outline.builder.plan.qemu.insert(machine.clone(), at);
        }
    }
    (outline.builder.plan, loose)
}

/// Names that kernels may have: their sets and sources are called after them. Which of these are kernels, the steps say.
fn kernels(lock: &Lock) -> BTreeSet<&str> {
    let sets = lock.sets.keys().filter_map(|set| set.strip_suffix(".package").or(set.strip_suffix(".source")));
    sets.chain(lock.sources.keys().filter_map(|source| source.strip_suffix("-source"))).collect()
}

struct Outline<'a> {
    builder: Builder<'a>,
    lock: &'a Lock,
}

impl<'a> Outline<'a> {
    fn packages(&mut self, packages: impl Iterator<Item = &'a LockedPackage>) -> Vec<Input> {
        // What the recipe brought along is nowhere to be fetched from.
        let input = |package: &LockedPackage| match package.archive.is_local() {
            true => Input::Fetched(package.file.sha256),
            false => self.builder.fetch(package),
        };
        packages.map(input).collect()
    }

    fn step(&mut self, kind: StepKind, inputs: Vec<Input>) -> usize {
        let inputs: BTreeMap<String, Input> =
            inputs.into_iter().enumerate().map(|(at, input)| (format!("{at:04}"), input)).collect();
        let work = Work::Builtin(Builtin::Tools);
        self.builder.once(kind, |_, kind| Step { kind, work, inputs, outputs: Vec::new() })
    }

    fn kernel(&mut self, kernel: &str) -> Option<usize> {
        let lock = self.lock;
        let (stock, compiled) = (StepKind::StockKernel(kernel.to_owned()), StepKind::KernelBuild(kernel.to_owned()));
        let has = |kind: &StepKind| lock.steps.contains_key(&kind.to_string());
        let set = |part: &str| lock.sets.get(&format!("{kernel}.{part}")).map_or(&[][..], Vec::as_slice);
        if has(&stock) {
            let inputs = self.packages(set("package").iter().filter(|package| carries_kernel(&package.name)));
            return Some(self.step(stock, inputs));
        }
        if !has(&compiled) {
            return None;
        }
        let is_source = |package: &&LockedPackage| package.name.starts_with("linux-source-");
        let mut inputs = self.packages(set("source").iter().filter(is_source));
        if let Some((name, source)) = lock.sources.get_key_value(&format!("{kernel}-source")) {
            inputs.extend(source.files.keys().map(|file| self.builder.fetch_source(name, file)));
        }
        Some(self.step(compiled, inputs))
    }

    /// The QEMU that a step of the manifest unpacks.
    fn emulator(&mut self, step: &str) -> Option<usize> {
        let lock = self.lock;
        let of_set = |(set, packages): (&'a String, &'a Vec<LockedPackage>)| {
            let built = set.strip_suffix(".packages").map(|qemu| StepKind::Qemu(qemu.to_owned()));
            let kinds = [Some(StepKind::Tools(set.clone())), built].into_iter().flatten();
            kinds.into_iter().find(|kind| kind.to_string() == *step).map(|kind| (kind, packages))
        };
        let (kind, packages) = lock.sets.iter().find_map(of_set)?;
        let inputs = self.packages(packages.iter());
        Some(self.step(kind, inputs))
    }
}
