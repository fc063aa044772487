//! Merged `/usr` (Debian policy 9.1, since Debian 12): where a packaged path really lies.

/// Top-level names that are links into `/usr`.
pub(crate) const ALIASES: [&str; 7] = ["bin", "sbin", "lib", "lib64", "lib32", "libo32", "libx32"];
/// Those that exist on every amd64 system; the others only where a package uses them.
pub(crate) const ALWAYS: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

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
