//! The messages of an SSH agent (`draft-ietf-sshm-ssh-agent`) that sign.

use super::SshPublic;
use super::ssh::{SshReader, put, typed, untyped};

/// The request, and the answer to one.
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// What asks an agent to sign data with a key, behind its length.
pub fn agent_request(key: &SshPublic, data: &[u8]) -> Vec<u8> {
    let mut body = vec![SIGN_REQUEST];
    put(&mut body, &typed(&key.0));
    put(&mut body, data);
    body.extend_from_slice(&0u32.to_be_bytes());
    let mut message = Vec::new();
    put(&mut message, &body);
    message
}

/// The signature in an agent's answer, without its length; `None` when it refuses.
pub fn agent_signature(answer: &[u8]) -> Option<[u8; 64]> {
    let (kind, body) = answer.split_first()?;
    let mut reader = SshReader::new(body, "an answer of an SSH agent");
    let signature = reader.string().ok().filter(|_| *kind == SIGN_RESPONSE)?;
    untyped(signature, "a signature").ok()
}
