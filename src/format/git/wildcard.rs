//! Wildcards of one name: `*`, `?`, `[a-z]`, `[!a]`, `[[:digit:]]` and `\` before any of them.
//!
//! Input: a pattern and a name, as bytes. Output: whether it matches. A pattern of any shape takes time proportional to its
//! length times the name's.

use crate::base::glob;

/// One position of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Byte(u8),
    Any,
    Star,
    Class { negated: bool, ranges: Vec<(u8, u8)> },
}

/// A pattern that one name is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wildcard(Vec<Token>);

impl Wildcard {
    /// Reads a pattern; `None` for one that nothing matches: an open bracket, or nothing behind the last `\`.
    pub(super) fn read(mut pattern: &[u8]) -> Option<Wildcard> {
        let mut tokens = Vec::new();
        while let [first, rest @ ..] = pattern {
            pattern = rest;
            match first {
                b'*' if tokens.last() == Some(&Token::Star) => {}
                b'*' => tokens.push(Token::Star),
                b'?' => tokens.push(Token::Any),
                b'[' => {
                    let (class, rest) = class(pattern)?;
                    tokens.push(class);
                    pattern = rest;
                }
                b'\\' => {
                    let [literal, rest @ ..] = pattern else { return None };
                    tokens.push(Token::Byte(*literal));
                    pattern = rest;
                }
                literal => tokens.push(Token::Byte(*literal)),
            }
        }
        Some(Wildcard(tokens))
    }

    /// Whether the whole name matches.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        glob::matches_all(&self.0, name)
    }
}

impl glob::Position for Token {
    fn is_star(&self) -> bool {
        *self == Token::Star
    }

    fn fits(&self, byte: u8) -> bool {
        match self {
            Token::Byte(literal) => *literal == byte,
            Token::Any => true,
            Token::Star => false,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&byte)) != *negated
            }
        }
    }
}

/// What is between brackets, and what follows them.
fn class(mut pattern: &[u8]) -> Option<(Token, &[u8])> {
    let negated = matches!(pattern.first(), Some(b'!' | b'^'));
    if negated {
        pattern = &pattern[1..];
    }
    let mut ranges = Vec::new();
    let mut first = true;
    loop {
        match pattern {
            [b']', rest @ ..] if !first => return Some((Token::Class { negated, ranges }, rest)),
            [b'[', b':', rest @ ..] => {
                let end = rest.windows(2).position(|two| two == b":]")?;
                ranges.extend(named(&rest[..end])?);
                pattern = &rest[end + 2..];
            }
            _ => {
                let low = literal(&mut pattern)?;
                match pattern {
                    [b'-', next, ..] if *next != b']' => {
                        pattern = &pattern[1..];
                        ranges.push((low, literal(&mut pattern)?));
                    }
                    _ => ranges.push((low, low)),
                }
            }
        }
        first = false;
    }
}

fn literal(pattern: &mut &[u8]) -> Option<u8> {
    let (literal, rest) = match *pattern {
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (*literal, rest),
        [] => return None,
    };
    *pattern = rest;
    Some(literal)
}

/// The classes of POSIX, in ASCII.
fn named(name: &[u8]) -> Option<Vec<(u8, u8)>> {
    Some(match name {
        b"alnum" => vec![(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
        b"alpha" => vec![(b'A', b'Z'), (b'a', b'z')],
        b"blank" => vec![(b' ', b' '), (b'\t', b'\t')],
        b"cntrl" => vec![(0, 31), (127, 127)],
        b"digit" => vec![(b'0', b'9')],
        b"graph" => vec![(b'!', b'~')],
        b"lower" => vec![(b'a', b'z')],
        b"print" => vec![(b' ', b'~')],
        b"punct" => vec![(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')],
        b"space" => vec![(b'\t', b'\r'), (b' ', b' ')],
        b"upper" => vec![(b'A', b'Z')],
        b"xdigit" => vec![(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
        _ => return None,
    })
}
