//! Merged `/usr` (Debian policy 9.1, since Debian 12): where a packaged path really lies.

use crate::base::Arch;

/// Top-level names that are links into `/usr`.
pub(crate) const ALIASES: [&str; 7] = ["bin", "sbin", "lib", "lib64", "lib32", "libo32", "libx32"];
/// Those that exist on every system; the others only where a package uses them, or the architecture's ABI wants them.
const ALWAYS: [&str; 3] = ["bin", "sbin", "lib"];

/// The links that every system of an architecture has.
pub(crate) fn always(arch: Arch) -> impl Iterator<Item = &'static str> {
    ALWAYS.into_iter().chain(arch.facts().library_links.iter().copied())
}

/// The path with a leading `bin`, `lib`, ... replaced by `usr/bin`, `usr/lib`, ...; `None` when it stays.
pub(crate) fn merged(path: &str) -> Option<String> {
    let first = path.split('/').next().unwrap_or_default();
    ALIASES.contains(&first).then(|| format!("usr/{path}"))
}

/// Where an entry at `path` is written.
pub(crate) fn place(path: &str) -> String {
    merged(path).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_first_names_move() {
        assert_eq!(place("bin/sh"), "usr/bin/sh");
        assert_eq!(place("lib64"), "usr/lib64");
        assert_eq!(place("library/x"), "library/x");
        assert_eq!(place("usr/bin/sh"), "usr/bin/sh");
        assert_eq!(place(""), "");
    }
}
