//! Recipe and lock to a graph of steps, each a remote-execution Action.
//!
//! Input: [`crate::recipe::Recipe`] and a [`crate::lock::Lock`] that satisfies it. Output: [`Plan`]. Pure and total:
//! it must not look at the disk, the store or the network, and it cannot fail.

pub mod builder;
pub mod id;
pub mod initrd;
pub mod reapi;
pub mod root;
pub mod step;

pub use builder::Builder;
pub use step::{Artifact, Builtin, Fetch, Ids, Input, Plan, Step, Work};
