//! Versions of QEMU and of Linux, as far as tables need them.

use std::fmt;

use crate::recipe::machine::Chipset;

/// `11.1` of `11.1.3`: capabilities and machine types change with these two numbers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
}

impl Version {
    /// A version.
    pub const fn new(major: u32, minor: u32) -> Version {
        Version { major, minor }
    }

    /// Reads the first two numbers of an upstream or Debian version: `11.1.3`, `1:11.1.3+ds-1~bpo13+1`, `6.12.57-1`.
    pub fn parse(text: &str) -> Option<Version> {
        let upstream = text.split_once(':').map_or(text, |(_, rest)| rest);
        let mut numbers = upstream.split(|c: char| !c.is_ascii_digit());
        Some(Version { major: numbers.next()?.parse().ok()?, minor: numbers.next()?.parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The QEMU that will run the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emulator {
    pub version: Version,
}

impl Emulator {
    /// From the version of the locked package of QEMU, or its upstream part.
    pub fn of(version: &str) -> Option<Emulator> {
        Version::parse(version).map(|version| Emulator { version })
    }

    /// The machine type whose devices never change again: `pc-q35-11.1`.
    pub fn machine_type(&self, chipset: Chipset) -> String {
        match chipset {
            Chipset::Q35 => format!("pc-q35-{}", self.version),
            Chipset::I440fx => format!("pc-i440fx-{}", self.version),
            Chipset::Virt => format!("virt-{}", self.version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_upstream_spellings_agree() {
        for text in ["11.1", "11.1.3", "1:11.1.3+ds-1~bpo13+1", "11.1~rc2"] {
            assert_eq!(Version::parse(text), Some(Version::new(11, 1)), "{text}");
        }
        assert_eq!(Version::parse("eleven"), None);
        assert_eq!(Version::parse("11"), None);
        assert!(Version::new(10, 2) < Version::new(11, 0));
    }
}
