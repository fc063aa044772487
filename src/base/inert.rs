//! What CI services obey when they find it in a log, spelled so that they do not.
//!
//! Input: text that may quote others. Output: the same, in which no line is a workflow command. GitHub and Forgejo take
//! `::name::` at the start of a line, after any white space, and `##[name]` anywhere in it; Azure takes `##vso[`, TeamCity
//! `##teamcity[`. What else they obey needs control characters, which [`super::tell`] spells out.

use std::borrow::Cow;

/// What may follow `##` to make it a command.
const AFTER_HASHES: [&str; 3] = ["[", "vso[", "teamcity["];

/// How the second `#` of a command is spelled in text.
pub(super) const HASH: &str = "\\u{23}";

/// The text without commands: a character of each is spelled `\u{3a}` or `\u{23}`.
pub(super) fn inert(text: &str) -> Cow<'_, str> {
    if !text.contains("::") && !text.contains("##") {
        return Cow::Borrowed(text);
    }
    let lines: Vec<String> = text.split('\n').map(line).collect();
    Cow::Owned(lines.join("\n"))
}

fn line(text: &str) -> String {
    let without = text.trim_start();
    let spelled = match without.strip_prefix("::") {
        Some(rest) => format!("{}\\u{{3a}}:{rest}", &text[..text.len() - without.len()]),
        None => text.to_owned(),
    };
    hashes(&spelled, HASH)
}

/// The text with the second `#` of every command in another spelling.
pub(super) fn hashes(text: &str, spelled: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("##") {
        let after = &rest[at + 2..];
        let second = if is_command(after) { spelled } else { "#" };
        out.push_str(&rest[..at + 1]);
        // One of three may be the first of a command.
        if second == "#" {
            rest = &rest[at + 1..];
        } else {
            out.push_str(second);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn is_command(after: &str) -> bool {
    AFTER_HASHES.iter().any(|begin| {
        let head = after.as_bytes().get(..begin.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(begin.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_a_command_of_a_ci_service() {
        let text = "ok\n::set-output name=a::b\n \t\u{3000}::add-mask::x\na ##[add-path]b ###[error]c ##VSO[task.x]d\n##teamcity[x]";
        let shown = inert(text);
        assert_eq!(
            shown,
            "ok\n\\u{3a}:set-output name=a::b\n \t\u{3000}\\u{3a}:add-mask::x\na #\\u{23}[add-path]b ##\\u{23}[error]c \
             #\\u{23}VSO[task.x]d\n#\\u{23}teamcity[x]"
        );
    }

    #[test]
    fn what_is_no_command_stays() {
        for text in ["", "a::b\nc::\n", "## heading\n# ##\n#", "###", "\n\n"] {
            assert_eq!(inert(text), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_has_a_command(parts in proptest::collection::vec("[ \n]|::|#|\\[|vso|x", 0..40)) {
            let shown = inert(&parts.concat()).into_owned();
            proptest::prop_assert!(shown.lines().all(|line| !line.trim_start().starts_with("::")));
            proptest::prop_assert!(!shown.contains("##[") && !shown.contains("##vso["));
        }
    }
}
