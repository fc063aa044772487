//! `architecture = arm64` of an archive, a package set, a kernel, an image or a machine, and whether those agree.

use super::packages::PackageSet;
use super::reader::Reader;
use super::scope::Scope;
use crate::base::{Arch, Diagnostic, Span, Spanned};

/// Reads the field; amd64 unless said, and then it stands at the head of the block.
pub(super) fn read(reader: &mut Reader<'_>) -> Spanned<Arch> {
    let word = reader.word("architecture", &Arch::ALL.map(|arch| arch.facts().debian));
    let read = word.and_then(|word| Some(Spanned::new(Arch::named(word.value)?, word.span)));
    read.unwrap_or(Spanned::new(Arch::default(), reader.node().head()))
}

/// Reports a kernel or an image that a machine names although it is for another architecture.
pub(super) fn agree(scope: &Scope, machine: &Spanned<Arch>, named: (&str, &Spanned<String>), found: &Spanned<Arch>) {
    if machine.value == found.value {
        return;
    }
    let (what, name) = named;
    let message = format!("{what} `{}` is for {}, and this machine is {}", name.value, found.value, machine.value);
    let mistake = Diagnostic::new(name.span, message).label(format!("made for {}", found.value));
    let mistake = mistake.related(found.span, format!("{} here", found.value));
    let mistake = mistake.related(machine.span, format!("{} here", machine.value));
    scope.report.push(mistake.hint(format!("give both the same, such as `architecture = {}`", machine.value)));
}

/// Reports a named set whose programs are not those that a field needs.
pub(super) fn usable(scope: &Scope, field: &str, (set, span): (&PackageSet, Span), needed: Arch) {
    if set.architecture == needed {
        return;
    }
    let message =
        format!("package set `{}` is for {}, and `{field}` needs packages for {needed}", set.name, set.architecture);
    let mistake =
        Diagnostic::new(span, message).label(format!("for {}", set.architecture)).related(set.span, "the set");
    let hint = match needed {
        Arch::BUILD => format!("the programs of `{field}` run where kiln builds, on {needed}, whatever they make"),
        _ => format!("name a set with `architecture = {needed}`"),
    };
    scope.report.push(mistake.hint(hint));
}

/// Reports what a set asks for from an archive of another architecture, and a set that no archive has packages for.
pub(super) fn supplied(scope: &Scope, set: &PackageSet) {
    let needed = set.architecture;
    for request in &set.requests {
        let archive = request.archive.as_ref().and_then(|name| scope.archives.get(name));
        let Some(archive) = archive.filter(|archive| archive.architecture != needed) else { continue };
        let message = format!(
            "archive `{}` has packages for {}, and `{}` is to be for {needed}",
            archive.name, archive.architecture, request.name
        );
        let mistake = Diagnostic::new(request.span, message).label("not to be had from there");
        scope.report.push(mistake.related(archive.span, "the archive"));
    }
    if set.archives.is_empty() && !set.requests.is_empty() && !scope.archives.is_empty() {
        let message = format!("no archive of this recipe has packages for {needed}");
        let mistake = Diagnostic::new(set.span, message).label(format!("needs packages for {needed}"));
        let hint =
            format!("declare the suite once more: `archive NAME {{ suite = \"...\" architecture = {needed} ... }}`");
        scope.report.push_absence(mistake.hint(hint));
    }
}
