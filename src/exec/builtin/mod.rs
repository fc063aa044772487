//! Steps that kiln carries out itself, in the process that [`inside`] makes. Each file is one [`crate::plan::Builtin`].
//!
//! Input: checked files by input path. Output: files or a directory under `out`, named as the step declares.

mod boot;
mod convert;
mod disk;
mod initrd;
pub mod inside;
pub mod kernel_check;
mod merge;
mod pack;
mod package;
pub mod qemu;
mod ready;
pub mod root;
mod shortage;
mod split;
mod stock_kernel;
pub mod tools;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::base::Foreign;
use crate::debian::deb::DebError;
use crate::exec::event::StepListener;
use crate::exec::failure::{Fault, StepFailure};
use crate::exec::sandbox::Limits;
use crate::exec::tree::RootError;
use crate::format::cpio::CpioError;
use crate::format::fat::FatError;
use crate::format::gpt::GptError;
use crate::format::qcow2::Qcow2Error;
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
    /// Whether every program of the packages runs itself, and nothing quicker in its place.
    pub without_stand_ins: bool,
    /// The disk that the step wrote the last time: clusters are taken from it where they are the same.
    pub earlier: Option<&'a Path>,
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
    #[error("package {package}: {source}", package = Foreign(package))]
    Package {
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
    /// The boot partition could not be written.
    #[error(transparent)]
    Fat(#[from] FatError),
    /// The partition table could not be written.
    #[error(transparent)]
    Gpt(#[from] GptError),
    /// The disk could not be written.
    #[error(transparent)]
    Qcow2(#[from] Qcow2Error),
    /// It is said whose fault it is.
    #[error(transparent)]
    Stated(#[from] StepFailure),
}

impl From<BuiltinError> for StepFailure {
    fn from(error: BuiltinError) -> StepFailure {
        let message = error.to_string();
        let fault = match error {
            BuiltinError::Stated(failure) => return failure,
            BuiltinError::Root(error) => return error.into(),
            BuiltinError::Qemu(error) => return error.into(),
            BuiltinError::KernelCheck(error) => return error.into(),
            BuiltinError::Tar(error) => return RootError::from(error).into(),
            BuiltinError::World(_) | BuiltinError::Qcow2(_) => Fault::Host,
            BuiltinError::Package { .. } => Fault::Input,
            BuiltinError::Cpio(CpioError::Io(error))
            | BuiltinError::Fat(FatError::Io(error))
            | BuiltinError::Gpt(GptError::Io(error)) => Fault::of_io(&error),
            BuiltinError::Cpio(CpioError::Entry { .. }) => Fault::Input,
            // Kiln itself decides about these names and sizes.
            BuiltinError::Fat(_) | BuiltinError::Gpt(_) => Fault::Bug,
        };
        StepFailure::new(fault, message)
    }
}

/// Carries a builtin step out.
pub fn run(builtin: &Builtin, context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    match builtin {
        Builtin::Tools => Ok(tools::run(context)?),
        Builtin::Base(_) => root::base(context),
        Builtin::Named(_) => root::named(context),
        Builtin::Root(_) => root::run(context),
        Builtin::KernelCheck => Ok(kernel_check::run(context)?),
        Builtin::StockKernel => stock_kernel::run(context),
        Builtin::ReadyKernel => Ok(ready::kernel(context)?),
        Builtin::ReadyFirmware => Ok(ready::firmware(context)?),
        Builtin::Initrd => initrd::run(context),
        Builtin::Pack => pack::run(context),
        Builtin::MergeTars => merge::run(context),
        Builtin::Disk => disk::run(context),
        Builtin::BootDisk => boot::run(context),
        Builtin::Convert { format } => convert::run(context, *format),
        Builtin::Firmware => package::firmware(context),
        Builtin::QemuTree => Ok(tools::qemu(context)?),
        Builtin::QemuFacts => Ok(qemu::run(context)?),
    }
}

/// An input of the step, by its path.
fn input<'a>(context: &'a BuiltinContext<'_>, name: &str) -> Result<&'a Path, BuiltinError> {
    let found = context.inputs.get(name).map(PathBuf::as_path);
    found.ok_or_else(|| StepFailure::bug(format!("the step `{}` has no input `{name}`", context.step)).into())
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
