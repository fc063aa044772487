//! What builds left ready for a machine, compared with what it is to be: a kernel with its modules and its configuration, and UEFI
//! firmware.
//!
//! Input: files and directories that scripts of a recipe made. Output: the same in the form in which kiln's own steps have it, or an
//! error at the words of the recipe that name the output.

mod config;
mod firmware;
mod modules;

use std::io::{Read, copy};
use std::path::Path;

use super::{BuiltinContext, BuiltinError, input};
use crate::exec::failure::StepFailure;
use crate::format::linux;
use crate::plan::Statement;
use crate::plan::ready::{IMAGE, MODULES, OPTIONS, ReadyFile, ReadyKernel, SPEC, VMLINUZ};
use crate::world::fs;

pub(super) use firmware::run as firmware;

/// Largest kernel; one with everything in it and an initramfs inside has less.
const MAX_IMAGE_BYTES: u64 = 1 << 30;
const MAX_SPEC_BYTES: u64 = 1 << 20;

/// See [`crate::plan::Builtin::ReadyKernel`].
pub(super) fn kernel(context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    let spec: ReadyKernel = serde_json::from_slice(&fs::read(input(context, SPEC)?, MAX_SPEC_BYTES)?)
        .map_err(|error| StepFailure::bug(format!("{SPEC}: {error}")))?;
    let release = image(context, &spec)?;
    if context.inputs.contains_key(MODULES) {
        modules::run(context, &spec, release.as_deref())?;
    }
    if context.inputs.contains_key(OPTIONS) {
        config::run(context, &spec, release.as_deref())?;
    }
    Ok(())
}

/// The kernel itself; its release, if it says so.
fn image(context: &BuiltinContext<'_>, spec: &ReadyKernel) -> Result<Option<String>, BuiltinError> {
    let path = input(context, IMAGE)?;
    let mut file = file(path, ReadyFile::Image, "kernel")?;
    let size = fs::context("look at", path, file.metadata())?.len();
    if size > MAX_IMAGE_BYTES {
        return Err(wrong(ReadyFile::Image, format!("the kernel has {size} bytes (limit {MAX_IMAGE_BYTES})")).into());
    }
    let mut head = Vec::new();
    fs::context("read", path, (&mut file).take(linux::HEAD as u64).read_to_end(&mut head))?;
    let found = linux::examine(spec.architecture, &head, size)
        .map_err(|error| wrong(ReadyFile::Image, format!("this output of the build cannot be started: {error}")))?;
    let out = context.out.join(VMLINUZ);
    let mut whole = head.as_slice().chain(file);
    fs::context("write", &out, copy(&mut whole, &mut fs::create_new(&out)?))?;
    Ok(found.release)
}

/// An output that must be a file. That it is no link or pipe was seen when the build left it.
fn file(path: &Path, which: ReadyFile, noun: &str) -> Result<std::fs::File, BuiltinError> {
    let found = fs::open_unless_directory(path)?;
    Ok(found.ok_or_else(|| wrong(which, format!("the build left a directory, and the {noun} is a file")))?)
}

/// The build left something else than what is needed.
fn wrong(which: ReadyFile, message: impl std::fmt::Display) -> StepFailure {
    StepFailure::recipe(Statement::Ready(which), message)
}

#[cfg(test)]
#[path = "ready_tests.rs"]
mod tests;
