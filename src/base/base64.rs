//! Base64 as RFC 4648 has it: what carries bytes over a serial line, and text on a kernel's command line.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// RFC 4648 base64 with padding.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads base64 with padding; `None` when it is anything else, bits beyond the last byte included.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648_section_10() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(plain.as_bytes()), coded);
            assert_eq!(decode(coded), Some(plain.as_bytes().to_vec()));
        }
        for text in ["Zg", "Zg=", "Z===", "Zm9v\n", "Z-9v", "====", "é===", "Zh=="] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
    }
}
