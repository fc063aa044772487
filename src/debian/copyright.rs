//! Machine-readable copyright files (Debian's DEP-5, "copyright-format 1.0").
//!
//! Input: the text of `/usr/share/doc/PACKAGE/copyright`. Output: the licences that it names, each with its text where
//! the file has it, or nothing where the file is prose: what prose says is not guessed.

use std::collections::BTreeMap;

use super::control::{self, Stanzas};

/// Licences that one file may name; the largest of Debian 13 names about 120.
const MAX_LICENSES: usize = 1024;

/// The licences that a package's files are under.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copyright {
    /// What the stanzas of files say, each once: `GPL-2+`, `Expat or Apache-2.0`.
    pub expressions: Vec<String>,
    /// By the name of a licence: its text.
    pub texts: BTreeMap<String, String>,
}

impl Copyright {
    /// Reads a copyright file; `None` when it is not machine-readable, or names no licence of a file.
    pub fn parse(text: &str) -> Option<Copyright> {
        let mut stanzas = Stanzas::new(text.as_bytes());
        let header = stanzas.advance().ok()??;
        control::field(header, "Format").filter(|format| is_dep5(format))?;
        let mut found = Copyright::default();
        let mut expressions = std::collections::BTreeSet::new();
        while let Some(stanza) = stanzas.advance().ok()? {
            let Some(license) = control::field(stanza, "License") else { continue };
            let (name, text) = license.split_once('\n').unwrap_or((license, ""));
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            if name.is_empty() {
                continue;
            }
            if control::field(stanza, "Files").is_some() {
                expressions.insert(name.clone());
            }
            if !text.trim().is_empty() {
                found.texts.entry(name).or_insert_with(|| unfolded(text));
            }
            if expressions.len() > MAX_LICENSES || found.texts.len() > MAX_LICENSES {
                return None;
            }
        }
        found.expressions = expressions.into_iter().collect();
        (!found.expressions.is_empty()).then_some(found)
    }
}

/// Drafts of the format had other addresses and other fields.
fn is_dep5(format: &str) -> bool {
    let address = format.trim().trim_end_matches('/');
    let path = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    path == Some("www.debian.org/doc/packaging-manuals/copyright-format/1.0")
}

/// Continuation lines as they were before they were folded: without the blank in front, and empty where a dot stands alone.
fn unfolded(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix([' ', '\t']).unwrap_or(line) {
        "." => String::new(),
        line => line.trim_end().to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n";

    #[test]
    fn licences_of_files_are_named_once_and_their_texts_are_found_wherever_they_stand() {
        let text = format!(
            "{FORMAT}Upstream-Name: x\n\nFiles: *\nCopyright: a\nLicense: GPL-2+\n\nFiles: b\nCopyright: b\nLicense: Expat\n Permission\n .\n is granted\n\n\
             Files: c\nLicense: GPL-2+\n\nLicense: GPL-2+\n see there\n"
        );
        let found = Copyright::parse(&text).unwrap();
        assert_eq!(found.expressions, ["Expat", "GPL-2+"]);
        assert_eq!(found.texts["Expat"], "Permission\n\nis granted");
        assert_eq!(found.texts["GPL-2+"], "see there");
    }

    #[test]
    fn prose_names_no_licence() {
        for text in ["", "This package is free software.\n", "Format: 1.0\n\nFiles: *\nLicense: GPL-2\n", FORMAT] {
            assert_eq!(Copyright::parse(text), None, "{text}");
        }
        assert_eq!(Copyright::parse(&format!("{FORMAT}\nLicense: GPL-2\n a text of no file\n")), None);
    }

    #[test]
    fn a_file_of_countless_licences_names_none() {
        let many: String = (0..2000).map(|number| format!("\nFiles: f{number}\nLicense: L{number}\n")).collect();
        assert_eq!(Copyright::parse(&format!("{FORMAT}{many}")), None);
    }
}
