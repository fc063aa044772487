//! Control files (deb822): stanzas of `Name: value` fields, read one stanza at a time from a stream.

use std::io::BufRead;

/// No stanza of an archive comes near this; a longer one is an attack or a broken file.
pub const MAX_STANZA: usize = 4 << 20;

/// The text is not a control file.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// A stanza beyond [`MAX_STANZA`].
    #[error("line {line}: stanza is larger than {MAX_STANZA} bytes")]
    TooLong { line: u64 },
    /// Not UTF-8.
    #[error("line {line}: invalid UTF-8")]
    NotUtf8 {
        /// Where its stanza began.
        line: u64,
    },
}

/// Reads stanzas from a stream, reusing one buffer.
pub struct Stanzas<R> {
    input: R,
    buffer: Vec<u8>,
    line: u64,
    start: u64,
}

impl<R: BufRead> Stanzas<R> {
    /// Stanzas of `input`.
    pub fn new(input: R) -> Self {
        Stanzas { input, buffer: Vec::new(), line: 0, start: 0 }
    }

    /// The line on which the current stanza began.
    pub fn start_line(&self) -> u64 {
        self.start
    }

    /// The next stanza, or nothing at the end.
    pub fn advance(&mut self) -> Result<Option<&str>, ControlError> {
        if !self.read()? {
            return Ok(None);
        }
        std::str::from_utf8(&self.buffer).map(Some).map_err(|_| ControlError::NotUtf8 { line: self.start })
    }

    /// The next stanza with U+FFFD for what is not UTF-8: archives have descriptions in Latin-1, and apt takes them.
    pub fn advance_lossy(&mut self) -> Result<Option<&str>, ControlError> {
        if !self.read()? {
            return Ok(None);
        }
        if std::str::from_utf8(&self.buffer).is_err() {
            self.buffer = String::from_utf8_lossy(&self.buffer).into_owned().into_bytes();
        }
        std::str::from_utf8(&self.buffer).map(Some).map_err(|_| ControlError::NotUtf8 { line: self.start })
    }

    /// Fills the buffer with a stanza; false at the end.
    fn read(&mut self) -> Result<bool, ControlError> {
        self.buffer.clear();
        self.start = self.line + 1;
        loop {
            let before = self.buffer.len();
            let room = (MAX_STANZA - before + 1) as u64;
            let read = std::io::Read::take(&mut self.input, room).read_until(b'\n', &mut self.buffer)?;
            if self.buffer.len() > MAX_STANZA {
                return Err(ControlError::TooLong { line: self.start });
            }
            self.line += 1;
            let blank = self.buffer[before..].iter().all(u8::is_ascii_whitespace);
            if blank {
                self.buffer.truncate(before);
            }
            if read == 0 || (blank && before > 0) {
                break;
            }
            if blank {
                self.start = self.line + 1;
            }
        }
        Ok(!self.buffer.is_empty())
    }
}

/// The fields of a stanza: name, and value with its continuation lines. Lines that are neither are passed over.
pub fn fields(stanza: &str) -> Fields<'_> {
    Fields { rest: stanza }
}

/// Iterates over the fields of a stanza.
pub struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        while !self.rest.is_empty() {
            let (field, rest) = self.rest.split_at(field_end(self.rest.as_bytes()));
            self.rest = rest;
            if let Some((name, value)) = field.split_once(':')
                && !name.starts_with([' ', '\t', '#'])
                && !name.contains('\n')
            {
                return Some((name, value.trim()));
            }
        }
        None
    }
}

/// One past the newline that no space or tab follows.
fn field_end(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(newline) = text[at..].iter().position(|byte| *byte == b'\n') {
        at += newline + 1;
        if !matches!(text.get(at), Some(b' ' | b'\t')) {
            return at;
        }
    }
    text.len()
}

/// The value of one field; names are compared without case.
pub fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    fields(stanza).find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut stanzas = Stanzas::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(stanza) = stanzas.advance().unwrap() {
            found.push(stanza.to_owned());
        }
        found
    }

    #[test]
    fn blank_lines_part_stanzas() {
        assert_eq!(all("\n\nA: 1\nB: 2\n \n\nA: 3"), ["A: 1\nB: 2\n", "A: 3"]);
        assert!(all("\n \n").is_empty());
    }

    #[test]
    fn continuation_lines_belong_to_their_field() {
        let stanza = "A: 1\n 2\n\t3\nb:4\nnonsense\nC: 5";
        assert_eq!(fields(stanza).collect::<Vec<_>>(), [("A", "1\n 2\n\t3"), ("b", "4"), ("C", "5")]);
        assert_eq!(field(stanza, "B"), Some("4"));
    }

    #[test]
    fn an_endless_stanza_is_refused() {
        let mut stanzas = Stanzas::new(std::io::BufReader::new(std::io::repeat(b'a')));
        assert!(matches!(stanzas.advance(), Err(ControlError::TooLong { line: 1 })));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[A: \n\té#]{0,40}") {
            for stanza in all(&text) {
                fields(&stanza).count();
            }
        }
    }
}
