//! What builds take from each other: every output is there, and no build waits for itself.

use std::collections::{BTreeMap, BTreeSet};

use super::{Build, BuildOutput, BuildSource};
use crate::base::{Diagnostic, Span};
use crate::recipe::kernel::Kernel;
use crate::recipe::nearest::suggest;
use crate::recipe::report::Diagnostics;

type Builds = BTreeMap<String, Build>;
type Kernels = BTreeMap<String, Kernel>;

/// Reports outputs that no build leaves, and builds that read from themselves.
pub(in crate::recipe) fn settle(builds: &Builds, kernels: &Kernels, report: &Diagnostics) {
    for output in kernels.values().flat_map(Kernel::outputs) {
        if let Some(wrong) = builds.get(&output.value.build).and_then(|from| lacks(from, &output.value, output.span)) {
            report.push(wrong);
        }
    }
    for build in builds.values() {
        for source in build.sources.values() {
            let BuildSource::Output(output) = &source.value else { continue };
            if let Some(wrong) = builds.get(&output.build).and_then(|from| lacks(from, output, source.span)) {
                report.push(wrong);
            }
        }
    }
    let mut done = BTreeSet::new();
    for build in builds.values() {
        if let Some(wrong) = circle((builds, kernels), build, &mut done) {
            report.push(wrong);
        }
    }
}

/// The mistake, if a build does not leave the output that somebody asks for.
pub(super) fn lacks(build: &Build, output: &BuildOutput, span: Span) -> Option<Diagnostic> {
    if build.outputs.iter().any(|known| known.value == output.name) {
        return None;
    }
    let names: Vec<&str> = build.outputs.iter().map(|known| known.value.as_str()).collect();
    let mut wrong = Diagnostic::new(span, format!("build `{}` has no output `{}`", build.name, output.name));
    wrong.hint = suggest(&output.name, &names);
    Some(wrong.label("not among its outputs").related(build.span, "the build"))
}

/// How a build reads another: itself, or through a kernel that is compiled from it.
fn link(kernels: &Kernels, reader: &Build, read: &str) -> String {
    let itself = reader
        .sources
        .values()
        .any(|source| matches!(&source.value, BuildSource::Output(output) if output.build == read));
    let from = |name: &&str| {
        let outputs = kernels.get(*name).into_iter().flat_map(Kernel::outputs);
        outputs.into_iter().any(|output| output.value.build == read)
    };
    match reader.kernels().find(from).filter(|_| !itself) {
        Some(kernel) => format!(" reads kernel `{kernel}`, which is compiled from `{read}`"),
        None => format!(" reads `{read}`"),
    }
}

/// The circle that a walk from `start` comes upon first. What is `done` leads into none that is not reported.
fn circle<'a>(
    (builds, kernels): (&'a Builds, &'a Kernels),
    start: &'a Build,
    done: &mut BTreeSet<&'a str>,
) -> Option<Diagnostic> {
    // Each with the builds that are still to be looked at: recursion would be as deep as an attacker likes.
    let mut path: Vec<(&Build, Vec<&BuildOutput>)> = vec![(start, start.dependencies(kernels).collect())];
    if !done.insert(&start.name) {
        return None;
    }
    while let Some((_, open)) = path.last_mut() {
        let Some(output) = open.pop() else {
            path.pop();
            continue;
        };
        // One with a mistake is not there, and reported already.
        let Some(next) = builds.get(&output.build) else { continue };
        if let Some(at) = path.iter().position(|(build, _)| build.name == next.name) {
            let readers = path[at..].iter().map(|(build, _)| *build);
            let read = path[at + 1..].iter().map(|(build, _)| *build).chain([next]);
            let links = readers.zip(read).map(|(reader, read)| link(kernels, reader, &read.name));
            let chain = format!("`{}`{}", next.name, links.collect::<String>());
            let wrong = Diagnostic::new(next.span, format!("build `{}` reads its own output", next.name));
            return Some(wrong.label(chain));
        }
        if done.insert(&next.name) {
            path.push((next, next.dependencies(kernels).collect()));
        }
    }
    None
}
