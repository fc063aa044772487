//! Two texts of a lock, compared line by line: what somebody changed in the text that kiln wrote.

use std::collections::BTreeMap;
use std::fmt;

use super::sides;
use crate::base::Foreign;

/// So much of a line is shown.
const MAX_SHOWN_BYTES: usize = 120;

/// A line that is not as kiln wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedLine {
    /// From 1, in the text as it is now; of a line that is gone, in the text as it was.
    pub line: usize,
    /// What it says now, without the spaces around it.
    pub now: Option<String>,
    /// What kiln wrote.
    pub before: Option<String>,
}

impl fmt::Display for EditedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line;
        let text = match (&self.before, &self.now) {
            (Some(before), Some(now)) if before == now => {
                format!("line {line} is not where kiln wrote it: {}", cut(now))
            }
            (Some(before), Some(now)) => match fields(before, now) {
                Some((name, before, now)) => {
                    format!("line {line}: {name} is {}, but kiln wrote {}", cut(now), cut(before))
                }
                None => format!("line {line} is `{}`, but kiln wrote `{}`", cut(now), cut(before)),
            },
            (None, Some(now)) => format!("line {line} was added: {}", cut(now)),
            (Some(before), None) => format!("line {line} of what kiln wrote is gone: {}", cut(before)),
            (None, None) => format!("line {line}"),
        };
        Foreign(text).fmt(f)
    }
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_SHOWN_BYTES);
    if end < text.len() { format!("{}...", &text[..end]) } else { text.to_owned() }
}

/// The one field in which two lines of a package or a file differ: what it is of, and its values.
fn fields<'a>(before: &'a str, now: &'a str) -> Option<(String, &'a str, &'a str)> {
    let parts = |line: &'a str| line.trim_end_matches(" },").split(", ").collect::<Vec<_>>();
    let (before, now) = (parts(before), parts(now));
    let mut others = before.iter().zip(&now).filter(|(before, now)| before != now);
    let (one, other) = others.next()?;
    if before.len() != now.len() || others.next().is_some() {
        return None;
    }
    let (key, before_value) = one.rsplit_once(" = ")?;
    let (same, value) = other.rsplit_once(" = ")?;
    let name = key.rsplit(' ').next()?;
    let of = before[0].split('"').nth(1).filter(|_| before.len() > 1);
    let shown = of.map_or_else(|| format!("`{name}`"), |of| format!("`{name}` of `{of}`"));
    (key == same).then_some((shown, before_value, value))
}

/// The lines of `now` that are not those of `before`, but for the checksum. Nothing of a text that is too long.
pub fn compared(before: &str, now: &str) -> Vec<EditedLine> {
    let (before, now): (Vec<&str>, Vec<&str>) = (before.lines().collect(), now.lines().collect());
    let Some([of_before, of_now]) = sides::facts([&before, &now]) else { return Vec::new() };
    let said = |line: &str| line.trim().to_owned();
    let is_told = |line: &str| !line.trim().is_empty() && !line.starts_with('#') && !line.starts_with("checksum = ");
    let mut lines = Vec::new();
    let mut known: BTreeMap<_, usize> = BTreeMap::new();
    for (at, fact) in of_before.iter().enumerate() {
        known.extend(fact.map(|fact| (fact, at)));
    }
    for (at, (line, fact)) in now.iter().zip(&of_now).enumerate() {
        let Some(fact) = fact.filter(|_| is_told(line)) else { continue };
        let before = known.remove(&fact).map(|at| before[at].trim());
        if before != Some(line.trim()) {
            lines.push(EditedLine { line: at + 1, now: Some(said(line)), before: before.map(str::to_owned) });
        }
    }
    let gone = known.into_values().filter(|at| is_told(before[*at]));
    lines.extend(gone.map(|at| EditedLine { line: at + 1, now: None, before: Some(said(before[at])) }));
    if lines.is_empty() {
        // What may stand there often, and the order of what may not.
        let differs = |(before, now): &(&&str, &&str)| before.trim() != now.trim() && (is_told(before) || is_told(now));
        if let Some(at) = before.iter().zip(&now).position(|pair| differs(&pair)) {
            let is_moved = before.contains(&now[at]);
            let before = said(if is_moved { now[at] } else { before[at] });
            lines.push(EditedLine { line: at + 1, now: Some(said(now[at])), before: Some(before) });
        }
    }
    lines.sort_by_key(|line| (line.line, line.now.is_none()));
    lines
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::super::write;
    use super::*;

    #[test]
    fn every_kind_of_change_is_told_with_its_line() {
        let good = write(&example());
        let number = |begin: &str| good.lines().position(|line| line.starts_with(begin)).unwrap() + 1;
        let told = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            let lines = compared(&good, &good.replacen(from, to, 1));
            lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let package = number("  { name = \"bash\"");
        assert_eq!(
            told("pool/main/bash.deb", "pool/x.deb"),
            format!("line {package}: `path` of `bash` is \"pool/x.deb\", but kiln wrote \"pool/main/bash.deb\"")
        );
        assert_eq!(
            told("\"root\" = 0", "\"root\" = 1"),
            format!("line {}: `\"root\"` is 1, but kiln wrote 0", number("\"root\""))
        );
        let open = number("open = ");
        assert_eq!(told("open = true\n", ""), format!("line {open} of what kiln wrote is gone: open = true"));
        assert_eq!(told("open = true\n", "open = true\nmore = 1\n"), format!("line {} was added: more = 1", open + 1));
        // The words of a command line may be there twice, and those to configure are a list in order.
        let argv = number("  \"-m\",");
        assert_eq!(told("  \"-m\",\n", "  \"-n\",\n"), format!("line {argv} is `\"-n\",`, but kiln wrote `\"-m\",`"));
        let order = number("  \"zlib1g:amd64\",");
        assert_eq!(
            told("  \"zlib1g:amd64\",\n  \"bash:amd64\",\n", "  \"bash:amd64\",\n  \"zlib1g:amd64\",\n"),
            format!("line {order} is not where kiln wrote it: \"bash:amd64\",")
        );
        // What means nothing, and the checksum itself.
        assert_eq!(told("# Made by", "# Not made by"), "");
        assert_eq!(told("checksum = \"", "checksum = \"0"), "");
    }
}
