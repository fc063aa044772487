//! Everything that the parts of a recipe may name, checked in the order archives, packages, configs, kernels, images,
//! machines, tests: a part finds complete what it refers to.

use std::collections::BTreeMap;

use super::archive::Archive;
use super::image::Image;
use super::kernel::{ConfigBlock, Kernel};
use super::machine::Machine;
use super::machine::device::Network;
use super::machine::memory::Memory;
use super::nearest::suggest;
use super::packages::{Base, PackageRequest, PackageSet, request};
use super::reader::Reader;
use super::report::Diagnostics;
use super::value::Value;
use crate::base::{Diagnostic, Span, Spanned};

/// What has been checked so far, and every name that was declared, whether its block turned out right or not.
#[derive(Debug, Default)]
pub struct Scope {
    /// Where mistakes go.
    pub report: Diagnostics,
    /// Names by kind (`kernel`, `image`, ...), so that a reference to a block with a mistake is not a second mistake.
    pub declared: BTreeMap<&'static str, BTreeMap<String, Span>>,
    /// The files of the recipe, by the keys that `file "..."` evaluates to.
    pub files: BTreeMap<String, super::RecipeFile>,
    /// Archives.
    pub archives: BTreeMap<String, Archive>,
    /// Named package sets.
    pub sets: BTreeMap<String, PackageSet>,
    /// Kernel configuration fragments.
    pub configs: BTreeMap<String, ConfigBlock>,
    /// Kernels.
    pub kernels: BTreeMap<String, Kernel>,
    /// Images.
    pub images: BTreeMap<String, Image>,
    /// Memory that machines share, by name: `memory NAME { size = ... }`.
    pub memories: BTreeMap<String, Memory>,
    /// Private networks between machines: `network NAME { subnet = ... }`.
    pub networks: BTreeMap<String, Network>,
    /// Machines.
    pub machines: BTreeMap<String, Machine>,
}

impl Scope {
    /// Whether `name` is declared as a `kind`; a report with the nearest one when it is not.
    pub fn resolves(&self, kind: &'static str, name: &Spanned<String>) -> bool {
        let none = BTreeMap::new();
        let declared = self.declared.get(kind).unwrap_or(&none);
        if declared.contains_key(&name.value) {
            return true;
        }
        let mistake = Diagnostic::new(name.span, format!("unknown {} `{}`", noun(kind), name.value));
        let other = self.declared.iter().find(|(_, names)| names.contains_key(&name.value));
        let names: Vec<&str> = declared.keys().map(String::as_str).collect();
        let mut mistake = mistake.label("not declared here or in an import");
        mistake.hint = match other {
            Some((other, _)) => Some(format!("`{}` is the name of a {}", name.value, noun(other))),
            None if names.is_empty() => Some(format!("the recipe declares no {}", noun(kind))),
            None => suggest(&name.value, &names),
        };
        self.report.push_absence(mistake);
        false
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

    /// A list of archives; all of them when absent.
    pub fn archives(&self, reader: &mut Reader<'_>, field: &'static str) -> Vec<String> {
        let Some(list) = reader.optional::<Vec<Spanned<super::kinds::Name>>>(field) else {
            return self.archives.keys().cloned().collect();
        };
        let names = list.value.into_iter().map(|name| name.map(|name| name.0));
        names.filter(|name| self.resolves("archive", name)).map(|name| name.value).collect()
    }

    /// A field that must be a set of packages: see [`Scope::package_set`].
    pub fn required_set(&self, reader: &mut Reader<'_>, field: &'static str, own_name: &str) -> Option<PackageSet> {
        if !reader.node().children.iter().any(|child| child.keyword.value == field) {
            reader.missing(field, "the name of a `packages` set");
        }
        self.package_set(reader, field, own_name)
    }

    /// An optional field that is the name of a `packages` set, one `package ...`, or a list of those. What it asks for
    /// becomes the set `own_name` unless a set is named.
    pub fn package_set(&self, reader: &mut Reader<'_>, field: &'static str, own_name: &str) -> Option<PackageSet> {
        let value = reader.optional::<Value>(field)?;
        if let Value::Name(name) = &value.value {
            let name = Spanned::new(name.clone(), value.span);
            return self.resolves("packages", &name).then(|| self.sets.get(&name.value).cloned()).flatten();
        }
        let items = match value.value {
            Value::List(items) => items,
            other => vec![Spanned::new(other, value.span)],
        };
        let requests = items.iter().filter_map(|item| request(item, self)).collect();
        Some(self.own_set(own_name, requests, value.span))
    }
    /// A set that a part of the recipe has for itself: from all archives, and nothing that is not asked for.
    pub fn own_set(&self, name: &str, requests: Vec<PackageRequest>, span: Span) -> PackageSet {
        PackageSet {
            name: name.to_owned(),
            archives: self.archives.keys().cloned().collect(),
            requests,
            base: Base::None,
            recommends: false,
            exclude: Vec::new(),
            span,
        }
    }
}

/// What a report calls a kind of block.
pub(super) fn noun(kind: &str) -> &str {
    if kind == "packages" { "package set" } else { kind }
}
