//! Results that a minisign key has signed: its signatures do not have the key in them.

use kiln::base::base64;

use super::Lab;

/// A minisign key without a passphrase; its public half as a list of trusted keys has it.
fn minisign(lab: &Lab, name: &str, seed: u8) -> String {
    let (seed, number) = ([seed; 32], [b'k', b'i', b'l', b'n', b'-', b'k', b'-', seed]);
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    let body = [b"Ed".as_slice(), &number, &seed, &public].concat();
    let checksum = <blake2::Blake2b<blake2::digest::consts::U32> as blake2::Digest>::digest(&body).to_vec();
    let secret = [b"Ed".as_slice(), &[0; 2], b"B2", &[0; 48], &number, &seed, &public, &checksum].concat();
    let text = format!("untrusted comment: minisign secret key\n{}\n", base64::encode(&secret));
    std::fs::write(lab.path(name), text).unwrap();
    base64::encode(&[b"Ed".as_slice(), &number, &public].concat())
}

#[test]
fn results_that_minisign_has_signed_are_taken_by_whoever_trusts_the_key() {
    let Some(lab) = Lab::with_kernel("minisign") else { return };
    let word = minisign(&lab, "mini.key", 7);
    let push = ["push", "--allow-leaks", "lab.kiln", "--key", "mini.key", "--cache", "cache"];
    lab.succeed("store", &push);
    let said = lab.build("stranger", &["--cache", "cache"]);
    assert!(!said.contains("taken from"), "{said}");
    lab.trust(&format!("bob minisign {word}\n"));
    let said = lab.build("other", &["--cache", "cache"]);
    assert!(said.contains("kernel stock: taken from cache, signed by bob (minisign "), "{said}");
    lab.trust(&format!("bob minisign {word}\nbob minisign {word} revoked\n"));
    assert!(!lab.build("other", &[]).contains("taken from"), "what was taken counts no longer");

    // Another key of the same number, and a signature over something else.
    lab.trust(&format!("bob minisign {word}\n"));
    let file = &lab.files("results")[0];
    let good: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let statement = good["statement"].as_str().unwrap().replace("\"executable\": false", "\"executable\": true");
    let forged = serde_json::json!({ "statement": statement, "signature": good["signature"] });
    std::fs::write(file, forged.to_string()).unwrap();
    let said = lab.build("forged", &["--cache", "cache"]);
    assert!(said.contains("not used") && !said.contains("taken from"), "{said}");
    lab.sound("forged");
}
