//! What an image's `/etc/login.defs` (login.defs(5)) says of new users.

use crate::exec::tree::{RootError, Tree};

/// The settings that kiln honours, with the defaults of shadow's own programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LoginDefs {
    /// Mode of a new home.
    pub(super) home_mode: u32,
    /// Users from here on are people, who get subordinate ids.
    pub(super) uid_min: u64,
    pub(super) uid_max: u64,
    pub(super) users: Subordinate,
    pub(super) groups: Subordinate,
}

/// Which ids are given to users for their containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subordinate {
    pub(super) min: u64,
    pub(super) max: u64,
    /// How many each user gets.
    pub(super) count: u64,
}

impl LoginDefs {
    /// Reads those of a tree; the defaults where there is no such file.
    pub(super) fn read(tree: &Tree) -> Result<LoginDefs, RootError> {
        Ok(LoginDefs::parse(&tree.text("etc/login.defs")?.unwrap_or_default()))
    }

    fn parse(text: &str) -> LoginDefs {
        let value = |name: &str, default: u64| {
            let mut lines = text.lines().map(str::split_whitespace);
            let found = lines.find_map(|mut words| words.next().filter(|word| *word == name).and(words.next()));
            found.and_then(number).unwrap_or(default)
        };
        let subordinate = |kind: &str| Subordinate {
            min: value(&format!("SUB_{kind}_MIN"), 100_000),
            max: value(&format!("SUB_{kind}_MAX"), 600_100_000),
            count: value(&format!("SUB_{kind}_COUNT"), 65_536),
        };
        let umask = value("UMASK", 0o022);
        LoginDefs {
            home_mode: (value("HOME_MODE", 0o777 & !umask) & 0o7777) as u32,
            uid_min: value("UID_MIN", 1000),
            uid_max: value("UID_MAX", 60_000),
            users: subordinate("UID"),
            groups: subordinate("GID"),
        }
    }
}

/// As `strtoul` reads it: octal after a zero, hexadecimal after `0x`.
fn number(word: &str) -> Option<u64> {
    match (word.strip_prefix("0x"), word.strip_prefix('0')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) if !digits.is_empty() => u64::from_str_radix(digits, 8).ok(),
        _ => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_and_comments_say_nothing() {
        let defs = LoginDefs::parse("# HOME_MODE 0700\nUMASK\t\t027\nSUB_UID_COUNT 10\n#UID_MIN 500\n");
        assert_eq!((defs.home_mode, defs.users.count, defs.groups.count, defs.uid_min), (0o750, 10, 65_536, 1000));
        assert_eq!(LoginDefs::parse("UMASK 022\nHOME_MODE 0700\n").home_mode, 0o700);
        assert_eq!(LoginDefs::parse("").home_mode, 0o755);
        assert_eq!(LoginDefs::parse("HOME_MODE odd\nUID_MAX 0x10\n").uid_max, 16);
    }
}
