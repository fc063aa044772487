//! The encoding that SSH gives to keys, signatures and messages (RFC 4251, section 5): numbers of four bytes,
//! and strings behind their length.

use super::SignatureError;

/// The only algorithm that is read and written.
pub(super) const ED25519: &[u8] = b"ssh-ed25519";

/// Strings and numbers, one after the other.
pub(super) struct SshReader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> SshReader<'a> {
    /// `what` is called in errors what the bytes are to be.
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> SshReader<'a> {
        SshReader { rest: bytes, what }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], SignatureError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(SignatureError::Syntax(self.what))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn number(&mut self) -> Result<u32, SignatureError> {
        let bytes: [u8; 4] = self.take(4)?.try_into().map_err(|_| SignatureError::Syntax(self.what))?;
        Ok(u32::from_be_bytes(bytes))
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], SignatureError> {
        let length = self.number()?;
        self.take(usize::try_from(length).map_err(|_| SignatureError::Syntax(self.what))?)
    }

    /// A string of exactly so many bytes.
    pub(super) fn exactly<const N: usize>(&mut self) -> Result<[u8; N], SignatureError> {
        self.string()?.try_into().map_err(|_| SignatureError::Syntax(self.what))
    }

    /// A string that has to be this one.
    pub(super) fn expect(&mut self, text: &[u8], error: SignatureError) -> Result<(), SignatureError> {
        if self.string()? == text { Ok(()) } else { Err(error) }
    }

    pub(super) fn end(&self) -> Result<(), SignatureError> {
        if self.rest.is_empty() { Ok(()) } else { Err(SignatureError::Syntax(self.what)) }
    }
}

/// Appends a string.
pub(super) fn put(out: &mut Vec<u8>, text: &[u8]) {
    let length = u32::try_from(text.len()).expect("strings in keys and signatures are short");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text);
}

/// An Ed25519 key or signature: the name of the algorithm, and the bytes.
pub(super) fn typed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, ED25519);
    put(&mut out, bytes);
    out
}

/// The bytes of such a thing.
pub(super) fn untyped<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N], SignatureError> {
    let mut reader = SshReader::new(bytes, what);
    reader.expect(ED25519, SignatureError::Algorithm)?;
    let found = reader.exactly()?;
    reader.end()?;
    Ok(found)
}
