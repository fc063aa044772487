//! `machine NAME { ... }`: what QEMU emulates.

use super::packages::PackageSet;
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
