//! Kconfig files as logical lines: comments, continuations and help texts taken out, macros of known value put in.

use std::collections::BTreeMap;

/// One line that means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Counted from one; the first, where a line continues.
    pub(super) number: u32,
    /// Without indentation, comment or continuation.
    pub(super) text: String,
}

/// The logical lines of a file; `known` are variables such as `SRCARCH` that are replaced wherever they stand.
pub(super) fn logical(text: &str, known: &BTreeMap<String, String>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut help: Option<Help> = None;
    let mut source = text.lines().enumerate();
    while let Some((at, first)) = source.next() {
        if let Some(state) = &mut help {
            if state.takes(first) {
                continue;
            }
            help = None;
        }
        let mut whole = without_comment(first).to_owned();
        while whole.ends_with('\\') {
            whole.pop();
            let Some((_, next)) = source.next() else { break };
            whole.push(' ');
            whole.push_str(without_comment(next).trim_start());
        }
        let trimmed = whole.trim();
        match trimmed {
            "" => {}
            "help" | "---help---" => help = Some(Help { indent: None }),
            _ => lines.push(Line { number: at as u32 + 1, text: expand(trimmed, known) }),
        }
    }
    lines
}

/// A help text lasts until a line that is indented less than its first one.
struct Help {
    indent: Option<usize>,
}

impl Help {
    fn takes(&mut self, line: &str) -> bool {
        if line.trim().is_empty() {
            return true;
        }
        let found = indent(line);
        match self.indent {
            Some(first) => found >= first,
            // A help text without words.
            None if found == 0 => false,
            None => {
                self.indent = Some(found);
                true
            }
        }
    }
}

/// Columns of white space, tabs reaching to the next multiple of eight.
fn indent(line: &str) -> usize {
    let mut columns = 0;
    for byte in line.bytes() {
        match byte {
            b' ' => columns += 1,
            b'\t' => columns = columns / 8 * 8 + 8,
            _ => break,
        }
    }
    columns
}

/// Cuts a comment off, unless the `#` stands in quotes.
fn without_comment(line: &str) -> &str {
    let mut open = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match (open, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(quote), c) if c == quote => open = None,
            (None, '"' | '\'') => open = Some(c),
            (None, '#') => return line[..at].trim_end(),
            _ => {}
        }
    }
    line.trim_end()
}

/// Replaces `$(NAME)` for known names; every other call stays as it is.
fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("$(") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = rest.find(')').and_then(|end| Some((known.get(&rest[2..end])?, end + 1)));
        let (put, length) = known.map_or(("$(", 2), |(value, length)| (value.as_str(), length));
        out.push_str(put);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// Bytes of the call `$(...)` at the start of the text, its inner parentheses matched.
pub(in crate::kconfig) fn call_length(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The contents of the quoted text at the start, and what follows it.
pub(in crate::kconfig) fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next()?;
    let mut out = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => out.push(chars.next()?.1),
            c if c == quote => return Some((out, &text[at + c.len_utf8()..])),
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let known = BTreeMap::from([("SRCARCH".to_owned(), "x86".to_owned())]);
        logical(text, &known).into_iter().map(|line| format!("{} {}", line.number, line.text)).collect()
    }

    #[test]
    fn help_ends_where_its_indentation_ends() {
        let file = "config A\n\tbool \"a\"\n\thelp\n\t  words\n\n\t    config B # deeper\n\t  select X\n\tdefault y\nconfig C\n";
        assert_eq!(texts(file), ["1 config A", "2 bool \"a\"", "8 default y", "9 config C"]);
        assert_eq!(texts("config A\n\thelp\n\nconfig B\n"), ["1 config A", "4 config B"]);
    }

    #[test]
    fn comments_continuations_and_variables() {
        assert_eq!(texts("a \"#1\" # two\n\tdepends on A && \\\n\t\tB\n"), ["1 a \"#1\"", "2 depends on A &&  B"]);
        assert_eq!(texts("source \"arch/$(SRCARCH)/Kconfig\"\n"), ["1 source \"arch/x86/Kconfig\""]);
        assert_eq!(texts("x $(cc-option,$(SRCARCH))\n"), ["1 x $(cc-option,x86)"]);
        assert_eq!(texts("x \\"), ["1 x"]);
    }

    #[test]
    fn calls_and_quotes() {
        assert_eq!(call_length("$(a,$(b),\")\") c"), Some(13));
        assert_eq!(call_length("$(a"), None);
        assert_eq!(quoted("\"a\\\"b\" rest"), Some(("a\"b".to_owned(), " rest")));
        assert_eq!(quoted("'it' x"), Some(("it".to_owned(), " x")));
        assert_eq!(quoted("\"open"), None);
    }
}
