//! Attestations that somebody forged, changed, or took from elsewhere, and files that are none.

use kiln::base::Digest;
use kiln::format::dsse::MAX_SIGNATURES;
use rustix::fs::{CWD, FileType, mknodat};
use serde_json::Value;

use super::{Builder, Lab, THEN, changed};

#[test]
fn what_an_envelope_calls_its_keys_means_nothing() {
    let Some(lab) = Lab::new("keyid") else { return };
    lab.put("alice.json", &lab.alice.attest(&lab.manifest, THEN));
    let mallory = Builder::new(&lab.oci.path(""), "mallory");
    // Mallory as bob, by name and by what the statement says.
    let mut spoofed = mallory.sign(&lab.bob.statement(&lab.manifest, THEN));
    spoofed.signatures[0].key_id = lab.bob.key_id();
    lab.put("bob.json", &spoofed.write());
    lab.refuses(&["1 of 2 required", "bob.json: no signature of it is by a trusted key"]);
    // Alice as bob.
    let mut spoofed = lab.alice.sign(&lab.bob.statement(&lab.manifest, THEN));
    spoofed.signatures[0].key_id = lab.bob.key_id();
    lab.put("bob.json", &spoofed.write());
    lab.refuses(&["1 of 2 required", "bob.json: no signature of it is by a trusted key"]);
    spoofed.signatures[0].key_id = lab.alice.key_id();
    lab.put("bob.json", &spoofed.write());
    lab.refuses(&["1 of 2 required", "but it says that another key built it"]);
    // Bob signs what alice built: that is her build, and not a second one.
    let mut both = lab.alice.sign(&lab.alice.statement(&lab.manifest, THEN));
    both.signatures.extend(lab.bob.sign(&lab.alice.statement(&lab.manifest, THEN)).signatures);
    lab.put("bob.json", &both.write());
    lab.refuses(&["1 of 2 required"]);
    // Bob's own word counts, whatever the envelope calls his key and whoever signed it besides.
    let mut renamed = lab.bob.sign(&lab.bob.statement(&lab.manifest, THEN));
    renamed.signatures[0].key_id = lab.alice.key_id();
    renamed.signatures.insert(0, mallory.sign("x").signatures.remove(0));
    lab.put("bob.json", &renamed.write());
    lab.accepts(&["2", "--from", "from"]);
}

#[test]
fn an_attestation_of_another_build_does_not_count() {
    let Some(lab) = Lab::new("replayed") else { return };
    lab.put("alice.json", &lab.alice.attest(&lab.manifest, THEN));
    let mut other = lab.manifest.clone();
    other.recipe = "other".to_owned();
    lab.put("bob.json", &lab.bob.attest(&other, THEN));
    lab.refuses(&["1 of 2 required", "bob.json: by bob, it is of recipe `other`, not of `tiny`"]);
    let mut other = lab.manifest.clone();
    other.lock = Digest::of(b"another lock");
    lab.put("bob.json", &lab.bob.attest(&other, THEN));
    lab.refuses(&["1 of 2 required", "by bob, it is of another lock"]);
    let mut other = lab.manifest.clone();
    other.output_version = 0;
    lab.put("bob.json", &lab.bob.attest(&other, THEN));
    lab.refuses(&["1 of 2 required", "by bob, it is of output version 0, not of 1"]);
}

#[test]
fn every_changed_byte_and_every_other_statement_is_refused() {
    let Some(lab) = Lab::new("changed") else { return };
    lab.put("alice.json", &lab.alice.attest(&lab.manifest, THEN));
    let good = lab.bob.sign(&lab.bob.statement(&lab.manifest, THEN));
    let mut wrong = good.clone();
    wrong.payload[5] ^= 1;
    lab.put("bob.json", &wrong.write());
    lab.refuses(&["no signature of it is by a trusted key"]);
    let mut wrong = good.clone();
    wrong.payload_type = "text/plain".to_owned();
    lab.put("bob.json", &wrong.write());
    lab.refuses(&["its payload is of type `text/plain`"]);
    let mut wrong = good;
    wrong.signatures[0].signature.truncate(63);
    lab.put("bob.json", &wrong.write());
    lab.refuses(&["no signature of it is by a trusted key"]);
    let statement: Value = serde_json::from_str(&lab.bob.statement(&lab.manifest, THEN)).unwrap();
    for (pointer, value, words) in [
        ("/_type", Value::from("x"), "its type is `x`"),
        ("/predicateType", "https://slsa.dev/provenance/v0.2".into(), "its predicate type is"),
        ("/predicate/buildDefinition/buildType", "x".into(), "its build type is `x`"),
        ("/predicate/runDetails/builder/id", lab.alice.id().into(), "says that another key built it"),
        ("/predicate/buildDefinition/externalParameters/lock", serde_json::json!({}), "it has no SHA-256 of its lock"),
        ("/subject/0/digest", serde_json::json!({"sha256": "X"}), "it has no SHA-256 of i.tar"),
        ("/subject", serde_json::json!("x"), "not an in-toto statement"),
        ("/subject", Value::from(vec![statement["subject"][0].clone(); 2]), "it has subject `i.tar` twice"),
        ("/subject", Value::from(vec![statement["subject"][0].clone(); 4097]), "it has 4097 subjects (limit 4096)"),
    ] {
        let mut other = statement.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        lab.put("bob.json", &lab.bob.sign(&other.to_string()).write());
        lab.refuses(&["1 of 2 required", words]);
    }
    lab.put("bob.json", &lab.bob.sign(&statement.to_string()).write());
    lab.accepts(&["2", "--from", "from"]);
}

#[test]
fn what_was_left_out_is_told_among_any_number_of_others() {
    let Some(lab) = Lab::new("limits") else { return };
    for at in 0..40 {
        lab.put(&format!("{at}.json"), "{}");
    }
    std::fs::File::create(lab.oci.path("from/large.json")).unwrap().set_len(1 << 40).unwrap();
    let left = "from: what is too large was not read, or not whole, in so many files: 1";
    lab.refuses(&["0 of 2 required", left, "and 21 more"]);
}

#[test]
fn junk_hides_nothing() {
    let Some(lab) = Lab::new("junk") else { return };
    let path = |name: &str| lab.oci.path("from").join(name);
    let mut many = lab.bob.sign("x");
    many.signatures = vec![many.signatures[0].clone(); MAX_SIGNATURES + 1];
    lab.put("0.json", &many.write());
    lab.put("1.json", "{\"payloadType\":");
    lab.put("2.jsonl", &format!("junk\n{}\n[]\n", "x".repeat(9 << 20)));
    std::os::unix::fs::symlink(path("alice.jsonl"), path("3.json")).unwrap();
    mknodat(CWD, path("4.json"), FileType::Fifo, 0o600.into(), 0).unwrap();
    std::fs::create_dir(path("5.json")).unwrap();
    std::fs::File::create(path("6.json")).unwrap().set_len(1 << 40).unwrap();
    lab.put("7\n\u{1b}[31m.json", "{}");
    // Between junk in one file, and behind it.
    let good = lab.alice.attest(&lab.manifest, THEN);
    lab.put("alice.jsonl", &format!("junk\n{}\n{good}{{}}\n", "x".repeat(9 << 20)));
    lab.put("bob.json", &lab.bob.attest(&lab.manifest, THEN).replace(',', ",\n  "));
    lab.put("notes.txt", "not looked at");
    let said = lab.accepts(&["2", "--from", "from"]);
    for words in [
        "from/0.json: it has 17 signatures (limit 16)",
        "from/1.json: not a DSSE envelope",
        "from/2.jsonl, line 2: an attestation has no more than 8MiB",
        "from/3.json: it is a symbolic link",
        "from/4.json: it is a named pipe",
        "from/5.json: it is a directory",
        "from/6.json: it is larger than 64MiB, and was not read",
        "from/7␊␛[31m.json: not a DSSE envelope",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("notes.txt"), "{said}");
    // More than is read of a directory in all: small files come first, and limits are told besides the twenty.
    for number in 0..10 {
        std::fs::File::create(path(&format!("6-{number}.json"))).unwrap().set_len(60 << 20).unwrap();
    }
    for number in 0..300 {
        lab.put(&format!("8-{number}.json"), "{}");
    }
    let said = lab.accepts(&["2", "--from", "from"]);
    assert!(said.contains("more") && said.matches("not counted").count() <= 21 + 3, "{said}");
    // What disagrees is told behind any amount of junk.
    lab.put("bob.json", &lab.bob.attest(&changed(&lab.manifest, "i.tar"), THEN));
    lab.refuses(&["1 of 2 required", "built by bob", "with another result:"]);
}
