//! `kiln verify --require N --from PLACE`: what counts, how often, and everything that does not, each with its reason.

mod hostile;
mod places;

use std::process::Output;

use kiln::deliver::manifest::Manifest;

use super::attest_support::{Builder, changed};
use super::failure_support::{refused, text};
use super::oci;

/// When attestations were made that are not about time.
const THEN: i64 = 1_700_000_000;

/// A result directory, and two builders who are trusted with it.
struct Lab {
    oci: oci::Lab,
    manifest: Manifest,
    alice: Builder,
    bob: Builder,
}

impl Lab {
    /// `None` without ssh-keygen.
    fn new(name: &str) -> Option<Lab> {
        if !super::live::judge("ssh-keygen") {
            return None;
        }
        let oci = oci::Lab::new(&format!("quorum-{name}"), 1000);
        let manifest = Manifest::read(&std::fs::read(oci.path("build/manifest.json")).unwrap()).unwrap();
        let home = oci.path("");
        let (alice, bob) = (Builder::new(&home, "alice"), Builder::new(&home, "bob"));
        let lab = Lab { oci, manifest, alice, bob };
        lab.trust(&format!("{}{}", lab.line("alice", "alice"), lab.line("bob", "bob")));
        std::fs::create_dir(lab.oci.path("from")).unwrap();
        Some(lab)
    }

    /// A line that trusts the key in a file under a name.
    fn line(&self, name: &str, key: &str) -> String {
        let public = std::fs::read_to_string(self.oci.path(&format!("{key}.pub"))).unwrap();
        format!("{name} {}\n", public.trim())
    }

    fn trust(&self, lines: &str) {
        std::fs::create_dir_all(self.oci.path(".config/kiln")).unwrap();
        std::fs::write(self.oci.path(".config/kiln/trusted-keys"), lines).unwrap();
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.oci.path("from").join(name), text).unwrap();
    }

    /// What both attest of the build.
    fn both(&self) {
        self.put("alice.json", &self.alice.attest(&self.manifest, THEN));
        self.put("bob.json", &self.bob.attest(&self.manifest, THEN));
    }

    fn verify(&self, words: &[&str]) -> Output {
        self.oci.kiln(&[&["verify", "build", "--require"], words].concat()).output().unwrap()
    }

    fn accepts(&self, words: &[&str]) -> String {
        let output = self.verify(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        text(&output)
    }

    /// Two are asked for, and `from` does not have them.
    fn refuses(&self, words: &[&str]) {
        refused(&self.verify(&["2", "--from", "from"]), 3, words);
    }
}

#[test]
fn a_build_is_accepted_if_so_many_builders_attest_it() {
    let Some(lab) = Lab::new("accepted") else { return };
    lab.refuses(&["tiny: 0 of 2 required builders agree", "from: it has no file that ends in .json or .jsonl"]);
    lab.put("alice.json", &lab.alice.attest(&lab.manifest, THEN));
    lab.accepts(&["1", "--from", "from"]);
    lab.refuses(&["tiny: 1 of 2 required builders agree", "built by alice (SHA256:"]);
    lab.put("bob.json", &lab.bob.attest(&lab.manifest, THEN));
    let said = lab.accepts(&["2", "--from", "from", "--recipe-name", "tiny"]);
    assert!(said.contains("tiny: 1 file that 2 builders agree on"), "{said}");
    assert!(said.contains("built by alice (SHA256:") && said.contains("built by bob (SHA256:"), "{said}");
    assert!(!said.contains("warning"), "{said}");
    let report = lab.oci.kiln(&["verify", "build", "--require", "2", "--from", "from", "--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&report["accepted"], &report["agreed"]), (&true.into(), &2.into()));
    assert_eq!(report["attesters"][1]["place"], "from/bob.json");
    refused(
        &lab.verify(&["2", "--from", "from", "--recipe-name", "other"]),
        3,
        &["it is of recipe `tiny`, not of `other`"],
    );
    // The files themselves are compared first.
    std::fs::write(lab.oci.path("build/i.tar"), "x").unwrap();
    refused(&lab.verify(&["1", "--from", "from"]), 3, &["does not match its manifest"]);
}

#[test]
fn what_is_asked_for_must_make_sense() {
    let Some(lab) = Lab::new("usage") else { return };
    for words in [&["0", "--from", "from"][..], &["1"], &["1", "--from", "from", "--signed"], &["x", "--from", "from"]]
    {
        assert_eq!(lab.verify(words).status.code(), Some(2), "{words:?}");
    }
    lab.both();
    lab.trust("");
    refused(&lab.verify(&["1", "--from", "from"]), 2, &["no keys are trusted"]);
}

#[test]
fn a_key_counts_once_however_often_and_in_whatever_form_it_comes() {
    let Some(lab) = Lab::new("once") else { return };
    lab.put("a.json", &lab.alice.attest(&lab.manifest, THEN));
    lab.put("b.json", &lab.alice.attest(&lab.manifest, THEN));
    lab.put("c.json", &lab.alice.attest(&lab.manifest, THEN + 1));
    lab.put("d.jsonl", &lab.alice.attest(&lab.manifest, THEN + 2).repeat(3));
    lab.refuses(&["1 of 2 required"]);
    // The same key as a minisign key of another name.
    let word = [b"Ed".as_slice(), b"number 1", &lab.alice.key.public.0].concat();
    let mini = format!("carol minisign {}\n", kiln::base::base64::encode(&word));
    for lines in [format!("{}{mini}", lab.line("alice", "alice")), format!("{mini}{}", lab.line("alice", "alice"))] {
        lab.trust(&lines);
        lab.refuses(&["1 of 2 required"]);
    }
    // Revoked in one form, it is in the other.
    lab.trust(&format!("{}{} revoked\n", lab.line("alice", "alice"), mini.trim()));
    lab.refuses(&["0 of 2 required", "signed by a key that was revoked: carol"]);
    // Two keys of one name are one builder.
    lab.put("e.json", &lab.bob.attest(&lab.manifest, THEN));
    lab.trust(&format!("{}{}", lab.line("alice", "alice"), lab.line("alice", "bob")));
    lab.refuses(&["1 of 2 required", "keys of one name count as one builder"]);
    // And the newest word of that builder counts, with whichever key.
    let other = changed(&lab.manifest, "i.tar");
    lab.put("f.json", &lab.bob.attest(&other, THEN + 3));
    lab.refuses(&[
        "0 of 2 required",
        "with another result:",
        "alice (SHA256:",
        "the one of 2023-11-14T22:13:23Z counts",
    ]);
    lab.put("f.json", &lab.bob.attest(&other, THEN + 2));
    lab.refuses(&["0 of 2 required", "attested two different results at 2023-11-14T22:13:22Z; neither counts"]);
}

#[test]
fn only_keys_that_are_trusted_with_the_recipe_count() {
    let Some(lab) = Lab::new("trusted") else { return };
    lab.both();
    let alice = lab.line("alice", "alice");
    let bob = lab.line("bob", "bob");
    for (line, words) in [
        (String::new(), format!("no signature of it is by a trusted key (it names {})", lab.bob.key_id())),
        (format!("{} recipes=other-*\n", bob.trim()), "bob, who is not trusted with recipe `tiny`".to_owned()),
        (format!("{} expires=2020-01-01\n", bob.trim()), "bob, whose key expired at".to_owned()),
        (format!("{} revoked\n", bob.trim()), "signed by a key that was revoked: bob".to_owned()),
    ] {
        lab.trust(&format!("{alice}{line}"));
        lab.refuses(&["1 of 2 required", &words]);
    }
    lab.trust(&alice);
    std::fs::write(lab.oci.path("ours"), bob).unwrap();
    lab.accepts(&["2", "--from", "from", "--trusted-keys", "ours"]);
}

#[test]
fn who_built_something_else_is_named_with_what() {
    let Some(lab) = Lab::new("differ") else { return };
    lab.put("alice.json", &lab.alice.attest(&lab.manifest, THEN));
    let digest = lab.manifest.artifacts["i.tar"].sha256;
    let other = changed(&lab.manifest, "i.tar");
    lab.put("bob.json", &lab.bob.attest(&other, THEN));
    let differs = format!("i.tar: {}, not {digest}", other.artifacts["i.tar"].sha256);
    lab.refuses(&["1 of 2 required", "built by alice", "built by bob", "with another result:", &differs]);
    // A disagreement is told where the build is accepted.
    let said = lab.accepts(&["1", "--from", "from"]);
    assert!(said.contains("warning: tiny: not all attestations agree") && said.contains(&differs), "{said}");
    // A file more or less is another build.
    let mut more = lab.manifest.clone();
    more.artifacts.insert("hidden.bin".to_owned(), lab.manifest.artifacts["i.tar"]);
    lab.put("bob.json", &lab.bob.attest(&more, THEN));
    lab.refuses(&["1 of 2 required", "there is hidden.bin as well"]);
    let mut less = lab.manifest.clone();
    less.artifacts.clear();
    lab.put("bob.json", &lab.bob.attest(&less, THEN));
    lab.refuses(&["1 of 2 required", "there is no i.tar"]);
}

#[test]
fn the_newest_word_of_a_key_counts_and_two_at_once_are_none() {
    let Some(lab) = Lab::new("newest") else { return };
    lab.both();
    let other = changed(&lab.manifest, "i.tar");
    lab.put("old.json", &lab.bob.attest(&other, THEN - 1));
    let said = lab.accepts(&["2", "--from", "from"]);
    assert!(
        said.contains("bob (SHA256:") && said.contains("attested another result at 2023-11-14T22:13:19Z"),
        "{said}"
    );
    lab.put("old.json", &lab.bob.attest(&other, THEN));
    lab.refuses(&["1 of 2 required", "attested two different results at 2023-11-14T22:13:20Z; neither counts"]);
    lab.put("old.json", &lab.bob.attest(&other, THEN + 1));
    lab.refuses(&["1 of 2 required", "with another result:"]);
    lab.put("old.json", &lab.bob.attest(&lab.manifest, i64::from(u32::MAX)));
    std::fs::remove_file(lab.oci.path("from/bob.json")).unwrap();
    lab.refuses(&["1 of 2 required", "made in the future"]);
}

#[test]
fn what_has_expired_does_not_count_and_brings_back_nothing_older() {
    let Some(lab) = Lab::new("expired") else { return };
    let never = i64::from(u32::MAX);
    lab.put("alice.json", &lab.alice.attest_until(&lab.manifest, (THEN, never)));
    lab.put("bob.json", &lab.bob.attest_until(&lab.manifest, (THEN, THEN + 1)));
    lab.refuses(&["1 of 2 required", "bob.json: by bob (SHA256:", "it expired at 2023-11-14T22:13:21Z"]);
    let said = lab.accepts(&["1", "--from", "from"]);
    assert!(said.contains("attested at 2023-11-14T22:13:20Z, until 2106-02-07T06:28:15Z"), "{said}");
    // The newest word counts, and what it took back stays so.
    lab.put("old.json", &lab.bob.attest(&lab.manifest, THEN - 1));
    lab.refuses(&["1 of 2 required", "it expired at"]);
    lab.put("new.json", &lab.bob.attest_until(&lab.manifest, (THEN + 1, never)));
    lab.accepts(&["2", "--from", "from"]);
}

#[test]
fn an_older_word_than_one_that_was_accepted_is_a_rollback() {
    let Some(lab) = Lab::new("rollback") else { return };
    lab.put("alice.json", &lab.alice.attest(&lab.manifest, THEN));
    lab.put("bob.json", &lab.bob.attest(&lab.manifest, THEN + 5));
    lab.accepts(&["2", "--from", "from"]);
    lab.accepts(&["2", "--from", "from"]);
    lab.put("bob.json", &lab.bob.attest(&lab.manifest, THEN + 4));
    let rollback = "it is a rollback: of 2023-11-14T22:13:24Z, but one of 2023-11-14T22:13:25Z was accepted before";
    lab.refuses(&["1 of 2 required", "bob.json: by bob (SHA256:", rollback]);
    // What was not accepted is not remembered, and cannot be forged by others.
    lab.put("alice.json", &lab.alice.attest(&lab.manifest, THEN + 9));
    lab.refuses(&["1 of 2 required", "it is a rollback"]);
    lab.put("alice.json", &lab.alice.attest(&lab.manifest, THEN));
    lab.accepts(&["1", "--from", "from"]);
    // Nor is another recipe's, and whoever forgets starts anew.
    let state = lab.oci.path(".local/state/kiln/attested.json");
    let known: serde_json::Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    let names: Vec<&String> = known.as_object().unwrap().keys().collect();
    assert_eq!(names, ["tiny", &format!("tiny of lock {}", lab.manifest.lock)]);
    std::fs::remove_file(&state).unwrap();
    lab.accepts(&["2", "--from", "from"]);
    std::fs::write(&state, "x").unwrap();
    refused(&lab.verify(&["2", "--from", "from"]), 4, &["not a list of accepted builds"]);
}

#[test]
fn another_manifest_beside_the_same_files_is_told() {
    let Some(lab) = Lab::new("manifests") else { return };
    lab.put("alice.json", &lab.alice.attest(&lab.manifest, THEN));
    let mut other = lab.manifest.clone();
    other.warnings.insert("i.tar".to_owned(), Default::default());
    assert_ne!(other.write(), lab.manifest.write());
    lab.put("bob.json", &lab.bob.attest(&other, THEN));
    let said = lab.accepts(&["2", "--from", "from"]);
    let digest = |manifest: &Manifest| kiln::base::Digest::of(manifest.write().as_bytes());
    let told = format!("): manifest.json: {}, not {}", digest(&other), digest(&lab.manifest));
    assert!(said.contains("the same files, but another manifest: bob (SHA256:") && said.contains(&told), "{said}");
    let output = lab.verify(&["2", "--from", "from", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(report["attesters"][1]["manifest"], digest(&other).hex());
    // One that names none disagrees with nobody.
    let mut silent: serde_json::Value = serde_json::from_str(&lab.bob.statement(&lab.manifest, THEN)).unwrap();
    silent["predicate"]["runDetails"]["byproducts"] = serde_json::json!([]);
    lab.put("bob.json", &lab.bob.sign(&silent.to_string()).write());
    assert!(!lab.accepts(&["2", "--from", "from"]).contains("another manifest"));
}
