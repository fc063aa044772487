//! Faults of TLS: which of them asking again does not mend, and what does.
//!
//! A connection that breaks off, or bytes that are damaged on their way, may do better the next time. What a server shows of itself,
//! and what the two cannot agree on, will not.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// The error of TLS in one of a request.
pub(super) fn cause(error: &ureq::Error) -> Option<&Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// Whether the server will say the same again.
pub(super) fn is_lasting(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(_)
        | Error::NoCertificatesPresented
        | Error::UnsupportedNameType
        | Error::PeerIncompatible(_)
        | Error::NoApplicationProtocol
        | Error::InvalidMessage(InvalidMessage::InvalidContentType) => true,
        Error::AlertReceived(alert) => is_refusal(*alert),
        _ => false,
    }
}

/// Alerts (RFC 8446, 6.2) with which a server refuses this client, rather than this connection.
fn is_refusal(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::HandshakeFailure
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::UnrecognisedName
            | AlertDescription::CertificateRequired
            | AlertDescription::NoApplicationProtocol
    )
}

/// What is said besides the words of the error.
pub(super) fn hint(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "; SSL_CERT_FILE=FILE names the authorities that are believed, in PEM"
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "; the server does not speak TLS there",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_shows_of_itself_lasts_and_what_happens_on_the_way_passes() {
        for error in [
            Error::InvalidCertificate(CertificateError::UnknownIssuer),
            Error::InvalidCertificate(CertificateError::Expired),
            Error::InvalidCertificate(CertificateError::NotValidForName),
            Error::InvalidCertificate(CertificateError::Revoked),
            Error::AlertReceived(AlertDescription::HandshakeFailure),
            Error::AlertReceived(AlertDescription::CertificateRequired),
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
        ] {
            assert!(is_lasting(&error), "{error}");
        }
        for error in [
            Error::DecryptError,
            Error::HandshakeNotComplete,
            Error::General("whatever".to_owned()),
            Error::AlertReceived(AlertDescription::InternalError),
            Error::AlertReceived(AlertDescription::BadRecordMac),
            Error::AlertReceived(AlertDescription::CloseNotify),
            Error::InvalidMessage(InvalidMessage::MessageTooShort),
        ] {
            assert!(!is_lasting(&error), "{error}");
        }
    }

    #[test]
    fn an_error_of_tls_is_found_in_that_of_a_request() {
        let fault = || Error::InvalidCertificate(CertificateError::Expired);
        let wrapped = ureq::Error::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, fault()));
        assert_eq!(cause(&wrapped), Some(&fault()));
        assert_eq!(cause(&ureq::Error::Rustls(fault())), Some(&fault()));
        // Somebody else's words are none.
        assert_eq!(cause(&ureq::Error::Io(std::io::Error::other("invalid peer certificate: UnknownIssuer"))), None);
        assert!(
            hint(&Error::InvalidCertificate(CertificateError::UnknownIssuer)).starts_with("; SSL_CERT_FILE=FILE names")
        );
        assert_eq!(hint(&fault()), "");
    }
}
