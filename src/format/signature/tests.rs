//! What was signed is verified, and nothing else is; foreign tools judge in `tests/suite/signed.rs`.

use super::ssh::{put, typed};
use super::*;
use crate::base::base64;

const MESSAGE: &[u8] = b"a statement";
const BUILD: SignaturePurpose = SignaturePurpose::Build;

fn public(seed: [u8; 32]) -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes()
}

fn ssh_key(seed: [u8; 32], cipher: &[u8]) -> String {
    let public = public(seed);
    let mut private = vec![0; 8];
    for part in [b"ssh-ed25519".as_slice(), &public, &[seed, public].concat(), b"a comment"] {
        put(&mut private, part);
    }
    let mut out = b"openssh-key-v1\0".to_vec();
    for part in [cipher, cipher, b""] {
        put(&mut out, part);
    }
    out.extend_from_slice(&1u32.to_be_bytes());
    put(&mut out, &typed(&public));
    put(&mut out, &private);
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n", base64::encode(&out))
}

fn minisign_key(seed: [u8; 32], kdf: [u8; 2]) -> (String, MinisignPublic) {
    let public = public(seed);
    let key = [b"Ed".as_slice(), &kdf, b"B2", &[0; 48], b"number 1", &seed, &public, &[0; 32]].concat();
    let word = base64::encode(&[b"Ed".as_slice(), b"number 1", &public].concat());
    let text = format!("untrusted comment: a key\n{}\n", base64::encode(&key));
    (text, MinisignPublic::read(&word).unwrap())
}

#[test]
fn an_ssh_signature_is_of_its_message_and_no_other() {
    let key = SshKey::read(&ssh_key([7; 32], b"none")).unwrap();
    let text = armored(&key.public, &key.sign(&signed_data(MESSAGE, BUILD)), BUILD);
    let signature = SshSignature::read(&text, BUILD).unwrap();
    assert_eq!(signature.key, key.public);
    signature.verify(MESSAGE).unwrap();
    assert_eq!(signature.verify(b"another"), Err(SignatureError::Wrong));
    assert!(SshSignature::read(&text[1..], BUILD).is_err() && SshSignature::read("", BUILD).is_err());
    let body: Vec<&str> = text.lines().filter(|line| !line.starts_with('-')).collect();
    let bytes = base64::decode(&body.concat()).unwrap();
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        let text = text.replace(&body.join("\n"), &base64::encode(&bytes));
        let refused = SshSignature::read(&text, BUILD).and_then(|signature| signature.verify(MESSAGE));
        assert!(refused.is_err(), "byte {at} does not matter");
    }
}

#[test]
fn an_ssh_signature_counts_for_its_purpose_alone() {
    let key = SshKey::read(&ssh_key([7; 32], b"none")).unwrap();
    let step = SignaturePurpose::Step;
    let text = armored(&key.public, &key.sign(&signed_data(MESSAGE, step)), step);
    SshSignature::read(&text, step).unwrap().verify(MESSAGE).unwrap();
    assert_eq!(SshSignature::read(&text, BUILD), Err(SignatureError::Namespace("kiln")));
    // Nor does it help to say another purpose than the one that was signed.
    let said = armored(&key.public, &key.sign(&signed_data(MESSAGE, step)), BUILD);
    assert_eq!(SshSignature::read(&said, BUILD).unwrap().verify(MESSAGE), Err(SignatureError::Wrong));
}

#[test]
fn a_minisign_signature_is_of_its_message_and_comment_and_no_other() {
    let (text, public) = minisign_key([9; 32], [0; 2]);
    let key = MinisignKey::read(&text, None).unwrap();
    assert_eq!(key.public(), public);
    let text = key.sign(MESSAGE, "a comment");
    let verify = |text: &str| MinisignSignature::read(text)?.verify(&public, MESSAGE);
    verify(&text).unwrap();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(other) = String::from_utf8(bytes) else { continue };
        let untrusted = text.lines().next().unwrap().len();
        assert!(at < untrusted || verify(&other).is_err(), "byte {at} does not matter");
    }
    assert_eq!(MinisignSignature::read(&text).unwrap().verify(&public, b"another"), Err(SignatureError::Wrong));
}

#[test]
fn keys_of_another_kind_are_refused_with_the_reason() {
    let refused = |text: &str| SshKey::read(text).map(|_| ()).unwrap_err();
    assert_eq!(refused(&ssh_key([7; 32], b"aes256-ctr")), SignatureError::Passphrase);
    assert!(matches!(
        refused("-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----"),
        SignatureError::Syntax(_)
    ));
    assert_eq!(SshPublic::read("ssh-rsa", "AAAA"), Err(SignatureError::Algorithm));
    let (text, _) = minisign_key([9; 32], *b"Sc");
    assert!(MinisignKey::is_one(&text));
    assert!(matches!(MinisignKey::read(&text, None).map(|_| ()), Err(SignatureError::MinisignPassphrase)));
}
