//! Text to tree: shape without meaning.
//!
//! Input: one source text. Output: [`tree::File`] plus every mistake found. It must not know what any keyword means.

mod grammar;
pub mod lexeme;
mod number;
pub mod print;
mod recover;
mod state;
mod text;
pub mod tree;
mod trivia;
mod value;

pub use grammar::{parse, parse_value};
pub use state::{MAX_BYTES, MAX_DEPTH, MAX_ITEMS};
