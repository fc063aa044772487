//! What each QEMU and each kernel can do, as data with sources.
//!
//! Input: a machine, the locked QEMU's version, what is known of the kernel. Output: [`Findings`]. The version decides
//! what can be said before anything is fetched; [`facts`] then holds what the binary itself answered.

mod check;
pub mod facts;
mod kernel;
mod table;

pub use check::{check, check_kernel};
pub use kernel::KernelFacts;
pub use table::{CAPABILITIES, Capability, KERNELS, KnownProblem, MemoryKind, PROBLEMS, Row, TRIALS, Trial};

use super::finding::Findings;
pub use super::version::{Emulator, Version};
