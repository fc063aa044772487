//! Names of eight characters and three, in capitals.

/// A short name as a directory holds it, padded with blanks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShortName(pub(super) [u8; 11]);

impl ShortName {
    /// Reads `BOOTX64.EFI`.
    pub fn parse(text: &str) -> Option<ShortName> {
        let (stem, extension) = text.split_once('.').unwrap_or((text, ""));
        let legal =
            |part: &str| part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-_".contains(&b));
        let sized = (1..=8).contains(&stem.len()) && extension.len() <= 3 && !text.ends_with('.');
        if !sized || !legal(stem) || !legal(extension) {
            return None;
        }
        let mut name = [b' '; 11];
        name[..stem.len()].copy_from_slice(stem.as_bytes());
        name[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
        Some(ShortName(name))
    }
}

/// A volume's label.
pub(super) fn label(text: &str) -> Option<[u8; 11]> {
    let legal = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ');
    if text.trim().is_empty() || text.len() > 11 || !legal {
        return None;
    }
    let mut label = [b' '; 11];
    label[..text.len()].copy_from_slice(text.as_bytes());
    Some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_padded_and_others_refused() {
        assert_eq!(ShortName::parse("BOOTX64.EFI").unwrap().0, *b"BOOTX64 EFI");
        assert_eq!(ShortName::parse("VMLINUZ").unwrap().0, *b"VMLINUZ    ");
        for wrong in ["", ".EFI", "A.", "a", "ABCDEFGHI", "A.EFIX", "A B", "A.B.C"] {
            assert_eq!(ShortName::parse(wrong), None, "{wrong}");
        }
        assert_eq!(label("ESP"), Some(*b"ESP        "));
        assert_eq!(label("esp"), None);
    }
}
