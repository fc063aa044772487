//! `packages NAME { from include ... }`: a set of packages resolved and locked on its own.

use crate::base::span::Span;

/// A set of packages: the tools of a step, or the contents of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSet {
    /// Its name, and the name of its table in the lock.
    pub name: String,
    /// Archives (keys of `Recipe::archives`) it may take packages from.
    pub archives: Vec<String>,
    /// What is asked for.
    pub requests: Vec<PackageRequest>,
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
