//! Kernel configurations: what was asked, what came out, and why something did not.
//!
//! Input: the bytes of `.config` files, the Kconfig files of a source tree, the options that a recipe asks for.
//! Output: fragments, the options that were dropped, explanations. Pure: it must not look at a disk, and it never
//! decides a configuration: the kernel's own program does that, and is the judge of what is said here.

pub mod archive;
pub mod check;
pub mod diff;
pub mod dotconfig;
pub mod explain;
mod explanation;
pub mod expr;
pub mod fragment;
mod lines;
mod misfit;
mod near;
mod needs;
pub mod reason;
mod reasoner;
mod remedy;
mod sentence;
pub mod tree;
pub mod value;
mod valued;

pub use check::{Dropped, OptionRequest, RequestKind, check, is_ambiguous};
pub use dotconfig::DotConfig;
pub use explanation::{Explanation, explain};
pub use reason::RequestJudge;
pub use tree::KconfigTree;
pub use value::Tri;
