//! What git knows of a working tree: the paths that its index tracks, and the patterns of its ignore files.
//!
//! Input: the bytes of `.git/index` and of `.gitignore` files, which may be anybody's. Output: paths and answers. Nothing
//! is read from a disk here, and git itself takes no part.

pub mod ignore;
pub mod index;
mod wildcard;
