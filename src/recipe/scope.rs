//! Everything that the parts of a recipe may name, checked in the order archives, packages, configs, kernels, builds, QEMUs,
//! images, machines, tests: a part finds complete what it refers to.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::architecture;
use super::archive::Archive;
use super::build::Build;
use super::image::Image;
use super::kernel::{ConfigBlock, Kernel};
use super::machine::Machine;
use super::machine::device::Network;
use super::machine::memory::Memory;
use super::nearest::suggest;
use super::packages::{Base, PackageRequest, PackageSet, request, split_local};
use super::qemu::BuiltQemu;
use super::reader::Reader;
use super::report::Diagnostics;
use super::value::Value;
use crate::base::{Arch, Diagnostic, Span, Spanned};

/// What has been checked so far, and every name that was declared, whether its block turned out right or not.
#[derive(Debug, Default)]
pub struct Scope {
    /// Where mistakes go.
    pub report: Diagnostics,
    /// Names by kind (`kernel`, `image`, ...), so that a reference to a block with a mistake is not a second mistake.
    pub declared: BTreeMap<&'static str, BTreeMap<String, Span>>,
    /// Kind and name of every block that another one names.
    pub used: RefCell<BTreeSet<(&'static str, String)>>,
    /// The files of the recipe, by the keys that `file "..."` evaluates to.
    pub files: BTreeMap<String, super::RecipeFile>,
    /// Directories that the command line names as the sources of kernels, by kernel.
    pub local_sources: BTreeMap<String, PathBuf>,
    /// Archives.
    pub archives: BTreeMap<String, Archive>,
    /// Named package sets.
    pub sets: BTreeMap<String, PackageSet>,
    /// Kernel configuration fragments.
    pub configs: BTreeMap<String, ConfigBlock>,
    /// Kernels.
    pub kernels: BTreeMap<String, Kernel>,
    /// Steps of the recipe's own.
    pub builds: BTreeMap<String, Build>,
    /// QEMUs that builds make.
    pub qemus: BTreeMap<String, BuiltQemu>,
    /// Images.
    pub images: BTreeMap<String, Image>,
    /// Memory that machines share, by name: `memory NAME { size = ... }`.
    pub memories: BTreeMap<String, Memory>,
    /// Private networks between machines: `network NAME { subnet = ... }`.
    pub networks: BTreeMap<String, Network>,
    /// Machines.
    pub machines: BTreeMap<String, Machine>,
}

/// A field whose value is a set of packages.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The field.
    pub field: &'static str,
    /// The name of the set that is made of single packages; a set that is named keeps its own.
    pub own_name: &'a str,
    /// Whose packages these must be.
    pub arch: Arch,
}

impl Scope {
    /// Whether `name` is declared as a `kind`; a report with the nearest one when it is not.
    pub fn resolves(&self, kind: &'static str, name: &Spanned<String>) -> bool {
        let none = BTreeMap::new();
        let declared = self.declared.get(kind).unwrap_or(&none);
        if declared.contains_key(&name.value) {
            self.uses(kind, &name.value);
            return true;
        }
        let mistake = Diagnostic::new(name.span, format!("unknown {} `{}`", noun(kind), name.value));
        let other = self.declared.iter().find(|(_, names)| names.contains_key(&name.value));
        let names: Vec<&str> = declared.keys().map(String::as_str).collect();
        let mut mistake = mistake.label("not declared here or in an import");
        mistake.hint = match other {
            Some((other, _)) => {
                let article = if noun(other).starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
                Some(format!("`{}` is the name of {article} {}", name.value, noun(other)))
            }
            None if names.is_empty() => Some(format!("the recipe declares no {}", noun(kind))),
            None => suggest(&name.value, &names),
        };
        self.report.push_absence(mistake);
        false
    }

    /// Notes that a block names another one.
    pub fn uses(&self, kind: &'static str, name: &str) {
        self.used.borrow_mut().insert((kind, name.to_owned()));
    }

    /// A required field that names a declared `kind`.
    pub fn reference(
        &self,
        reader: &mut Reader<'_>,
        field: &'static str,
        kind: &'static str,
    ) -> Option<Spanned<String>> {
        let name = reader.required::<super::kinds::Name>(field)?.map(|name| name.0);
        self.resolves(kind, &name).then_some(name)
    }

    /// A list of archives, each with packages for the architecture; all that have them when absent.
    pub fn archives(&self, reader: &mut Reader<'_>, field: &'static str, arch: Arch) -> Vec<String> {
        let Some(list) = reader.optional::<Vec<Spanned<super::kinds::Name>>>(field) else {
            return self.archives_for(arch);
        };
        let names = list.value.into_iter().map(|name| name.map(|name| name.0));
        let names: Vec<_> = names.filter(|name| self.resolves("archive", name)).collect();
        for name in &names {
            let archive = self.archives.get(&name.value);
            if let Some(archive) = archive.filter(|archive| archive.architecture != arch) {
                let has = archive.architecture;
                let message = format!("archive `{}` has packages for {has}, and this set is for {arch}", name.value);
                let mistake = Diagnostic::new(name.span, message).label(format!("has none for {arch}"));
                self.report.push(mistake.related(archive.span, "the archive"));
            }
        }
        names.into_iter().map(|name| name.value).collect()
    }

    /// Every archive that has packages for an architecture.
    pub fn archives_for(&self, arch: Arch) -> Vec<String> {
        let archives = self.archives.values().filter(|archive| archive.architecture == arch);
        let names: Vec<String> = archives.map(|archive| archive.name.clone()).collect();
        names.iter().for_each(|name| self.uses("archive", name));
        names
    }

    /// A field that must be a set of packages: see [`Scope::package_set`].
    pub fn required_set(&self, reader: &mut Reader<'_>, wanted: Wanted<'_>) -> Option<PackageSet> {
        let field = wanted.field;
        if !reader.node().children.iter().any(|child| child.keyword.value == field) {
            reader.missing(field, "the name of a `packages` set");
        }
        self.package_set(reader, wanted)
    }

    /// An optional field that is the name of a `packages` set, one `package ...`, or a list of those.
    pub fn package_set(&self, reader: &mut Reader<'_>, wanted: Wanted<'_>) -> Option<PackageSet> {
        let Wanted { field, own_name, arch } = wanted;
        let value = reader.optional::<Value>(field)?;
        if let Value::Name(name) = &value.value {
            let name = Spanned::new(name.clone(), value.span);
            let set = self.resolves("packages", &name).then(|| self.sets.get(&name.value).cloned()).flatten()?;
            architecture::usable(self, field, (&set, name.span), arch);
            return Some(set);
        }
        let items = match value.value {
            Value::List(items) => items,
            other => vec![Spanned::new(other, value.span)],
        };
        let (local, items) = split_local(items);
        let requests = items.iter().filter_map(|item| request(item, self)).collect();
        Some(PackageSet { local, ..self.own_set(own_name, requests, Spanned::new(arch, value.span)) })
    }

    /// A set that a part of the recipe has for itself: from all archives of its architecture, and nothing that is not
    /// asked for.
    pub fn own_set(&self, name: &str, requests: Vec<PackageRequest>, arch: Spanned<Arch>) -> PackageSet {
        let Spanned { value: architecture, span } = arch;
        let set = PackageSet {
            name: name.to_owned(),
            architecture,
            archives: self.archives_for(architecture),
            requests,
            local: Vec::new(),
            base: Base::None,
            recommends: false,
            exclude: Vec::new(),
            span,
        };
        architecture::supplied(self, &set);
        set
    }
}

/// What a report calls a kind of block.
pub(super) fn noun(kind: &str) -> &str {
    match kind {
        "packages" => "package set",
        "qemu" => "QEMU",
        other => other,
    }
}
