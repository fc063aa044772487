//! The tree of one file, exactly as written. One production serves every line of the language:
//!
//! ```text
//! entry = keyword argument* [ op value ] [ "{" entry* "}" ]
//! ```
//!
//! A field is an entry without arguments and with an assignment; a block is an entry with a body; a statement such as
//! `option X = y` or `expect "..." matches "..."` is an entry with arguments. Meaning comes later, in `recipe/`.

use crate::base::digest::Digest;
use crate::base::span::{Span, Spanned};
use crate::base::timestamp::Timestamp;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// Top-level entries in order.
    pub entries: Vec<Entry>,
    /// Every comment with its place, for the formatter.
    pub comments: Vec<Spanned<String>>,
}

/// One line or block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub keyword: Spanned<String>,
    /// Values between the keyword and the assignment or the body.
    pub arguments: Vec<Spanned<Expression>>,
    /// `=`, `+=` or `-=` and what follows.
    pub assign: Option<(Op, Spanned<Expression>)>,
    /// What stands between braces.
    pub body: Option<Vec<Entry>>,
    /// From the keyword to the end.
    pub span: Span,
}

/// How a field combines with what it inherits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `=` replaces.
    Set,
    /// `+=` appends to a list.
    Add,
    /// `-=` removes from a list.
    Remove,
}

/// A literal, a name, or a small expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// `"text"`, or a multi-line string; interpolation is resolved during evaluation.
    Text(Vec<TextPart>),
    /// `4`
    Integer(i64),
    /// `0x1000`
    Hex(u64),
    /// `4GiB`, in bytes.
    Size(u64),
    /// `90s`, in seconds.
    Duration(u64),
    /// `0o755`
    Mode(u32),
    /// `2026-11-01T00:00:00Z`
    Instant(Timestamp),
    /// `sha256:...`
    Digest(Digest),
    /// `true`, `false`
    Boolean(bool),
    /// A bare word: the name of something, or one of a fixed set of words.
    Name(String),
    /// `[a, b]`
    List(Vec<Spanned<Expression>>),
    /// `a..b`, for loops: integers, or names of integers.
    Range(Box<Spanned<Expression>>, Box<Spanned<Expression>>),
    /// A word applied to values: `file "x"`, `package "qemu" from backports`, `url "https://..." sha256:...`.
    Call(Spanned<String>, Vec<Spanned<Expression>>),
}

/// A piece of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextPart {
    /// Characters, escapes resolved.
    Literal(String),
    /// `${name}`
    Name(Spanned<String>),
}
