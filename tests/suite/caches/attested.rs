//! `kiln attest`: what this store built with nobody's help is signed, in the formats that others read; nothing else is.

use std::path::Path;
use std::process::Command;

use kiln::base::base64;
use kiln::deliver::manifest::Manifest;
use kiln::format::dsse::Envelope;
use serde_json::Value;

use super::super::attack::ground::run;
use super::super::attest_support::{Builder, changed, subjects};
use super::super::ssh_agent::Agent;
use super::{Lab, ran};

/// The envelopes in a file, and their statements.
fn attestations(file: &Path) -> Vec<(Envelope, Value)> {
    let text = std::fs::read_to_string(file).unwrap();
    let read = |line: &str| {
        let envelope = Envelope::read(line.as_bytes()).unwrap();
        let payload = serde_json::from_slice(&envelope.payload).unwrap();
        (envelope, payload)
    };
    text.lines().map(read).collect()
}

fn manifest(lab: &Lab, store: &str) -> Manifest {
    Manifest::read(lab.built(store).as_bytes()).unwrap()
}

/// OpenSSL as a judge of the signature over what the protocol says is signed, with the key alone.
fn openssl_verifies(lab: &Lab, envelope: &Envelope, key: &[u8; 32]) {
    if !super::super::live::judge("openssl") {
        return;
    }
    // RFC 8410: the algorithm, and the key.
    let der = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..], key].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64::encode(&der));
    let head = format!("DSSEv1 28 application/vnd.in-toto+json {} ", envelope.payload.len());
    for (name, bytes) in [
        ("key.pem", pem.as_bytes()),
        ("signed", &[head.as_bytes(), &envelope.payload].concat()),
        ("signature", &envelope.signatures[0].signature),
    ] {
        std::fs::write(lab.path(name), bytes).unwrap();
    }
    let mut openssl = Command::new("openssl");
    openssl.args([
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "key.pem",
        "-rawin",
        "-in",
        "signed",
        "-sigfile",
        "signature",
    ]);
    let output = openssl.current_dir(lab.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_was_built_here_is_attested_as_others_read_it() {
    let Some(lab) = Lab::with_kernel("attested") else { return };
    lab.build("store", &[]);
    let said = lab.succeed("store", &["attest", "out-store", "--key", "alice"]);
    assert!(said.contains("files that were built here, attested by SHA256:"), "{said}");
    let file = lab.path("out-store/attestations.intoto.jsonl");
    let [(envelope, statement)] = attestations(&file).try_into().unwrap();
    let key = kiln::format::signature::SshPublic::read_file(&lab.public("alice")).unwrap();
    openssl_verifies(&lab, &envelope, &key.0);
    let manifest = manifest(&lab, "store");
    let expected = manifest.artifacts.iter().map(|(name, file)| (name.clone(), file.sha256.hex())).collect();
    assert_eq!(subjects(&statement), expected);
    assert_eq!(
        (&statement["_type"], &statement["predicateType"]),
        (&"https://in-toto.io/Statement/v1".into(), &"https://slsa.dev/provenance/v1".into())
    );
    let definition = &statement["predicate"]["buildDefinition"];
    assert_eq!(definition["buildType"], "https://kiln.dev/build/v1");
    assert_eq!(definition["externalParameters"]["recipe"], "lab");
    assert_eq!(definition["externalParameters"]["lock"]["sha256"], manifest.lock.hex());
    assert_eq!(definition["internalParameters"]["outputVersion"], 1);
    // Every input of the lock, by a digest, and none by where it was fetched from.
    let lock = kiln::lock::read(&std::fs::read_to_string(lab.path("lab.lock")).unwrap()).unwrap();
    let dependencies = definition["resolvedDependencies"].as_array().unwrap();
    let has = |digest: &kiln::base::Digest| dependencies.iter().any(|one| one["digest"]["sha256"] == digest.hex());
    assert!(lock.recipe.files.values().all(&has) && lock.archives.values().all(|archive| has(&archive.inrelease)));
    assert!(lock.sets.values().flatten().all(|package| has(&package.file.sha256)));
    let kernel =
        dependencies.iter().find(|one| one["name"].as_str().unwrap().starts_with("linux-image-6.12.1")).unwrap();
    assert!(kernel["uri"].as_str().unwrap().starts_with("pkg:deb/debian/linux-image-6.12.1-amd64@"), "{kernel}");
    let text = statement.to_string();
    assert!(!text.contains("127.0.0.1") && !text.contains(lab.path("").to_str().unwrap()), "{text}");
    // Again, by the same key, in the place of the first; by another one beside it.
    lab.key("bob");
    for key in ["alice", "bob"] {
        lab.succeed("store", &["attest", "lab.kiln", "--key", key]);
        lab.succeed("store", &["attest", "out-store", "--key", key]);
    }
    assert_eq!(attestations(&file).len(), 2);
    lab.succeed("store", &["verify", "out-store"]);
    let json: Value = serde_json::from_str(
        lab.succeed("store", &["attest", "out-store", "--key", "bob", "--json", "-o", "b.json"]).trim(),
    )
    .unwrap();
    assert_eq!((&json["recipe"], &json["file"]), (&"lab".into(), &"b.json".into()));
    lab.trust(&format!("alice {}\nbob {}\n", lab.public("alice"), lab.public("bob")));
    let said =
        lab.succeed("store", &["verify", "lab.kiln", "--require", "2", "--from", "out-store", "--from", "b.json"]);
    assert!(said.contains("files that 2 builders agree on"), "{said}");
    // A build that is another one is told so.
    let expected_name = manifest.artifacts.keys().next().unwrap();
    std::fs::write(lab.path("out-store").join(expected_name), "x").unwrap();
    assert_eq!(lab.kiln("store", &["attest", "out-store", "--key", "alice"]).code, Some(3));
}

#[test]
fn what_is_refused_is_not_listed_in_the_help() {
    let help = |verb: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_kiln")).args([verb, "--help"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let (attest, build) = (help("attest"), help("build"));
    for option in ["--cache", "--trusted-keys", "--incremental", "--without-caches"] {
        assert!(
            build.contains(option)
                && !attest.contains(&format!("{option} "))
                && !attest.contains(&format!("{option}\n")),
            "{option}"
        );
    }
    for option in ["--key", "--offline", "--jobs", "--no-cache", "--limit"] {
        assert!(attest.contains(option), "{option}");
    }
}

#[test]
fn what_others_built_is_not_attested_before_it_is_built_here() {
    let Some(lab) = Lab::with_kernel("attested-taken") else { return };
    lab.build("store", &[]);
    lab.push("store", &["--cache", "cache"]);
    let said = lab.build("other", &["--cache", "cache"]);
    assert!(!ran(&said, "kernel stock"), "{said}");
    let attest = |words: &[&str]| lab.kiln("other", &[&["attest", "--key", "alice"], words].concat());
    let refused = |words: &[&str], why: &str| {
        let ended = attest(words);
        assert!(ended.code == Some(2) && ended.text().contains(why), "{words:?}: {}", ended.text());
    };
    let not_own = "out-other: this store does not show that all of it was built here";
    refused(&["out-other"], not_own);
    for option in [&["--cache", "cache"][..], &["--trusted-keys", "alice.pub"], &["--incremental"]] {
        refused(&[&["lab.kiln"], option].concat(), "an attestation says that every step was carried out here");
    }
    refused(&["out-other", "--no-cache"], "--no-cache");
    assert!(!lab.path("out-other/attestations.intoto.jsonl").exists());
    // The cache is in the user's list as well, and counts for nothing here.
    std::fs::write(lab.path(".config/kiln/caches"), format!("{}\n", lab.path("cache").display())).unwrap();
    let ended = attest(&["lab.kiln"]);
    assert!(ended.code == Some(0) && ran(&ended.text(), "kernel stock"), "{}", ended.text());
    // What was built now is the same build.
    assert_eq!(attest(&["out-other"]).code, Some(0));
    // One that went on from an earlier run, or is made of a directory that no lock pins, is none that this store built.
    let mut manifest = manifest(&lab, "other");
    manifest.incremental.insert("kernel-build own".to_owned());
    std::fs::write(lab.path("out-other/manifest.json"), manifest.write()).unwrap();
    refused(&["out-other"], not_own);
}

#[test]
fn builders_of_a_recipe_must_agree_with_each_other_and_with_the_lock() {
    let Some(lab) = Lab::with_kernel("attested-recipe") else { return };
    let home = lab.path("");
    let (bob, carol) = (Builder::new(&home, "bob"), Builder::new(&home, "carol"));
    lab.trust(&format!("bob {}\ncarol {}\n", lab.public("bob"), lab.public("carol")));
    lab.build("store", &[]);
    let good = manifest(&lab, "store");
    let name = good.artifacts.keys().find(|name| name.contains("vmlinuz")).unwrap();
    let other = changed(&good, name);
    let verify = |required: &str| {
        lab.kiln("store", &["verify", "lab.kiln", "--require", required, "--from", "bob.json", "--from", "carol.json"])
    };
    std::fs::write(lab.path("bob.json"), bob.attest(&good, 1)).unwrap();
    std::fs::write(lab.path("carol.json"), carol.attest(&good, 1)).unwrap();
    assert_eq!(verify("2").code, Some(0));
    // The lock records what came out here.
    std::fs::write(lab.path("bob.json"), bob.attest(&other, 1)).unwrap();
    std::fs::write(lab.path("carol.json"), carol.attest(&other, 1)).unwrap();
    let ended = verify("1");
    let differs = format!("{name}: {}, not {}", other.artifacts[name].sha256, good.artifacts[name].sha256);
    assert!(ended.code == Some(3) && ended.text().contains(&differs), "{}", ended.text());
    // Without what it records, two who agree are as good as any; two who do not are one too many.
    let mut lock = kiln::lock::read(&std::fs::read_to_string(lab.path("lab.lock")).unwrap()).unwrap();
    lock.outputs.clear();
    std::fs::write(lab.path("lab.lock"), kiln::lock::write(&lock)).unwrap();
    assert_eq!(verify("2").code, Some(0));
    std::fs::write(lab.path("carol.json"), carol.attest(&good, 1)).unwrap();
    let ended = verify("1");
    assert!(
        ended.code == Some(3) && ended.text().contains("so many others agree on something else"),
        "{}",
        ended.text()
    );
    assert!(ended.text().contains("built by bob") && ended.text().contains("built by carol"), "{}", ended.text());
}

#[test]
fn the_commands_of_the_page_run() {
    let Some(lab) = Lab::with_kernel("attested-page") else { return };
    for (name, text) in [("small.kiln", "lab.kiln"), ("archive.asc", "archive.asc")] {
        std::fs::create_dir_all(lab.path("recipes")).unwrap();
        std::fs::copy(lab.path(text), lab.path("recipes").join(name)).unwrap();
    }
    lab.succeed("store", &["lock", "recipes/small.kiln"]);
    lab.key("bob");
    lab.trust(&format!("alice {}\nbob {}\n", lab.public("alice"), lab.public("bob")));
    // Somebody else, with a store of their own.
    let bob = ["attest", "recipes/small.kiln", "--allow-leaks", "--key", "bob", "-o", "bob.json"];
    assert!(ran(&lab.succeed("store-of-bob", &bob), "kernel stock"));
    let page = include_str!("../../../docs/attestations.md");
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut said = String::new();
    for line in blocks.flat_map(str::lines).map(|line| line.split(" #").next().unwrap().trim()) {
        let words = line.strip_prefix("kiln ").unwrap().replace("~/.ssh/id_ed25519", "alice");
        let mut words: Vec<&str> = words.split_whitespace().collect();
        // Recipes made for attacks leave traces of this host.
        words.extend((words[1].ends_with(".kiln")).then_some("--allow-leaks"));
        said = lab.succeed("store", &words);
    }
    assert!(said.contains("files that 2 builders agree on") && said.contains("in alice.json"), "{said}");
}

#[test]
fn an_agent_and_minisign_keys_make_the_same_plain_signature() {
    let Some(lab) = Lab::with_kernel("attested-agent") else { return };
    lab.build("store", &[]);
    let seed = [42; 32];
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    let secret = [b"Ed".as_slice(), &[0; 2], b"B2", &[0; 48], b"kiln-key", &seed, &public, &[0; 32]].concat();
    let secret = base64::encode(&secret);
    std::fs::write(lab.path("mini.key"), format!("untrusted comment: minisign secret key\n{secret}\n")).unwrap();
    lab.succeed("store", &["attest", "out-store", "--key", "mini.key", "-o", "mini.json"]);
    let [(envelope, _)] = attestations(&lab.path("mini.json")).try_into().unwrap();
    openssl_verifies(&lab, &envelope, &public);
    if !super::super::live::judge("ssh-agent") {
        return;
    }
    let agent = Agent::start("attest");
    agent.add(&lab.path("alice"));
    let mut kiln = lab.ground.kiln();
    kiln.env("KILN_STORE", lab.path("store")).env("SSH_AUTH_SOCK", agent.socket());
    let ended = run(kiln.args(["attest", "out-store", "--key", "alice.pub", "-o", "agent.json"]));
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let [(envelope, _)] = attestations(&lab.path("agent.json")).try_into().unwrap();
    let key = kiln::format::signature::SshPublic::read_file(&lab.public("alice")).unwrap();
    openssl_verifies(&lab, &envelope, &key.0);
    let mini = base64::encode(&[b"Ed".as_slice(), b"kiln-key", &public].concat());
    lab.trust(&format!("alice {}\nbob minisign {mini}\n", lab.public("alice")));
    lab.succeed("store", &["verify", "out-store", "--require", "2", "--from", "mini.json", "--from", "agent.json"]);
}
