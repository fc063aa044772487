//! Which names of others are taken.

/// Whether a name is one path component that neither a shell nor an option string could misread.
pub fn is_plain(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && name.len() <= 100 && name.chars().all(legal) && !name.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_one_component() {
        assert!(is_plain("disk.qcow2") && is_plain("System.map-6.12"));
        for name in ["", ".", "..", ".hid", "-rf", "a/b", "a b", "a\n", "a$(id)", "é", &"x".repeat(101)] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
