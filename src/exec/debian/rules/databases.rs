//! Rules about databases whose entries stand in the order of events.

use super::RuleInput;
use crate::exec::tree::{RootError, Tree};

/// `status`, `triggers/File` and debconf's `*.dat` are sorted; dpkg and debconf do not care about the order.
pub(super) fn sort(_: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    tree.edit("var/lib/dpkg/status", stanzas)?;
    tree.edit("var/lib/dpkg/triggers/File", lines)?;
    for name in ["config.dat", "templates.dat", "passwords.dat"] {
        tree.edit(format!("var/cache/debconf/{name}"), stanzas)?;
    }
    Ok(())
}

fn stanzas(text: &str) -> String {
    let mut stanzas: Vec<&str> = text.split("\n\n").map(|stanza| stanza.trim_matches('\n')).collect();
    stanzas.retain(|stanza| !stanza.is_empty());
    stanzas.sort_unstable();
    stanzas.into_iter().map(|stanza| format!("{stanza}\n\n")).collect()
}

fn lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_are_sorted_whole() {
        assert_eq!(stanzas("Package: b\nX: 1\n\nPackage: a\n y\n\n"), "Package: a\n y\n\nPackage: b\nX: 1\n\n");
        assert_eq!(stanzas(""), "");
    }
}
