//! The smallest pieces of text: what a name is, and how a string is quoted.

/// Whether `text` is a name: a letter or `_`, then letters, digits, `_`, and `-` between two of those.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && name_length(text) == text.len()
}

/// Bytes of the name that `text` starts with; 0 when it starts with none.
pub fn name_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let word = |at: usize| bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    if !word(0) || bytes[0].is_ascii_digit() {
        return 0;
    }
    let mut end = 1;
    // A hyphen belongs to the name only before another letter, so that `packages-=` is a name and an operator.
    while word(end) || (bytes.get(end) == Some(&b'-') && word(end + 1)) {
        end += 1;
    }
    end
}

/// A string literal that reads back as `text`.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '$' => quoted.push_str("\\$"),
            c if c.is_control() => quoted.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
