//! Locked packages in, one configured Debian root file system out, as a canonical tar, in two steps.
//!
//! Input: [`crate::plan::root::BaseSpec`] and the `.deb`s it names; then [`crate::plan::root::RootSpec`], the base and the
//! files of the recipe. Output: `base.tar`; `root.tar` and `users.json`. Everything happens in a user namespace with a
//! range of ids; the packages are unpacked by kiln and configured by their own dpkg, in a sandbox. What every
//! distribution has in common is in [`crate::exec::tree`]. It must not know locks, recipes or stores.

mod answers;
mod base;
#[cfg(test)]
mod canary;
mod checksums;
mod database;
mod deb;
mod excerpt;
mod findings;
mod finish;
mod job;
mod machine;
mod maker;
mod origin;
mod packages;
mod parts;
mod relations;
mod remade;
mod rules;
mod run;
mod script;
mod sound;
mod stand_ins;
mod traces;
mod verify;

pub(crate) use base::{build as base, named};
pub(crate) use deb::Deb;
pub(crate) use finish::build as root;
pub(crate) use job::Job;
