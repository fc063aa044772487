//! Vocabulary that every other layer shares: places in source text, mistakes, digests, sizes, instants.
//!
//! Input: values. Output: values. It must not know files, processes, clocks or any kiln noun (recipe, lock, plan).

pub mod arch;
pub mod base64;
pub mod count;
pub mod diagnostic;
pub mod digest;
pub mod foreign;
pub mod glob;
pub mod holes;
mod inert;
pub mod purl;
pub mod render;
pub mod size;
pub mod source;
pub mod span;
pub mod tell;
pub mod timestamp;
pub mod xml;

pub use arch::Arch;
pub use count::counted;
pub use diagnostic::Diagnostic;
pub use digest::{Digest, Hasher};
pub use foreign::{Foreign, Quoted};
pub use size::ByteSize;
pub use source::{FileId, SourceMap};
pub use span::{Span, Spanned};
pub use timestamp::Timestamp;
