//! `machine NAME { ... }`: what QEMU emulates.

use super::packages::PackageSet;
use super::reader::Reader;
use super::scope::Scope;
use super::value::Node;
use crate::base::span::Span;

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Key of `Recipe::kernels`.
    pub kernel: String,
    /// Key of `Recipe::images`.
    pub image: String,
    /// The QEMU package set.
    pub qemu: PackageSet,
    /// Where it was declared.
    pub span: Span,
}

/// Reads one `machine` block; every mistake goes to `scope.report`.
pub fn check(node: &Node, scope: &Scope) -> Option<Machine> {
    let mut reader = Reader::new(node, &scope.report);
    let name = reader.name();
    let kernel = scope.reference(&mut reader, "kernel", "kernel");
    let image = scope.reference(&mut reader, "image", "image");
    let own_name = format!("{}.qemu", name.as_ref().map_or("", |name| &name.value));
    let qemu = scope.package_set(&mut reader, "qemu", &own_name);
    reader.finish();
    Some(Machine { name: name?.value, kernel: kernel?.value, image: image?.value, qemu: qemu?, span: node.head() })
}
