//! `qemu NAME { source packages version }`: a QEMU that a build of the recipe makes, for machines to run on.

use super::build::{self, BuildOutput};
use super::packages::PackageSet;
use super::reader::Reader;
use super::scope::{Scope, Wanted};
use super::value::{EvaluatedNode, Value};
use crate::base::{Arch, Diagnostic, Span, Spanned};

/// A QEMU that the recipe builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltQemu {
    /// Its name.
    pub name: String,
    /// The directory that is laid over the packages: `usr/bin/qemu-system-x86_64` and what else the build installed.
    pub output: BuildOutput,
    /// What it needs when it runs: libraries and firmware.
    pub packages: PackageSet,
    /// What it says of itself, `11.1.3`: machine types and tables follow from it before it is built.
    pub version: Spanned<String>,
    /// Where it was declared.
    pub span: Span,
}

/// Where a machine's QEMU comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MachineQemu {
    /// Packages have it.
    Packages(PackageSet),
    /// A build of the recipe makes it.
    Built(BuiltQemu),
}

impl MachineQemu {
    /// The packages that it consists of, or that it needs when it runs.
    pub fn packages(&self) -> &PackageSet {
        match self {
            MachineQemu::Packages(set) => set,
            MachineQemu::Built(built) => &built.packages,
        }
    }

    /// What reports and steps call it.
    pub fn name(&self) -> &str {
        match self {
            MachineQemu::Packages(set) => &set.name,
            MachineQemu::Built(built) => &built.name,
        }
    }

    /// Where it was declared.
    pub fn span(&self) -> Span {
        match self {
            MachineQemu::Packages(set) => set.span,
            MachineQemu::Built(built) => built.span,
        }
    }

    /// The build, if one makes it.
    pub fn built(&self) -> Option<&BuiltQemu> {
        match self {
            MachineQemu::Packages(_) => None,
            MachineQemu::Built(built) => Some(built),
        }
    }
}

/// Reads one `qemu` block.
pub fn check(node: &EvaluatedNode, scope: &Scope) -> Option<BuiltQemu> {
    let mut reader = Reader::new(node, &scope.report);
    let name = reader.name();
    let own_name = format!("{}.packages", name.as_ref().map_or("", |name| &name.value));
    let output = source(&mut reader, scope);
    let wanted = Wanted { field: "packages", own_name: &own_name, arch: Arch::BUILD };
    let packages = scope.required_set(&mut reader, wanted);
    let version = reader.required::<String>("version").filter(|version| is_version(version, &reader));
    reader.finish();
    let name = name?;
    if let Some(set) = scope.declared.get("packages").and_then(|sets| sets.get(&name.value)) {
        let wrong = Diagnostic::new(name.span, format!("`{}` is the name of a package set, too", name.value));
        let wrong = wrong.label("`qemu = ` of a machine could mean either").related(*set, "the package set");
        scope.report.push(wrong.hint("give one of them another name"));
    }
    Some(BuiltQemu { name: name.value, output: output?, packages: packages?, version: version?, span: node.head() })
}

/// `source = output "NAME" from BUILD`
fn source(reader: &mut Reader<'_>, scope: &Scope) -> Option<BuildOutput> {
    let value = reader.required::<Value>("source")?;
    build::output_or_report(&value, "qemu", scope)
}

/// `11.1.3`, as QEMU says it.
fn is_version(version: &Spanned<String>, reader: &Reader<'_>) -> bool {
    let parts: Vec<&str> = version.value.split('.').collect();
    let number = |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let plain = |part: &&str| number(part) && (part.len() == 1 || !part.starts_with('0'));
    let good = parts.len() == 3 && parts.iter().all(plain);
    if !good {
        let wrong = Diagnostic::new(version.span, format!("`{}` is not a version of QEMU", version.value));
        let wrong = wrong.label("expected three numbers, such as `\"11.1.3\"`");
        reader.error(wrong.hint("write what `--version` of this QEMU says, without the text in parentheses"));
    }
    good
}
