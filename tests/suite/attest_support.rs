//! Keys that sign attestations as kiln does, and as kiln would not.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use kiln::base::{Digest, Timestamp};
use kiln::deliver::attestation::{AttestedTime, PAYLOAD_TYPE, statement};
use kiln::deliver::manifest::Manifest;
use kiln::format::dsse::{Envelope, EnvelopeSignature, signed_bytes};
use kiln::format::signature::SshKey;
use kiln::lock::Lock;

/// A key of a test, with its file below a directory.
pub(crate) struct Builder {
    pub(crate) key: SshKey,
}

impl Builder {
    /// Made by ssh-keygen.
    pub(crate) fn new(directory: &Path, name: &str) -> Builder {
        let file = directory.join(name);
        let mut keygen = Command::new("ssh-keygen");
        assert!(keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(&file).status().unwrap().success());
        Builder { key: SshKey::read(&std::fs::read_to_string(file).unwrap()).unwrap() }
    }

    pub(crate) fn key_id(&self) -> String {
        self.key.public.fingerprint()
    }

    /// The URI of the key, as RFC 6920 has it.
    pub(crate) fn id(&self) -> String {
        let digest = self.key_id().replace("SHA256:", "").replace('+', "-").replace('/', "_");
        format!("ni:///sha-256;{digest}")
    }

    /// An envelope with a payload, signed.
    pub(crate) fn sign(&self, payload: &str) -> Envelope {
        let signature = self.key.sign(&signed_bytes(PAYLOAD_TYPE, payload.as_bytes())).to_vec();
        Envelope {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: payload.as_bytes().to_vec(),
            signatures: vec![EnvelopeSignature { key_id: self.key_id(), signature }],
        }
    }

    /// What kiln writes of a build.
    pub(crate) fn statement(&self, manifest: &Manifest, attested: i64) -> String {
        self.statement_until(manifest, (attested, None))
    }

    fn statement_until(&self, manifest: &Manifest, (attested, expires): (i64, Option<i64>)) -> String {
        let time = AttestedTime { attested: Timestamp(attested), expires: expires.map(Timestamp) };
        statement((manifest, &lock()), &self.id(), time)
    }

    /// The text of an attestation that expires.
    pub(crate) fn attest_until(&self, manifest: &Manifest, (attested, expires): (i64, i64)) -> String {
        self.sign(&self.statement_until(manifest, (attested, Some(expires)))).write()
    }

    /// The text of an attestation.
    pub(crate) fn attest(&self, manifest: &Manifest, attested: i64) -> String {
        self.sign(&self.statement(manifest, attested)).write()
    }
}

/// Any lock: what it pins is listed in an attestation, and compared by its digest alone.
pub(crate) fn lock() -> Lock {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("lockfiles/cxl-quick.lock")).unwrap();
    kiln::lock::read(&text).unwrap()
}

/// The build with another file in the place of one.
pub(crate) fn changed(manifest: &Manifest, name: &str) -> Manifest {
    let mut other = manifest.clone();
    other.artifacts.get_mut(name).unwrap().sha256 = Digest::of(b"another");
    other
}

/// The digest of every file.
pub(crate) fn subjects(payload: &serde_json::Value) -> BTreeMap<String, String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let subjects = payload["subject"].as_array().unwrap().iter();
    subjects.map(|one| (text(&one["name"]), text(&one["digest"]["sha256"]))).collect()
}
