//! `packages NAME { from include ... }`: a set of packages resolved and locked on its own.

pub mod source;

use std::collections::BTreeMap;

use super::architecture;
use super::kinds::{FromValue, Name};
use super::reader::Reader;
use super::report::Diagnostics;
use super::scope::Scope;
use super::value::{EvaluatedNode, Value};
use crate::base::span::{Span, Spanned};
use crate::base::{Arch, Diagnostic};

/// A set of packages: the tools of a step, or the contents of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSet {
    /// Its name, and the name of its table in the lock.
    pub name: String,
    /// Whose packages these are.
    pub architecture: Arch,
    /// Archives (keys of `Recipe::archives`) it may take packages from, each of that architecture.
    pub archives: Vec<String>,
    /// What is asked for.
    pub requests: Vec<PackageRequest>,
    /// What the recipe brings along: `file "x.deb"`.
    pub local: Vec<LocalPackage>,
    /// Include every `Essential: yes` package and, for images, `Priority: required`.
    pub base: Base,
    /// Whether `Recommends` are followed. Off unless said.
    pub recommends: bool,
    /// Packages that must not be chosen.
    pub exclude: Vec<String>,
    /// Where it was declared.
    pub span: Span,
}

/// What a set contains before anything is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Only what is asked for and its dependencies: tool trees, which are unpacked and never configured.
    None,
    /// The `Essential: yes` packages.
    Essential,
    /// Essential and `Priority: required`: what a bootable image needs.
    Required,
}

/// One package that a set must contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRequest {
    /// Its name.
    pub name: String,
    /// The archive it must come from, if pinned: `package "x" from trixie-backports`.
    pub archive: Option<String>,
    /// The exact version it must have, if pinned: `package "x" version "1.2-3"`.
    pub version: Option<String>,
    /// Where it was asked for.
    pub span: Span,
}

impl PackageRequest {
    /// Whether any version from any archive will do.
    pub fn is_unpinned(&self) -> bool {
        self.archive.is_none() && self.version.is_none()
    }
}

/// A package that the recipe brings along, whatever its name is: whoever locks it reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPackage {
    /// Its key in `Recipe::files`.
    pub key: String,
    /// Where it was asked for.
    pub span: Span,
}

/// Reads one `packages` block.
pub fn check(node: &EvaluatedNode, scope: &Scope) -> Option<PackageSet> {
    let mut reader = Reader::new(node, &scope.report);
    let name = reader.name();
    let arch = architecture::read(&mut reader).value;
    let set = contents(&mut reader, scope, Contents { field: "include", base: Base::None, arch });
    reader.finish();
    Some(PackageSet { name: name?.value, ..set })
}

/// How a `packages` block differs from an image.
pub(super) struct Contents {
    /// The field that lists packages.
    pub(super) field: &'static str,
    /// What is there unless the block says otherwise.
    pub(super) base: Base,
    /// Whose packages these are.
    pub(super) arch: Arch,
}

/// The fields that `packages` blocks and images share; the name is left empty.
pub(super) fn contents(reader: &mut Reader<'_>, scope: &Scope, contents: Contents) -> PackageSet {
    let Contents { field, base, arch } = contents;
    let asked = reader.list::<Value>(field);
    let (local, asked) = split_local(asked);
    let requests = once(asked.iter().filter_map(|item| request(item, scope)).collect(), &scope.report);
    let exclude = reader.list::<String>("exclude");
    for name in exclude.iter().filter(|name| requests.iter().any(|request| request.name == name.value)) {
        let wrong = Diagnostic::new(name.span, format!("`{}` is both included and excluded", name.value));
        scope.report.push(wrong.label("excluded here"));
    }
    let base = match reader.word("base", &["none", "essential", "required"]).map(|word| word.value) {
        Some("none") => Base::None,
        Some("essential") => Base::Essential,
        Some(_) => Base::Required,
        None => base,
    };
    let set = PackageSet {
        name: String::new(),
        architecture: arch,
        archives: scope.archives(reader, "from", arch),
        requests,
        local,
        base,
        recommends: reader.or("recommends", false),
        exclude: exclude.into_iter().map(|name| name.value).collect(),
        span: reader.node().head(),
    };
    architecture::supplied(scope, &set);
    set
}

/// Packages that the recipe brings along, each once, and the other items of a list.
pub(super) fn split_local(items: Vec<Spanned<Value>>) -> (Vec<LocalPackage>, Vec<Spanned<Value>>) {
    let (mut local, mut others) = (Vec::new(), Vec::new());
    for item in items {
        match item.value {
            Value::File(key) if local.iter().any(|known: &LocalPackage| known.key == key) => {}
            Value::File(key) => local.push(LocalPackage { key, span: item.span }),
            _ => others.push(item),
        }
    }
    (local, others)
}

/// Asking twice for the same is harmless (a base image may do it); one package asked for in two ways cannot be both.
fn once(requests: Vec<PackageRequest>, report: &Diagnostics) -> Vec<PackageRequest> {
    let mut kept: BTreeMap<String, PackageRequest> = BTreeMap::new();
    let mut order = Vec::new();
    for request in requests {
        match kept.get(&request.name) {
            Some(first) if (&first.archive, &first.version) != (&request.archive, &request.version) => {
                let twice = Diagnostic::new(request.span, format!("conflicting values for `{}`", request.name));
                report.push(twice.label("here").related(first.span, "and here").hint("remove it with `-=`"));
            }
            Some(_) => {}
            None => {
                order.push(request.name.clone());
                kept.insert(request.name.clone(), request);
            }
        }
    }
    order.iter().filter_map(|name| kept.remove(name)).collect()
}

/// The lock names the set of an image after the image: a named set must not be called the same.
pub(super) fn distinct(scope: &Scope) {
    let none = BTreeMap::new();
    let sets = scope.declared.get("packages").unwrap_or(&none);
    for (name, span) in scope.declared.get("image").unwrap_or(&none) {
        if let Some(set) = sets.get(name) {
            let wrong = Diagnostic::new(*span, format!("an image and a package set are both called `{name}`"));
            scope.report.push(wrong.label("the image").related(*set, "the package set").hint("rename one of the two"));
        }
    }
}

/// Reads `"x"` or `package "x" from ARCHIVE version "1.2-3"`.
pub fn request(value: &Spanned<Value>, scope: &Scope) -> Option<PackageRequest> {
    let (name, rest) = match &value.value {
        Value::Text(name) => (name, [].as_slice()),
        Value::Call(word, arguments) if word.value == "package" => match arguments.split_first() {
            Some((Spanned { value: Value::Text(name), .. }, rest)) => (name, rest),
            _ => return expected_package(value, scope),
        },
        _ => return expected_package(value, scope),
    };
    let mut request = PackageRequest { name: name.clone(), archive: None, version: None, span: value.span };
    for pair in rest.chunks(2) {
        match (&pair[0].value, pair.get(1)) {
            (Value::Name(word), Some(archive)) if word == "from" => {
                let archive_name = Name::read(archive, &scope.report)?.0;
                let archive = Spanned::new(archive_name, archive.span);
                request.archive = scope.resolves("archive", &archive).then_some(archive.value);
            }
            (Value::Name(word), Some(version)) if word == "version" => {
                request.version = Some(String::read(version, &scope.report)?);
            }
            _ => {
                let mistake = Diagnostic::new(pair[0].span, "unexpected argument of `package`").label("unexpected");
                scope.report.push(
                    mistake.hint(
                        "write `package \"x\"`, `package \"x\" from ARCHIVE` or `package \"x\" version \"1.2-3\"`",
                    ),
                );
                return None;
            }
        }
    }
    is_package_name(&request, scope).then_some(request)
}

fn expected_package<T>(value: &Spanned<Value>, scope: &Scope) -> Option<T> {
    if value.value == Value::Wrong {
        return None;
    }
    let message = format!("expected a package, found {}", value.value.describe());
    let mistake = Diagnostic::new(value.span, message).label(format!("this is {}", value.value.kind()));
    scope.report.push(mistake.hint("write `\"x\"`, `package \"x\" from ARCHIVE` or, in a list, `file \"x.deb\"`"));
    None
}

/// Debian policy 5.6.7: at least two of lower-case letters, digits, `+`, `-`, `.`, the first a letter or digit.
pub(super) fn is_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
    name.len() >= 2 && name.as_bytes()[0].is_ascii_alphanumeric() && name.bytes().all(legal)
}

fn is_package_name(request: &PackageRequest, scope: &Scope) -> bool {
    let good = is_name(&request.name);
    if !good {
        let message = format!("`{}` cannot be the name of a Debian package", request.name);
        let wrong = Diagnostic::new(request.span, message);
        scope.report.push(match request.name.split_once(':') {
            Some((name, architecture)) => wrong.label(format!("`:{architecture}` is an architecture")).hint(format!(
                "write `{name}`: a set has packages of its own `architecture` only; foreign architectures are not mixed \
                 into a set"
            )),
            None => wrong.label("at least two of lower-case letters, digits, `+`, `-` and `.`"),
        });
    }
    good
}
