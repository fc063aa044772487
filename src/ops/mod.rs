//! What kiln does: the operations that its commands, tests, a language server or a remote builder ask for.
//!
//! Input: a [`Session`] and options as plain structs. Output: what came of it as data, or an [`OpsError`] whose class
//! says whose failure it is; what happens meanwhile goes to the session's listener as an [`OpsEvent`]. It must not
//! know a command line, and must not write to standard output or standard error.

#![warn(missing_docs)]

mod artifacts;
pub mod attest;
mod beforehand;
mod below;
mod build;
pub mod bundle;
pub mod cache;
pub mod challenge;
mod check;
mod deliver;
pub mod diff;
mod diffoscope;
mod edited;
pub mod emulator;
pub mod error;
pub mod event;
pub mod every;
pub mod export;
pub mod fill;
mod first_boot;
pub mod gone;
mod ids;
pub mod inside;
pub mod kconfig;
pub mod launch;
mod leaks;
pub mod load;
pub mod local;
pub mod lock;
mod locked;
pub mod machines;
pub mod mirrors;
pub mod oci;
mod options;
pub mod outdated;
mod own;
mod packed_qemu;
mod previous;
pub mod project;
mod qemu;
mod qemu_tree;
pub mod qmp;
pub mod questions;
mod realize;
mod rebuild;
mod record;
pub mod remote;
pub mod report;
pub mod roots;
mod run_request;
pub mod running;
pub mod sbom;
mod session;
mod set_users;
pub mod share;
pub mod shell;
pub mod sign;
pub mod ssh_keys;
mod status;
mod steps;
mod target;
mod test;
mod variation;
mod verify;
mod warnings;
mod watch;
mod witness;
mod written;

pub use build::{Built, QemuDelivery, build, build_with};
pub use check::{Versions, check};
pub use error::{ErrorClass, OpsError};
pub use event::{IgnoreEvents, OpsEvent, OpsListener};
pub use load::{Loaded, Ready, ready};
pub use options::{BuildOptions, CacheOptions, CacheUse, Incremental, LeakPolicy, RecipeOptions};
pub use project::reference;
pub use rebuild::{inputs, rebuild};
pub use run_request::RunRequest;
pub use session::Session;
pub use status::status;
pub use target::{ExistingFile, FileTarget, TextTarget, WrittenText};
pub use test::{
    AfterRecipe, FailedMachines, GoneFiles, RecipeTest, TestRequest, default_recipes, log_directories,
    place_for_results, test_all,
};
pub use variation::{SecondBuild, Variation};
pub use verify::{VerifyReport, directory};
