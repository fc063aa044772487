//! Numbers of bytes, written in binary units.

use std::fmt;

/// A number of bytes; shown with the largest binary unit that divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, unit)| self.0 != 0 && self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl ByteSize {
    /// A rounded size for progress lines: `12.3 MiB`.
    pub fn rounded(self) -> String {
        match UNITS.iter().find(|(_, unit)| self.0 >= *unit) {
            Some((name, unit)) => format!("{:.1} {name}", self.0 as f64 / *unit as f64),
            None => format!("{} B", self.0),
        }
    }

    /// Reads `512MiB`, `4KiB`, `100B`; a bare number has no unit and is refused.
    pub fn parse(text: &str) -> Option<ByteSize> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(digits);
        let factor = if unit == "B" { 1 } else { UNITS.iter().find(|(name, _)| *name == unit)?.1 };
        number.parse::<u64>().ok()?.checked_mul(factor).map(ByteSize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back() {
        for bytes in [0, 1, 1023, 1024, 1536, 1 << 20, 3 << 30, 5 << 40, u64::MAX] {
            assert_eq!(ByteSize::parse(&ByteSize(bytes).to_string()), Some(ByteSize(bytes)));
        }
    }

    #[test]
    fn bare_numbers_decimal_units_and_overflow_are_refused() {
        for text in ["512", "1GB", "1 GiB", "", "GiB", "99999999999TiB"] {
            assert_eq!(ByteSize::parse(text), None, "{text}");
        }
    }
}
