//! Recipe and lock to a graph of steps, each a remote-execution Action.
//!
//! Input: [`crate::recipe::Recipe`] and a [`crate::lock::Lock`] that satisfies it. Output: [`Plan`]. Pure and total:
//! it must not look at the disk, the store or the network, and it cannot fail.

#![warn(missing_docs)]

pub mod boot;
pub mod build;
pub mod builder;
pub mod disk;
pub mod id;
pub mod image;
pub mod initrd;
pub mod kernel;
pub mod kind;
pub mod lower;
pub mod parts;
pub mod qemu;
pub mod ready;
pub mod reapi;
pub mod restrict;
pub mod root;
pub mod statement;
pub mod step;
pub mod stock;
pub mod unsupported;

pub use builder::Builder;
pub use kind::{ArtifactKind, DiskContent, DiskLayout, IndexedKernel, StepKind};
pub use lower::lower;
pub use restrict::restrict;
pub use statement::Statement;
pub use step::{Artifact, ArtifactOwner, Builtin, Fetch, Ids, IncrementalRun, Input, Plan, Step, Work};
