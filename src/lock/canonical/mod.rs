//! The one spelling that kiln gives a lock, read without a TOML parser: nearly every lock has it.
//!
//! Input: a text. Output: what the TOML parser makes of it, or nothing: any other text is for that parser, which also knows what
//! is wrong with it. Nothing is read here of which two readers could think differently: a fact a line, strings without
//! escapes, numbers in one spelling, every key and every table once.

mod value;

use std::collections::BTreeMap;

use memchr::{memchr, memchr3};
use serde::Deserialize;

use super::wire::WireLock;

/// Tables in tables.
const MAX_DEPTH: usize = 4;

/// What the text says, if it is spelled as kiln spells it.
pub(super) fn read(text: &str) -> Option<WireLock> {
    if has_other_bytes(text.as_bytes()) {
        return None;
    }
    WireLock::deserialize(Node::Table(tables(text)?)).ok()
}

/// Whether there are escapes, or bytes that TOML allows in few places or nowhere.
fn has_other_bytes(text: &[u8]) -> bool {
    let controls = (0..b' ').filter(|byte| *byte != b'\n');
    let bytes: Vec<u8> = controls.chain([0x7f, b'\\']).collect();
    bytes.chunks_exact(3).any(|chunk| memchr3(chunk[0], chunk[1], chunk[2], text).is_some())
}

type Table<'t> = BTreeMap<&'t str, Node<'t>>;

enum Node<'t> {
    Table(Table<'t>),
    Value(Raw<'t>),
}

/// A value that is not read yet.
#[derive(Clone, Copy)]
enum Raw<'t> {
    /// All of it stands behind the key.
    Line(&'t str),
    /// The lines of a list.
    Lines(&'t str),
}

/// The text up to the end of the line, and what follows it.
fn line(text: &str) -> (&str, &str) {
    match memchr(b'\n', text.as_bytes()) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, ""),
    }
}

fn tables(mut rest: &str) -> Option<Table<'_>> {
    let mut root = Table::new();
    let mut table = &mut root;
    while !rest.is_empty() {
        let (fact, after) = line(rest);
        rest = after;
        if fact.is_empty() || fact.starts_with('#') {
            continue;
        }
        if let Some(path) = fact.strip_prefix('[') {
            table = opened(&mut root, path.strip_suffix(']')?)?;
            continue;
        }
        let (name, value) = key(fact)?;
        let mut value = Raw::Line(value.strip_prefix(" = ")?);
        if let Raw::Line("[") = value {
            let (items, after) = list(rest)?;
            (value, rest) = (Raw::Lines(items), after);
        }
        if table.insert(name, Node::Value(value)).is_some() {
            return None;
        }
    }
    Some(root)
}

/// The table that a header begins. One above it may be there, it itself may not.
fn opened<'a, 't>(root: &'a mut Table<'t>, path: &'t str) -> Option<&'a mut Table<'t>> {
    let (mut table, mut path) = (root, path);
    for _ in 0..MAX_DEPTH {
        let (name, rest) = key(path)?;
        let is_last = rest.is_empty();
        if is_last && table.contains_key(name) {
            return None;
        }
        match table.entry(name).or_insert_with(|| Node::Table(Table::new())) {
            Node::Table(inner) => table = inner,
            Node::Value(_) => return None,
        }
        if is_last {
            return Some(table);
        }
        path = rest.strip_prefix('.')?;
    }
    None
}

/// The key that the text begins with, and what follows it.
fn key(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('"') {
        return string(text);
    }
    let is_bare = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let length = text.as_bytes().iter().take_while(|byte| is_bare(byte)).count();
    (length > 0).then(|| text.split_at(length))
}

/// The string that the text begins with, and what follows it.
fn string(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let end = memchr(b'"', text.as_bytes())?;
    Some((&text[..end], &text[end + 1..]))
}

/// The lines before the one that ends a list, and the text behind that.
fn list(text: &str) -> Option<(&str, &str)> {
    let mut rest = text;
    while !rest.is_empty() {
        let (item, after) = line(rest);
        if item == "]" {
            return Some((&text[..text.len() - rest.len()], after));
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests;
