//! Package URLs (purl): one name for a package wherever it is listed.
//!
//! Input: names, versions, qualifiers. Output: the canonical spelling of the purl specification, in which a colon and an
//! unreserved character stand as they are and every other one is percent-encoded.

use super::Digest;

/// A package URL under construction.
pub struct Purl {
    text: String,
    qualifiers: Vec<(&'static str, String)>,
}

impl Purl {
    /// `pkg:KIND/NAMESPACE/NAME@VERSION`.
    pub fn new(kind: &str, namespace: &[&str], name: &str) -> Purl {
        let mut text = format!("pkg:{kind}");
        for part in namespace.iter().chain([&name]) {
            text.push('/');
            text.push_str(&encoded(part));
        }
        Purl { text, qualifiers: Vec::new() }
    }

    pub fn version(mut self, version: &str) -> Purl {
        self.text.push('@');
        self.text.push_str(&encoded(version));
        self
    }

    /// A qualifier, unless it has no value.
    pub fn with(mut self, name: &'static str, value: &str) -> Purl {
        if !value.is_empty() {
            self.qualifiers.push((name, encoded(value)));
        }
        self
    }

    pub fn checksum(self, sha256: &Digest) -> Purl {
        self.with("checksum", &format!("sha256:{sha256}"))
    }

    /// The text, with qualifiers in the order of their names.
    pub fn write(mut self) -> String {
        self.qualifiers.sort();
        let pairs: Vec<String> = self.qualifiers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { self.text } else { format!("{}?{}", self.text, pairs.join("&")) }
    }
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'.' | b'-' | b'_' | b'~' | b':' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_is_that_of_the_specification() {
        let of = |name: &str, version: &str| Purl::new("deb", &["debian"], name).version(version);
        assert_eq!(
            of("attr", "1:2.4.47-2+b1").with("arch", "amd64").write(),
            "pkg:deb/debian/attr@1:2.4.47-2%2Bb1?arch=amd64"
        );
        assert_eq!(of("libstdc++6", "14~rc1").write(), "pkg:deb/debian/libstdc%2B%2B6@14~rc1");
        let both = of("a", "1").with("distro", "trixie").with("arch", "all").with("upstream", "b@2").write();
        assert_eq!(both, "pkg:deb/debian/a@1?arch=all&distro=trixie&upstream=b%402");
        assert_eq!(Purl::new("generic", &[], "x y/é").with("arch", "").write(), "pkg:generic/x%20y%2F%C3%A9");
    }
}
