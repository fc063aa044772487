//! Values of a text, each read by itself, and a note for those that cannot be read.

use std::fmt;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::base::Foreign;
use crate::lock::ReadError;
use crate::lock::read::{Remedy, syntax};

/// So much of a note is kept: a text could have a value of megabytes.
const MAX_NOTE_BYTES: usize = 300;

/// A part of a lock that cannot be read, and is made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// From 1.
    pub line: usize,
    /// The table or the package.
    pub what: String,
    /// Why it cannot be read.
    pub why: String,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lost { line, what, why } = self;
        Foreign(format!("line {line}: {what}: {why}")).fmt(f)
    }
}

pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// Takes a value out of a table.
pub(super) fn taken<'t>(table: &mut DeTable<'t>, key: &str) -> Option<Value<'t>> {
    table.remove(key)
}

pub(super) struct Reader<'t> {
    text: &'t str,
    /// With the bytes that they begin at.
    lost: Vec<(usize, Lost)>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Reader<'t> {
        Reader { text, lost: Vec::new() }
    }

    /// The notes in the order of their lines, which are counted once for all of them.
    pub(super) fn into_lost(mut self) -> Vec<Lost> {
        self.lost.sort_by_key(|(at, _)| *at);
        let (mut line, mut counted) = (1, 0);
        let numbered = self.lost.into_iter().map(|(at, lost)| {
            line += self.text.as_bytes()[counted..at].iter().filter(|byte| **byte == b'\n').count();
            counted = at;
            Lost { line, ..lost }
        });
        numbered.collect()
    }

    /// How many notes there are.
    pub(super) fn count(&self) -> usize {
        self.lost.len()
    }

    /// A value without which the rest means nothing.
    pub(super) fn must<T: Deserialize<'t>>(&self, value: Value<'t>) -> Result<T, ReadError> {
        T::deserialize(ValueDeserializer::from(value)).map_err(|mut error| {
            error.set_input(Some(self.text));
            syntax(self.text, &error)
        })
    }

    /// A value, or a note of why it is none.
    pub(super) fn one<T: Deserialize<'t>>(&mut self, value: Value<'t>, what: &str) -> Option<T> {
        let start = value.span().start;
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(read) => Some(read),
            Err(error) => {
                let at = error.span().map_or(start, |span| span.start);
                self.lost(at, what, error.message());
                None
            }
        }
    }

    /// The same of what a table should have.
    pub(super) fn of_table<T: Deserialize<'t>>(&mut self, table: &mut DeTable<'t>, key: &str) -> Option<T> {
        match taken(table, key) {
            Some(value) => self.one(value, key),
            None => {
                self.lost(0, key, "it is missing");
                None
            }
        }
    }

    /// The entries of a table by name; none of what is no table.
    pub(super) fn entries(&mut self, value: Option<Value<'t>>, what: &str) -> Vec<(String, Value<'t>)> {
        let Some(value) = value else { return Vec::new() };
        let start = value.span().start;
        match value.into_inner() {
            DeValue::Table(table) => {
                table.into_iter().map(|(key, value)| (key.into_inner().into_owned(), value)).collect()
            }
            _ => {
                self.lost(start, what, "it is no table");
                Vec::new()
            }
        }
    }

    /// Notes a part that begins at this byte.
    pub(super) fn lost(&mut self, at: usize, what: &str, why: &str) {
        let cut = |text: &str| text[..text.floor_char_boundary(MAX_NOTE_BYTES)].to_owned();
        let lost = Lost { line: 0, what: cut(what), why: cut(why) };
        self.lost.push((at.min(self.text.len()), lost));
    }

    /// Notes a fact that no lock may state.
    pub(super) fn wrong(&mut self, at: usize, what: &str, error: &ReadError) {
        let why = match error {
            ReadError::Fact { problem, .. } => problem.clone(),
            other => other.to_string(),
        };
        self.lost(at, what, &why);
    }

    /// A text of which nothing can be made.
    pub(super) fn refusal(&self, why: &str) -> ReadError {
        ReadError::Syntax { message: why.to_owned(), line: 1, column: 1, remedy: Remedy::Restore }
    }
}
