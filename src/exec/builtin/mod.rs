//! Steps that kiln carries out itself, in the process that [`inside`] makes. Each file is one [`crate::plan::Builtin`].
//!
//! Input: checked files by input path. Output: files or a directory under `out`, named as the step declares.

mod boot;
mod initrd;
pub mod inside;
pub mod kernel_check;
mod merge;
mod package;
pub mod qemu;
pub mod root;
mod stock_kernel;
pub mod tools;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::debian::deb::DebError;
use crate::exec::event::StepListener;
use crate::exec::sandbox::Limits;
use crate::exec::tree::RootError;
use crate::format::cpio::CpioError;
use crate::format::tar::TarError;
use crate::plan::Builtin;
use crate::world::WorldError;

/// What a builtin step is handed.
pub struct BuiltinContext<'a> {
    /// The step's name, for events.
    pub step: &'a str,
    /// Checked, read-only files by the path that the step gave its inputs.
    pub inputs: &'a BTreeMap<String, PathBuf>,
    /// An empty directory, on the store's file system; outputs go here under their declared names.
    pub out: &'a Path,
    /// Scratch space, on the store's file system; removed afterwards.
    pub scratch: &'a Path,
    /// A library that programs are to load, of a second build.
    pub variation: Option<&'a Path>,
    /// What its sandboxes may use.
    pub limits: Limits,
    /// Who hears of progress.
    pub listener: &'a dyn StepListener,
}

/// Why a builtin step failed.
#[derive(Debug, thiserror::Error)]
pub enum BuiltinError {
    /// Configuring a root file system failed.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A QEMU did not answer.
    #[error(transparent)]
    Qemu(#[from] qemu::QemuError),
    /// The kernel's configuration is not the one that was asked for.
    #[error(transparent)]
    KernelCheck(#[from] kernel_check::CheckError),
    /// A file could not be read or written.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A package is damaged or refused.
    #[error("package {package}: {source}")]
    Package {
        /// Its name.
        package: String,
        /// What is wrong with it.
        source: DebError,
    },
    /// An archive is damaged, hostile, or cannot be written.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The initramfs could not be written.
    #[error(transparent)]
    Cpio(#[from] CpioError),
    /// The inputs contradict each other, or what the step is to do.
    #[error("{0}")]
    Broken(String),
}

/// Carries a builtin step out.
pub fn run(builtin: &Builtin, context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    match builtin {
        Builtin::Tools => Ok(tools::run(context)?),
        Builtin::Base(_) => root::base(context),
        Builtin::Root(_) => root::run(context),
        Builtin::KernelCheck => Ok(kernel_check::run(context)?),
        Builtin::StockKernel => stock_kernel::run(context),
        Builtin::Initrd => initrd::run(context),
        Builtin::MergeTars => merge::run(context),
        Builtin::BootDisk => boot::run(context),
        Builtin::Firmware => package::firmware(context),
        Builtin::QemuFacts => Ok(qemu::run(context)?),
    }
}

/// An input of the step, by its path.
fn input<'a>(context: &'a BuiltinContext<'_>, name: &str) -> Result<&'a Path, BuiltinError> {
    let found = context.inputs.get(name).map(PathBuf::as_path);
    found.ok_or_else(|| BuiltinError::Broken(format!("the step `{}` has no input `{name}`", context.step)))
}

/// A stretch of a file, read without moving the file's position.
fn part(file: &File, offset: u64, length: u64) -> Part<'_> {
    Part { file, offset, length }
}

struct Part<'a> {
    file: &'a File,
    offset: u64,
    length: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.length).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += read as u64;
        self.length -= read as u64;
        Ok(read)
    }
}
