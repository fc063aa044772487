//! Who vouches for servers that are spoken to over TLS: Mozilla's authorities, or those of a file of the user.

use std::path::Path;

use ureq::tls::{PemItem, RootCerts, parse_pem};

use super::Failure;
use crate::base::Foreign;
use crate::world::fs;

/// The variable that other programs have, too.
pub(in crate::world) const VARIABLE: &str = "SSL_CERT_FILE";
/// The bundle of a whole system has a quarter of a megabyte.
const LIMIT: u64 = 16 << 20;

/// The certificates of a file in PEM, in the place of Mozilla's.
pub(super) fn authorities(file: Option<&Path>) -> Result<RootCerts, Failure> {
    let Some(file) = file else { return Ok(RootCerts::WebPki) };
    let wrong = |reason: &str| Failure::refused(format!("{VARIABLE} is {}: {reason}", Foreign(file.display())));
    let bytes = fs::read(file, LIMIT).map_err(|error| Failure::refused(format!("{VARIABLE}: {error}")))?;
    let mut found = Vec::new();
    for item in parse_pem(&bytes) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| wrong("it is not in PEM"))? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(wrong("there is no certificate in it")) } else { Ok(found.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_mozillas_or_those_of_a_file_that_has_some() {
        assert!(matches!(authorities(None), Ok(RootCerts::WebPki)));
        let file = std::env::temp_dir().join(format!("kiln-authorities-{}", std::process::id()));
        let of = |text: &str| {
            fs::remove_file(&file).unwrap();
            std::io::Write::write_all(&mut fs::create_anew(&file).unwrap(), text.as_bytes()).unwrap();
            authorities(Some(&file)).map_err(|failure| failure.reason)
        };
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        match of(&format!("a comment\n{pem}{pem}")) {
            Ok(RootCerts::Specific(found)) => assert_eq!(found.len(), 2),
            other => panic!("{other:?}"),
        }
        for text in ["", "no certificate\n", "-----BEGIN CERTIFICATE-----\nA?A\n-----END CERTIFICATE-----\n"] {
            let reason = of(text).unwrap_err();
            assert!(reason.starts_with(&format!("SSL_CERT_FILE is {}", file.display())), "{reason}");
        }
        fs::remove_file(&file).unwrap();
        // A pipe that nobody writes to would be waited for.
        rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let pipe = authorities(Some(&file)).map_err(|failure| failure.reason).unwrap_err();
        assert!(pipe.starts_with("SSL_CERT_FILE: "), "{pipe}");
        fs::remove_file(&file).unwrap();
        let missing = authorities(Some(&file)).map_err(|failure| failure.reason).unwrap_err();
        assert!(missing.starts_with("SSL_CERT_FILE: cannot open"), "{missing}");
    }
}
