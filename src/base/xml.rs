//! Text of others in XML.

/// Text and attribute values alike. Characters that XML 1.0 (section 2.2) does not know become U+FFFD; what CI services obey
/// in a log (`##[`) is spelled otherwise, which XML reads as the same.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push('\t'),
            '#' if escaped.ends_with('#') => escaped.push_str("&#35;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_neither_markup_nor_what_xml_does_not_know() {
        assert_eq!(escape("##[error]# #"), "#&#35;[error]# #");
        assert_eq!(escape("<a b=\"&\">\n\t\u{1}ü"), "&lt;a b=&quot;&amp;&quot;&gt;&#10;\t\u{fffd}ü");
    }
}
