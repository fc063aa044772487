//! Text to tree: shape without meaning.
//!
//! Input: one source text. Output: [`tree::File`] plus every mistake found. It must not know what any keyword means.

pub mod lexeme;
pub mod tree;
