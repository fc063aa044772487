//! `kiln outdated RECIPE`: what is newer than the lock, and what of it is for security.

use super::failure::Failure;
use super::output;
use crate::base::{Foreign, counted};
use crate::cli;
use crate::ops::Session;
use crate::ops::outdated::{self, NamedUpdate, OutdatedReport, PackageUpdate};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::OutdatedArgs) -> Result<(), Failure> {
    if !args.recipe.sources.is_empty() {
        return Err(Failure::usage("--source does not change what a lock pins, so nothing of it can be outdated"));
    }
    let report = outdated::outdated(session, &args.recipe.options())?;
    let report = if args.security { report.security() } else { report };
    let unknown = args.security && report.security_archives.is_empty();
    if unknown {
        crate::tell!(
            "warning: the recipe uses no archive of security updates, so kiln cannot tell whether there are any\n  help: add such an archive \
             to the recipe, as `trixie-security` of repository `debian-security`, and run `kiln lock`"
        );
    }
    if args.json {
        output::json(&report)?;
    } else if !(unknown && report.is_empty()) {
        output::print(&text(&report, args.security))?;
    }
    if report.is_empty() { Ok(()) } else { Err(Failure::mismatch(verdict(&report))) }
}

fn verdict(report: &OutdatedReport) -> String {
    let OutdatedReport { packages, held, .. } = report;
    let security = packages.iter().filter(|update| update.security).count();
    let newer = match (packages.len(), report.kernels.len() + report.sources.len() + report.machines.len()) {
        (0, 0) => None,
        (0, _) => Some("there are newer versions".to_owned()),
        (all, _) => Some(format!("newer versions of {}, {security} for security", counted(all, "package"))),
    };
    let held =
        (!held.is_empty()).then(|| format!("{} held back by the recipe", counted(held.len(), "security update")));
    let found: Vec<String> = newer.into_iter().chain(held).collect();
    let found = if found.is_empty() { "the packages of the sets are others".to_owned() } else { found.join("; ") };
    format!("{found}\n  help: `kiln lock --update` takes what the recipe lets in")
}

fn text(report: &OutdatedReport, security: bool) -> String {
    if report.is_empty() {
        let what = if security { "no security updates" } else { "up to date" };
        return format!("{what}\n");
    }
    let packages = |wanted: bool| {
        report.packages.iter().filter(|update| update.security == wanted).map(package).collect::<Vec<_>>()
    };
    let moves = |moves: &[outdated::PackageMove]| {
        moves.iter().map(|it| format!("{} {} ({})", it.package, it.version, it.set)).collect::<Vec<_>>()
    };
    let held = report
        .held
        .iter()
        .map(|held| format!("{} {}: {} has {}", held.package, held.version, held.archive, held.offered));
    let sections = [
        ("security updates", packages(true)),
        ("security updates that the recipe holds back", held.collect()),
        ("other updates", packages(false)),
        ("kernels", named(&report.kernels)),
        ("sources", named(&report.sources)),
        ("QEMU of machines", named(&report.machines)),
        ("new packages", moves(&report.added)),
        ("packages that are no longer needed", moves(&report.removed)),
    ];
    let section = |(title, lines): &(&str, Vec<String>)| {
        let lines: String = lines.iter().map(|line| format!("  {}\n", Foreign(line))).collect();
        if lines.is_empty() { lines } else { format!("{title}:\n{lines}") }
    };
    sections.iter().map(section).collect()
}

fn package(update: &PackageUpdate) -> String {
    let PackageUpdate { package, from, to, archive, sets, .. } = update;
    let to = if from == to { format!("{to}, content changed") } else { to.clone() };
    format!("{package} {from} -> {to} ({archive}; in {})", sets.join(", "))
}

fn named(updates: &[NamedUpdate]) -> Vec<String> {
    let line = |update: &NamedUpdate| {
        let security = if update.security { ", with security updates" } else { "" };
        format!("{} {} -> {}{security}", update.name, update.from, update.to)
    };
    updates.iter().map(line).collect()
}
