//! `kiln challenge`: who has the same bits, and who has others.

use super::Lab;

/// Signs another result of the kernel's step with a key of the lab, as a compiler that is not to be trusted would leave it.
fn differing(lab: &Lab, key: &str) {
    lab.succeed("store", &["push", "--allow-leaks", "lab.kiln", "--key", key, "--cache", "liar"]);
    let file = super::names(&lab.path("liar/results")).remove(0);
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let mut statement: serde_json::Value = serde_json::from_str(result["statement"].as_str().unwrap()).unwrap();
    let digest = kiln::base::Digest::of(b"another kernel");
    std::fs::write(lab.path(&format!("liar/blobs/{digest}.zst")), zstd::encode_all(&b"another kernel"[..], 3).unwrap())
        .unwrap();
    statement["outputs"]["vmlinuz"]["file"]["sha256"] = digest.hex().into();
    statement["outputs"]["vmlinuz"]["file"]["size"] = 14.into();
    let statement = statement.to_string();
    std::fs::write(lab.path("statement"), &statement).unwrap();
    let _ = std::fs::remove_file(lab.path("statement.sig"));
    let mut sign = std::process::Command::new("ssh-keygen");
    sign.args(["-Y", "sign", "-n", "kiln-step", "-f"]).arg(lab.path(key)).arg(lab.path("statement"));
    assert!(sign.output().unwrap().status.success());
    let signature = std::fs::read_to_string(lab.path("statement.sig")).unwrap();
    let forged = serde_json::json!({ "statement": statement, "signature": signature });
    std::fs::write(file, forged.to_string()).unwrap();
}

#[test]
fn caches_are_compared_step_by_step_with_who_built_what() {
    let Some(lab) = Lab::with_kernel("challenge") else { return };
    lab.push("store", &["--cache", "cache"]);
    // Whoever has pushed is compared with nobody yet.
    let pusher = lab.kiln("store", &["challenge", "lab.kiln", "cache"]);
    assert!(pusher.code == Some(3) && pusher.text().contains("no step was built by two"), "{}", pusher.text());
    lab.build("other", &["--without-caches"]);
    let said = lab.succeed("other", &["challenge", "lab.kiln", "cache"]);
    assert!(said.contains("agree") && said.contains("this store, alice in cache"), "{said}");
    let alone = lab.kiln("empty", &["challenge", "lab.kiln", "cache"]);
    assert!(alone.code == Some(3) && alone.text().contains("nothing was compared"), "{}", alone.text());
    lab.key("mallory");
    differing(&lab, "mallory");
    let ended = lab.kiln("empty", &["challenge", "lab.kiln", "cache", "liar", "--json"]);
    assert_eq!(ended.code, Some(3), "{}", ended.text());
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    let step = &report["steps"][0];
    assert_eq!((&step["step"], &step["verdict"]), (&"kernel stock".into(), &"differ".into()), "{report}");
    assert_eq!(step["answers"][0]["signer"], "alice");
    assert!(step["answers"][1].get("signer").is_none(), "mallory's key is in no list: {report}");
    // A cache that is not there is told once.
    for place in ["nowhere", "oci:nowhere"] {
        let said = lab.kiln("other", &["challenge", "lab.kiln", place]).text();
        assert_eq!(said.matches("warning: ").count(), 1, "{said}");
    }
    let none = lab.kiln("empty", &["challenge", "lab.kiln"]);
    assert!(none.code == Some(2) && none.text().contains("no cache is named"), "{}", none.text());
}

/// Whoever can write to a cache can sign with any number of keys of their own.
#[test]
fn keys_that_are_not_trusted_agree_with_nobody() {
    let Some(lab) = Lab::with_kernel("untrusted") else { return };
    lab.push("store", &["--cache", "cache"]);
    lab.key("mallory");
    lab.succeed("store", &["push", "--allow-leaks", "lab.kiln", "--key", "mallory", "--cache", "cache"]);
    let (alice, mallory) = (lab.public("alice"), lab.public("mallory"));
    // (trusted keys, store) -> (exit code, verdict, why mallory does not count)
    for (lines, code, verdict, why) in [
        (String::new(), 3, "untrusted", "not trusted"),
        (format!("alice {alice}\n"), 3, "one", "not trusted"),
        (format!("alice {alice}\nmallory {mallory} revoked\n"), 3, "one", "revoked"),
        (format!("alice {alice}\nmallory {mallory} expires=2020-01-01\n"), 3, "one", "expired"),
        (format!("alice {alice}\nmallory {mallory} recipes=other\n"), 3, "one", "not trusted with this recipe"),
        (format!("alice {alice}\nmallory {mallory}\n"), 0, "agree", ""),
    ] {
        lab.trust(&lines);
        let ended = lab.kiln("empty", &["challenge", "lab.kiln", "cache", "--json"]);
        assert_eq!(ended.code, Some(code), "{lines}{}", ended.text());
        let report: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
        assert_eq!(report["steps"][0]["verdict"], verdict, "{lines}{report}");
        let answers = report["steps"][0]["answers"].as_array().unwrap();
        assert_eq!(answers.len(), 2, "{lines}{report}");
        let others: Vec<&str> = answers.iter().filter_map(|answer| answer["not_counted"].as_str()).collect();
        assert_eq!(others.contains(&why), !why.is_empty(), "{lines}{report}");
        let said = lab.kiln("empty", &["challenge", "lab.kiln", "cache"]).text();
        assert!(why.is_empty() || said.contains(&format!(" ({why}) in cache")), "{lines}{said}");
    }
    // This store has built it by itself and agrees with alice, whoever else is there.
    lab.trust(&format!("alice {alice}\n"));
    lab.build("other", &["--without-caches"]);
    lab.succeed("other", &["challenge", "lab.kiln", "cache"]);
    lab.trust("");
    let ended = lab.kiln("other", &["challenge", "lab.kiln", "cache"]);
    assert!(ended.code == Some(3) && ended.text().contains("--trusted-keys"), "{}", ended.text());
}

#[test]
fn a_result_under_the_name_of_another_key_is_not_taken_and_the_owner_writes_it_anew() {
    let Some(lab) = Lab::with_kernel("names") else { return };
    lab.push("store", &["--cache", "cache"]);
    lab.key("mallory");
    lab.trust(&format!("alice {}\nmallory {}\n", lab.public("alice"), lab.public("mallory")));
    lab.succeed("store", &["push", "--allow-leaks", "lab.kiln", "--key", "mallory", "--cache", "hers"]);
    let (own, hers) = (lab.files("results"), super::names(&lab.path("hers/results")));
    for (own, hers) in own.iter().zip(&hers) {
        std::fs::copy(hers, own).unwrap();
        std::fs::set_permissions(own, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let said = lab.build("other", &["--cache", "cache"]);
    assert!(said.contains("it is signed by another key than its name says"), "{said}");
    let said = lab.push("store", &["--cache", "cache"]);
    assert!(said.contains(&format!("{} written", kiln::base::counted(own.len(), "file"))), "{said}");
    let said = lab.build("third", &["--cache", "cache"]);
    assert!(said.contains("taken from cache, signed by alice"), "{said}");
}

#[test]
fn a_blob_that_is_closed_to_others_is_opened_by_a_push_for_everybody() {
    let Some(lab) = Lab::with_kernel("closed") else { return };
    lab.push("store", &["--cache", "cache"]);
    let mode = |file: &std::path::Path| {
        std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions()) & 0o777
    };
    let blob = lab.files("blobs").remove(0);
    std::fs::set_permissions(&blob, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    // A link to it elsewhere stays closed.
    std::fs::hard_link(&blob, lab.path("link")).unwrap();
    lab.push("store", &["--cache", "cache"]);
    assert_eq!((mode(&blob), mode(&lab.path("link"))), (0o644, 0o640));
}

#[test]
fn a_trusted_key_that_lies_is_contradicted_by_the_lock_and_by_a_rebuild() {
    let Some(lab) = Lab::with_kernel("liar") else { return };
    differing(&lab, "alice");
    // The lock has the digests of the first build: what contradicts it is built.
    lab.build("store", &[]);
    let said = lab.build("other", &["--cache", "liar"]);
    assert!(said.contains("not used, since the lock has other outputs"), "{said}");
    assert_eq!(lab.built("store"), lab.built("other"));
    // A lock that has none believes whom its user trusts, and a rebuild says who was wrong.
    let lock = std::fs::read_to_string(lab.path("lab.lock")).unwrap();
    std::fs::remove_file(lab.path("lab.lock")).unwrap();
    lab.succeed("third", &["lock", "lab.kiln"]);
    let said = lab.build("third", &["--cache", "liar"]);
    assert!(said.contains("kernel stock: taken from liar, signed by alice"), "{said}");
    let ended = lab.kiln("third", &["verify", "--rebuild", "lab.kiln"]);
    assert!(ended.code == Some(3) && ended.text().contains("which alice (SHA256:"), "{}", ended.text());
    std::fs::write(lab.path("lab.lock"), lock).unwrap();
}
