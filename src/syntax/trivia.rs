//! What stands between the words: blanks, line ends, comments.

use nom::Input as _;

use super::state::{Input, ahead};
use crate::base::Spanned;

/// Blanks within a line.
pub(super) fn blanks(input: Input<'_>) -> Input<'_> {
    let rest = input.fragment().trim_start_matches([' ', '\t', '\r']);
    input.take_from(input.fragment().len() - rest.len())
}

/// Blanks, line ends and comments; the comments are kept for the formatter.
pub(super) fn space(mut input: Input<'_>) -> Input<'_> {
    loop {
        let rest = input.fragment().trim_start_matches([' ', '\t', '\r', '\n']);
        input = input.take_from(input.fragment().len() - rest.len());
        if !rest.starts_with('#') {
            return input;
        }
        let line = rest.split('\n').next().unwrap_or_default();
        let text = line.trim_end();
        input.extra.comment(Spanned::new(text.to_owned(), ahead(input, text.len())));
        input = input.take_from(line.len());
    }
}
