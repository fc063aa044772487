//! OpenPGP keys for tests: made from a number, so that two tests with the same number have the same key.

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, DetachedSignature, EncryptionCaps, KeyType, SecretKeyParamsBuilder,
    SignedPublicKey, SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{Duration, KeyDetails, Password, SigningKey};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use kiln::base::Timestamp;

/// Keys are made at this moment: 2020-01-01.
const CREATED: u32 = 1_577_836_800;

/// A certificate with its secrets.
#[derive(Clone)]
pub(crate) struct TestKey {
    seed: u64,
    secret: SignedSecretKey,
    /// Sign with the subkey rather than with the primary key.
    pub(crate) subkey: bool,
    /// The digest of signatures.
    pub(crate) hash: HashAlgorithm,
}

#[allow(dead_code, reason = "each topic takes what it needs")]
impl TestKey {
    /// The key of a number: Ed25519, with a signing subkey.
    pub(crate) fn new(seed: u64) -> Self {
        Self::of_type(seed, KeyType::Ed25519Legacy)
    }

    /// The same with RSA, which, unlike Ed25519, can be used with weak digests.
    pub(crate) fn rsa(seed: u64) -> Self {
        Self::of_type(seed, KeyType::Rsa(2048))
    }

    fn of_type(seed: u64, primary: KeyType) -> Self {
        let created = pgp::types::Timestamp::from_secs(CREATED);
        let mut subkey = SubkeyParamsBuilder::default();
        subkey.key_type(KeyType::Ed25519Legacy).can_sign(true).can_encrypt(EncryptionCaps::None).created_at(created);
        let mut params = SecretKeyParamsBuilder::default();
        params
            .key_type(primary)
            .can_certify(true)
            .can_sign(true)
            .can_encrypt(EncryptionCaps::None)
            .created_at(created)
            .primary_user_id(format!("Test archive {seed} <archive@mirror.example>"))
            .subkeys(vec![subkey.build().unwrap()]);
        let secret = params.build().unwrap().generate(ChaCha8Rng::seed_from_u64(seed)).unwrap();
        TestKey { seed, secret, subkey: false, hash: HashAlgorithm::Sha512 }
    }

    pub(crate) fn with_subkey(mut self) -> Self {
        self.subkey = true;
        self
    }

    pub(crate) fn with_hash(mut self, hash: HashAlgorithm) -> Self {
        self.hash = hash;
        self
    }

    /// Upper-case hexadecimal.
    pub(crate) fn fingerprint(&self) -> String {
        format!("{:X}", self.secret.fingerprint())
    }

    fn public(&self) -> SignedPublicKey {
        SignedPublicKey::from(self.secret.clone())
    }

    /// What a recipe lists.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.public().to_armored_bytes(ArmorOptions::default()).unwrap()
    }

    /// The same key, which ended a year after it was made.
    pub(crate) fn expired_certificate(&self) -> Vec<u8> {
        let mut public = self.public();
        let year = SubpacketData::KeyExpirationTime(Duration::from_secs(365 * 86_400));
        // It must be the newest self-signature: that one decides.
        public.details.direct_signatures.push(self.own(SignatureType::Key, vec![year], 60));
        public.to_bytes().unwrap()
    }

    /// The same key, revoked.
    pub(crate) fn revoked_certificate(&self) -> Vec<u8> {
        let mut public = self.public();
        public.details.revocation_signatures.push(self.own(SignatureType::KeyRevocation, vec![], 0));
        public.to_bytes().unwrap()
    }

    fn own(&self, kind: SignatureType, more: Vec<SubpacketData>, later: u32) -> pgp::packet::Signature {
        let key = &self.secret.primary_key;
        let now = super::now().0 as u32 + later;
        let config = self.config(key, kind, Timestamp(i64::from(now)), more);
        config.sign_key(key, &Password::empty(), key.public_key()).unwrap()
    }

    fn config(
        &self,
        key: &impl SigningKey,
        kind: SignatureType,
        at: Timestamp,
        more: Vec<SubpacketData>,
    ) -> SignatureConfig {
        let mut config = SignatureConfig::from_key(ChaCha8Rng::seed_from_u64(self.seed), key, kind).unwrap();
        let mut subpackets = vec![
            SubpacketData::SignatureCreationTime(pgp::types::Timestamp::from_secs(at.0 as u32)),
            SubpacketData::IssuerFingerprint(key.fingerprint()),
        ];
        subpackets.extend(more);
        config.hashed_subpackets = subpackets.into_iter().map(|data| Subpacket::regular(data).unwrap()).collect();
        config.hash_alg = self.hash;
        config
    }

    /// A clear-signed text with one signature for each key, of the text that is given with it.
    pub(crate) fn sign_together(text: &str, signers: &[(&TestKey, &str)], at: Timestamp) -> String {
        let one = |(key, text): &(&TestKey, &str)| {
            let primary = &key.secret.primary_key;
            let config = key.config(primary, SignatureType::Text, at, vec![]);
            config.sign(primary, &Password::empty(), text.replace('\n', "\r\n").as_bytes())
        };
        let message = CleartextSignedMessage::new_many(text, |_| signers.iter().map(one).collect());
        message.unwrap().to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// The signature of a document, for a file of its own.
    pub(crate) fn sign_detached(&self, text: &str, at: Timestamp) -> Vec<u8> {
        let key = &self.secret.primary_key;
        let config = self.config(key, SignatureType::Binary, at, vec![]);
        let signature = config.sign(key, &Password::empty(), text.as_bytes()).unwrap();
        DetachedSignature::new(signature).to_armored_bytes(ArmorOptions::default()).unwrap()
    }

    /// A clear-signed text, signed at an instant.
    pub(crate) fn sign(&self, text: &str, at: Timestamp) -> String {
        let empty = Password::empty();
        let message = if self.subkey {
            let key = &self.secret.secret_subkeys[0].key;
            CleartextSignedMessage::new(text, self.config(key, SignatureType::Text, at, vec![]), key, &empty)
        } else {
            let key = &self.secret.primary_key;
            CleartextSignedMessage::new(text, self.config(key, SignatureType::Text, at, vec![]), key, &empty)
        };
        message.unwrap().to_armored_string(ArmorOptions::default()).unwrap()
    }
}
