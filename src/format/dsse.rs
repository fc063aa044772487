//! DSSE envelopes (Dead Simple Signing Envelope, protocol version 1): a payload with its type, and signatures over both.
//!
//! Input: the text of an envelope, or a payload and signatures. Output: the payload, and the bytes that are signed (PAE). What the
//! payload means, and whose signatures count, is the caller's to know: a `keyid` is a hint of whoever wrote the envelope.

use serde::{Deserialize, Serialize};

use crate::base::base64;

/// What precedes a payload where it is signed.
const PREFIX: &str = "DSSEv1";
/// One that has more is refused: each costs the mathematics of as many keys as are trusted.
pub const MAX_SIGNATURES: usize = 16;

/// An envelope that was read; its payload is whatever its author wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub payload_type: String,
    pub payload: Vec<u8>,
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature over the payload and its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// What its author calls the key. Nothing follows from it.
    pub key_id: String,
    pub signature: Vec<u8>,
}

/// A text that is no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not the JSON of one.
    #[error("not a DSSE envelope")]
    Syntax,
    /// Too many signatures.
    #[error("it has {0} signatures (limit {MAX_SIGNATURES})")]
    Many(usize),
    /// Not base64.
    #[error("its {0} is not base64")]
    Coding(&'static str),
}

/// Its JSON. Fields that others add mean nothing here, and are allowed by the protocol.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    payload_type: String,
    payload: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
struct WireSignature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Reads an envelope.
    pub fn read(text: &[u8]) -> Result<Envelope, EnvelopeError> {
        let wire: Wire = serde_json::from_slice(text).map_err(|_| EnvelopeError::Syntax)?;
        if wire.signatures.len() > MAX_SIGNATURES {
            return Err(EnvelopeError::Many(wire.signatures.len()));
        }
        let signature = |wire: WireSignature| {
            let signature = decode(&wire.sig).ok_or(EnvelopeError::Coding("signature"))?;
            Ok(EnvelopeSignature { key_id: wire.keyid, signature })
        };
        let payload = decode(&wire.payload).ok_or(EnvelopeError::Coding("payload"))?;
        let signatures = wire.signatures.into_iter().map(signature).collect::<Result<_, _>>()?;
        Ok(Envelope { payload_type: wire.payload_type, payload, signatures })
    }

    /// The text of one, in one line.
    pub fn write(&self) -> String {
        let signature =
            |one: &EnvelopeSignature| WireSignature { keyid: one.key_id.clone(), sig: base64::encode(&one.signature) };
        let wire = Wire {
            payload_type: self.payload_type.clone(),
            payload: base64::encode(&self.payload),
            signatures: self.signatures.iter().map(signature).collect(),
        };
        format!("{}\n", serde_json::to_string(&wire).expect("an envelope has only strings"))
    }

    /// What is signed.
    pub fn signed_bytes(&self) -> Vec<u8> {
        signed_bytes(&self.payload_type, &self.payload)
    }
}

/// The pre-authentication encoding of a payload and its type.
pub fn signed_bytes(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("{PREFIX} {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Writers may choose either alphabet.
fn decode(text: &str) -> Option<Vec<u8>> {
    base64::decode(text).or_else(|| base64::decode(&text.replace('-', "+").replace('_', "/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_that_of_the_protocols_own_example() {
        let signed = signed_bytes("http://example.com/HelloWorld", b"hello world");
        assert_eq!(signed, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn an_envelope_reads_back_in_either_alphabet_and_with_fields_of_others() {
        let signature = EnvelopeSignature { key_id: "k".to_owned(), signature: vec![0xfb, 0xff, 0xfe] };
        let envelope = Envelope { payload_type: "a/b".to_owned(), payload: vec![0xff; 4], signatures: vec![signature] };
        let text = envelope.write();
        assert_eq!((text.lines().count(), Envelope::read(text.as_bytes())), (1, Ok(envelope.clone())));
        let other = text.replace("+//+", "-__-").replace("/////w==", "_____w==").replacen('{', "{\"more\":[1],", 1);
        assert!(other.contains("-__-") && other.contains("_____w=="), "{other}");
        assert_eq!(Envelope::read(other.as_bytes()), Ok(envelope));
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        let many = r#"{"sig":"AA=="},"#.repeat(MAX_SIGNATURES) + r#"{"sig":"AA=="}"#;
        let of = |payload: &str, signatures: &str| {
            let text = format!(r#"{{"payloadType":"t","payload":"{payload}","signatures":[{signatures}]}}"#);
            Envelope::read(text.as_bytes()).unwrap_err()
        };
        assert_eq!(of("AA==", &many), EnvelopeError::Many(MAX_SIGNATURES + 1));
        assert_eq!(of("A", ""), EnvelopeError::Coding("payload"));
        assert_eq!(of("AA==", r#"{"sig":"!"}"#), EnvelopeError::Coding("signature"));
        let twice = br#"{"payloadType":"t","payload":"","payload":"AA==","signatures":[]}"#;
        for text in [&b""[..], b"{}", b"[]", b"null", b"\xff", twice] {
            assert_eq!(Envelope::read(text), Err(EnvelopeError::Syntax));
        }
    }
}
