//! Ignore files: which new files of a working tree git does not see.
//!
//! Input: the text of a `.gitignore`, and paths relative to its directory. Output: what its last matching line says of a path.
//! The rules are those of gitignore(5).

use super::wildcard::Wildcard;

/// Bytes of an ignore file.
pub const MAX_BYTES: u64 = 1 << 20;

/// What a file says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is left out.
    Ignored,
    /// It is not, whatever a file further up says.
    Kept,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

/// The lines of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IgnorePatterns(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    verdict: Verdict,
    directories_only: bool,
    /// Compared with the whole path instead of its last name.
    anchored: bool,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// One name.
    Name(Wildcard),
    /// `**`: any number of names.
    Names,
}

impl IgnorePatterns {
    /// Reads a file; a line that nothing matches is none.
    pub fn read(text: &[u8]) -> IgnorePatterns {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        IgnorePatterns(text.split(|byte| *byte == b'\n').filter_map(pattern).collect())
    }

    /// What the last line that matches says; `path` is relative to the file's directory.
    pub fn verdict(&self, path: &[u8], kind: PathKind) -> Option<Verdict> {
        let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        self.0.iter().rev().find(|pattern| pattern.matches(&names, kind)).map(|pattern| pattern.verdict)
    }
}

impl Pattern {
    fn matches(&self, names: &[&[u8]], kind: PathKind) -> bool {
        if self.directories_only && kind != PathKind::Directory {
            return false;
        }
        all_match(&self.parts, if self.anchored { names } else { &names[names.len() - 1..] })
    }
}

/// As with the wildcards of one name, only the last `**` ever takes more.
fn all_match(parts: &[Part], names: &[&[u8]]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut several: Option<(usize, usize)> = None;
    while read < names.len() {
        match parts.get(at) {
            Some(Part::Names) => {
                several = Some((at, read));
                at += 1;
            }
            Some(Part::Name(name)) if name.matches(names[read]) => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((before, taken)) = several else { return false };
                several = Some((before, taken + 1));
                (at, read) = (before + 1, taken + 1);
            }
        }
    }
    parts[at..].iter().all(|part| *part == Part::Names)
}

fn pattern(line: &[u8]) -> Option<Pattern> {
    // git takes the line ends of other systems as well.
    let line = without_spaces(line.strip_suffix(b"\r").unwrap_or(line));
    if line.is_empty() || line[0] == b'#' {
        return None;
    }
    let (verdict, line) = match line.strip_prefix(b"!") {
        Some(rest) => (Verdict::Kept, rest),
        None => (Verdict::Ignored, line),
    };
    let (directories_only, line) = match line.strip_suffix(b"/") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let anchored = line.contains(&b'/');
    let line = line.strip_prefix(b"/").unwrap_or(line);
    let part = |name: &[u8]| match name {
        b"**" => Some(Part::Names),
        name => Wildcard::read(name).map(Part::Name),
    };
    let mut parts: Vec<Part> = line.split(|byte| *byte == b'/').map(part).collect::<Option<_>>()?;
    if anchored && parts.last() == Some(&Part::Names) {
        // Everything inside, and not the directory itself.
        parts.push(Part::Name(Wildcard::read(b"*")?));
    }
    (!line.is_empty()).then_some(Pattern { verdict, directories_only, anchored, parts })
}

/// Spaces at the end of a line do not count, unless a backslash keeps them.
fn without_spaces(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b' '] = line {
        if rest.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1 {
            break;
        }
        line = rest;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(text: &str, path: &str, kind: PathKind) -> Option<bool> {
        IgnorePatterns::read(text.as_bytes()).verdict(path.as_bytes(), kind).map(|verdict| verdict == Verdict::Ignored)
    }

    #[test]
    fn patterns_match_as_gitignore_says() {
        use PathKind::{Directory, File};
        for (text, path, kind, expected) in [
            ("*.o", "a/b/main.o", File, Some(true)),
            ("*.o", "main.c", File, None),
            ("*.[oais]", "a/x.a", File, Some(true)),
            ("*.[!oais]", "a/x.a", File, None),
            ("[[:digit:]]*", "a/3x", File, Some(true)),
            ("/vmlinux", "vmlinux", File, Some(true)),
            ("/vmlinux", "a/vmlinux", File, None),
            ("a/b", "a/b", File, Some(true)),
            ("a/b", "x/a/b", File, None),
            ("doc/*.txt", "doc/a/b.txt", File, None),
            ("out/", "out", File, None),
            ("out/", "a/out", Directory, Some(true)),
            ("**/foo", "a/b/foo", File, Some(true)),
            ("**/foo", "foo", File, Some(true)),
            ("a/**/b", "a/b", File, Some(true)),
            ("a/**/b", "a/x/y/b", File, Some(true)),
            ("a/**", "a/x/y", File, Some(true)),
            ("a/**", "a", Directory, None),
            (".*\n!.gitignore", ".gitignore", File, Some(false)),
            (".*\n!.gitignore", ".config", File, Some(true)),
            ("!x\nx", "x", File, Some(true)),
            ("# x\n\n\\#x", "#x", File, Some(true)),
            ("\\!x", "!x", File, Some(true)),
            ("x  ", "x", File, Some(true)),
            ("x\\ ", "x ", File, Some(true)),
            ("*.o\r\n/out/\r\n", "main.o", File, Some(true)),
            ("*.o\r\n/out/\r\n", "out", Directory, Some(true)),
            ("a?c", "abc", File, Some(true)),
            ("a[", "a[", File, None),
            ("a\\", "a\\", File, None),
            ("[]-]", "-", File, Some(true)),
            ("[a-", "a", File, None),
            ("/", "x", Directory, None),
            ("**", "x/y", File, Some(true)),
        ] {
            assert_eq!(ignored(text, path, kind), expected, "{text:?} {path} {kind:?}");
        }
    }

    #[test]
    fn no_pattern_takes_forever() {
        let deep = "a/".repeat(2000);
        assert_eq!(ignored(&format!("{}b", "**/a/".repeat(500)), &format!("{deep}c"), PathKind::File), None);
        assert_eq!(ignored(&format!("{}b", "*a".repeat(250)), &"a".repeat(4000), PathKind::File), None);
    }
}
