//! Package sets: each package by itself. A set that lacks one, or whose order is not that of its packages, is solved again with
//! the pins that are left.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeValue;

use super::reader::{Reader, Value};
use crate::base::Digest;
use crate::debian::archive::ArchiveRef;
use crate::lock::merge::{in_order, is_open, reopen};
use crate::lock::read::{layered, package};
use crate::lock::wire::{WireLayer, WirePackage, WireSet};
use crate::lock::{LockedArchive, LockedLayer, LockedPackage};

type Sets = BTreeMap<String, Vec<LockedPackage>>;
type Layers = BTreeMap<String, Vec<LockedLayer>>;

/// A package and the byte that it begins at.
type Placed = (usize, LockedPackage);

pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    value: Option<Value<'t>>,
    archives: &BTreeMap<ArchiveRef, LockedArchive>,
) -> (Sets, Layers) {
    let (mut sets, mut layers, mut found) = (Sets::new(), Layers::new(), Vec::new());
    for (name, value) in reader.entries(value, "sets") {
        let (packages, rest) = set(reader, &name, value, archives);
        found.push((name, packages, rest));
    }
    let contradicted = sizes(found.iter().flat_map(|(_, packages, _)| packages).map(|(_, package)| package));
    for (name, packages, mut rest) in found {
        let before = packages.len();
        let packages: Vec<LockedPackage> = packages
            .into_iter()
            .filter_map(|(at, package)| {
                let is_sure = !contradicted.contains(&package.file.sha256);
                if !is_sure {
                    let what = format!("sets.{name} `{}`", package.name);
                    reader.lost(at, &what, "another line states another size for its digest");
                }
                is_sure.then_some(package)
            })
            .collect();
        rest.stated = rest.stated.filter(|_| packages.len() == before);
        let mut packages = in_order(packages, &rest.configure, rest.stated);
        let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        let stray = packages.iter().find(|package| package.why.cause().is_some_and(|cause| !names.contains(cause)));
        if stray.is_some() {
            reopen(&mut packages);
        }
        if !rest.layers.is_empty() && !packages.iter().any(is_open) {
            layers.insert(name.clone(), rest.layers);
        }
        sets.insert(name, packages);
    }
    (sets, layers)
}

/// Digests with more than one size.
fn sizes<'a>(packages: impl Iterator<Item = &'a LockedPackage>) -> BTreeSet<Digest> {
    let mut sizes = BTreeMap::new();
    packages
        .filter(|package| *sizes.entry(package.file.sha256).or_insert(package.file.size) != package.file.size)
        .map(|package| package.file.sha256)
        .collect()
}

/// What a set says beside its packages.
#[derive(Default)]
struct Rest {
    configure: Vec<String>,
    layers: Vec<LockedLayer>,
    /// How many packages there are, if each could be read, and the layers are of them.
    stated: Option<usize>,
}

fn set<'t>(
    reader: &mut Reader<'t>,
    name: &str,
    value: Value<'t>,
    archives: &BTreeMap<ArchiveRef, LockedArchive>,
) -> (Vec<Placed>, Rest) {
    let place = format!("sets.{name}");
    let before = reader.count();
    let (mut packages, mut rest) = (Vec::new(), Rest::default());
    let mut layers: Vec<WireLayer> = Vec::new();
    for (key, value) in reader.entries(Some(value), &place) {
        let (start, what) = (value.span().start, format!("{place}.{key}"));
        match key.as_str() {
            "packages" => packages = each(reader, name, value, archives),
            "configure" => rest.configure = reader.one(value, &what).unwrap_or_default(),
            "layers" => layers = reader.one(value, &what).unwrap_or_default(),
            _ => reader.lost(start, &what, "no lock has this"),
        }
    }
    let wire = WireSet { packages: Vec::new(), configure: rest.configure.clone(), layers };
    let layers = layered(&wire);
    rest.stated = (reader.count() == before && layers.is_ok()).then_some(packages.len());
    rest.layers = layers.unwrap_or_default();
    (packages, rest)
}

fn each<'t>(
    reader: &mut Reader<'t>,
    set: &str,
    value: Value<'t>,
    archives: &BTreeMap<ArchiveRef, LockedArchive>,
) -> Vec<Placed> {
    let place = format!("sets.{set}");
    let start = value.span().start;
    let DeValue::Array(array) = value.into_inner() else {
        reader.lost(start, &format!("{place}.packages"), "it is no list");
        return Vec::new();
    };
    let mut packages = Vec::new();
    for value in array {
        let start = value.span().start;
        let name = value.get_ref().get("name").and_then(|name| name.get_ref().as_str()).unwrap_or("?").to_owned();
        let what = format!("{place} `{name}`");
        let Some(wire) = reader.one::<WirePackage>(value, &what) else { continue };
        match package(&place, wire, archives) {
            Ok(package) => packages.push((start, package)),
            Err(error) => reader.wrong(start, &what, &error),
        }
    }
    packages
}
