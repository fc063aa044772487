//! Where attestations are found: files, directories, web servers, registries and layouts.

use kiln::base::Digest;
use kiln::format::dsse::Envelope;
use serde_json::json;

use super::super::oci::server::Reply;
use super::super::oci::succeed;
use super::{Lab, THEN, changed, refused};

#[test]
fn a_file_and_a_result_directory_are_places_as_well() {
    let Some(lab) = Lab::new("paths") else { return };
    lab.both();
    lab.accepts(&["2", "--from", "from/alice.json", "--from", "from/bob.json"]);
    // A result directory has one file of them, and its other files are none.
    let both = lab.alice.attest(&lab.manifest, THEN) + &lab.bob.attest(&lab.manifest, THEN);
    std::fs::write(lab.oci.path("build/attestations.intoto.jsonl"), both).unwrap();
    let said = lab.accepts(&["2", "--from", "build"]);
    assert!(said.contains("in build/attestations.intoto.jsonl, line 2") && !said.contains("manifest.json"), "{said}");
    succeed(&mut lab.oci.kiln(&["verify", "build"]));
    // What is not there says nothing of the build.
    let words = ["0 of 1 required builder agree", "not reached: nowhere: it is missing"];
    refused(&lab.verify(&["1", "--from", "nowhere"]), 4, &words);
    refused(
        &lab.verify(&["3", "--from", "build", "--from", "nowhere/at/all"]),
        4,
        &["2 of 3 required", "not reached:"],
    );
    for odd in ["/dev/zero", "/dev/null"] {
        refused(&lab.verify(&["1", "--from", odd]), 3, &[&format!("{odd}: it is a device")]);
    }
}

#[test]
fn a_web_server_is_read_for_so_long_and_no_longer() {
    let Some(lab) = Lab::new("web") else { return };
    lab.both();
    let both = lab.alice.attest(&lab.manifest, THEN) + &lab.bob.attest(&lab.manifest, THEN);
    let (short, long) = (both.clone(), both.clone() + &"x".repeat(100_000) + "\n");
    lab.oci.registry.hook(move |request| match request.path.as_str() {
        "/x/attestations.intoto.jsonl" => Some(Reply::new(200).body(short.clone())),
        "/endless" => Some(Reply { endless: true, ..Reply::new(200).body(long.clone()) }),
        "/cut" => Some(Reply { cut: Some(short.len() + 10), ..Reply::new(200).body(long.clone()) }),
        _ => Some(Reply::new(404)),
    });
    let address = |path: &str| format!("http://{}{path}", lab.oci.registry.host());
    for path in ["/x/", "/x/attestations.intoto.jsonl"] {
        let said = lab.accepts(&["2", "--from", &address(path)]);
        assert!(!said.contains("warning"), "{said}");
    }
    let said = lab.accepts(&["2", "--from", &address("/endless")]);
    assert!(said.contains("it is larger than 64MiB; the rest was not read"), "{said}");
    assert!(lab.accepts(&["2", "--from", &address("/cut")]).contains("not counted"));
    let none = address("/none");
    refused(&lab.verify(&["1", "--from", &none]), 4, &[&format!("not reached: {none}: there is no such file")]);
    let down = "http://127.0.0.1:1/x";
    refused(&lab.verify(&["1", "--from", down]), 4, &[&format!("not reached: {down}: ")]);
    let output = lab.verify(&["3", "--from", down, "--from", "from", "--json"]);
    assert_eq!(output.status.code(), Some(4), "{}", super::text(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["agreed"], report["unreachable"].as_array().unwrap().len()), (&json!(2), 1), "{report}");
    // Whoever disagrees does so whatever could not be reached.
    let other = lab.bob.attest(&changed(&lab.manifest, "i.tar"), THEN + 1);
    std::fs::write(lab.oci.path("other.json"), other).unwrap();
    refused(
        &lab.verify(&["2", "--from", down, "--from", "from", "--from", "other.json"]),
        3,
        &["with another result:"],
    );
    // One that is down hides no other place.
    lab.accepts(&["2", "--from", "http://127.0.0.1:1/x", "--from", "from"]);
}

#[test]
fn attestations_travel_with_a_build_and_strangers_hide_none() {
    let Some(lab) = Lab::new("registry") else { return };
    let both = lab.alice.attest(&lab.manifest, THEN) + &lab.bob.attest(&lab.manifest, THEN);
    // Those of other builds that were left there are not pushed.
    let mut other = lab.manifest.clone();
    other.lock = Digest::of(b"another lock");
    let other = lab.bob.attest(&other, THEN);
    std::fs::write(lab.oci.path("build/attestations.intoto.jsonl"), format!("{both}{other}junk\n")).unwrap();
    for listed in [true, false] {
        lab.oci.registry.state.lock().unwrap().referrers = listed;
        lab.oci.registry.state.lock().unwrap().manifests.clear();
        assert!(lab.oci.push().contains("with 2 files that refer to it"));
        strangers(&lab, &both);
        let said = lab.accepts(&["2", "--from", &lab.oci.reference()]);
        assert!(said.contains(&format!("in {}", lab.oci.reference())), "{said}");
        let _ = std::fs::remove_dir_all(lab.oci.path("out"));
        let output = lab.oci.pull();
        assert!(output.status.success(), "{}", super::text(&output));
        let next = "with 2 attestations: kiln verify out --require N --from out counts those that are trusted";
        assert!(super::text(&output).contains(next), "{}", super::text(&output));
        let pulled = std::fs::read_to_string(lab.oci.path("out/attestations.intoto.jsonl")).unwrap();
        assert!(both.lines().all(|line| pulled.contains(line)), "{pulled}");
        succeed(&mut lab.oci.kiln(&["verify", "out", "--require", "2", "--from", "out"]));
        succeed(&mut lab.oci.kiln(&["verify", "out"]));
    }
    succeed(&mut lab.oci.kiln(&["push", "build", "oci:layout:v1"]));
    lab.accepts(&["2", "--from", "oci:layout:v1"]);
    refused(&lab.verify(&["1", "--from", "oci:layout:v2"]), 4, &["0 of 1 required", "no such artifact"]);
    refused(&lab.verify(&["1", "--from", "oci:nowhere:v2"]), 4, &["0 of 1 required", "nowhere"]);
}

#[test]
fn who_came_to_other_files_is_pushed_and_pulled_as_well() {
    let Some(lab) = Lab::new("disagree") else { return };
    let (alice, bob) = (lab.alice.attest(&lab.manifest, THEN), lab.bob.attest(&lab.manifest, THEN));
    let newer = lab.bob.attest(&changed(&lab.manifest, "i.tar"), THEN + 1);
    std::fs::write(lab.oci.path("build/attestations.intoto.jsonl"), alice + &bob + &newer).unwrap();
    let said = lab.oci.push();
    assert!(said.contains("with 3 files that refer to it"), "{said}");
    let output = lab.oci.pull();
    assert!(super::text(&output).contains("with 3 attestations"), "{}", super::text(&output));
    for from in [lab.oci.reference(), "out".to_owned()] {
        let words = ["1 of 2 required builders agree", "with another result:", "bob (SHA256:"];
        refused(&lab.verify(&["2", "--from", &from]), 3, &words);
    }
    // Pulled again, what lies there stays, each once.
    let pulled = std::fs::read_to_string(lab.oci.path("out/attestations.intoto.jsonl")).unwrap();
    assert!(lab.oci.pull().status.success());
    assert_eq!(std::fs::read_to_string(lab.oci.path("out/attestations.intoto.jsonl")).unwrap(), pulled);
}

#[test]
fn a_file_that_is_too_large_to_be_read_whole_is_not_written_again() {
    let Some(lab) = Lab::new("whole") else { return };
    lab.oci.push();
    assert!(lab.oci.pull().status.success());
    for directory in ["build", "out"] {
        let file = lab.oci.path(directory).join("attestations.intoto.jsonl");
        let text = lab.alice.attest(&lab.manifest, THEN);
        std::fs::write(&file, &text).unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_len((64 << 20) + 1).unwrap();
    }
    let words = ["attestations.intoto.jsonl is larger than"];
    refused(&lab.oci.kiln(&["push", "build", &lab.oci.reference()]).output().unwrap(), 4, &words);
    refused(&lab.oci.pull(), 4, &words);
    let kept = std::fs::metadata(lab.oci.path("out/attestations.intoto.jsonl")).unwrap();
    assert_eq!(kept.len(), (64 << 20) + 1);
}

#[test]
fn a_list_of_attestations_is_read_page_by_page() {
    let Some(lab) = Lab::new("pages") else { return };
    let both = lab.alice.attest(&lab.manifest, THEN) + &lab.bob.attest(&lab.manifest, THEN);
    std::fs::write(lab.oci.path("build/attestations.intoto.jsonl"), both).unwrap();
    lab.oci.push();
    let (kind, index) = ("application/vnd.dsse.envelope.v1+json", "application/vnd.oci.image.index.v1+json");
    let manifests = lab.oci.registry.state.lock().unwrap().manifests.clone();
    let listed = |(name, (media, text)): (&String, &(String, Vec<u8>))| {
        let parsed: serde_json::Value = serde_json::from_slice(text).unwrap();
        let entry = json!({"mediaType": media, "digest": name, "size": text.len(), "artifactType": kind});
        (name.starts_with("sha256:") && parsed["artifactType"] == kind).then_some(entry)
    };
    let entries: Vec<_> = manifests.iter().filter_map(listed).collect();
    assert_eq!(entries.len(), 2);
    for (next, whole) in [("/p/", true), ("http://127.0.0.2:1/p/", false)] {
        let entries = entries.clone();
        lab.oci.registry.hook(move |request| {
            let at = if request.path.contains("/referrers/") {
                0
            } else {
                request.path.strip_prefix("/p/")?.parse().ok()?
            };
            let body =
                json!({"schemaVersion": 2, "mediaType": index, "manifests": entries.get(at..=at).unwrap_or_default()});
            let link = if next == "/p/" && at == 1 {
                "</x>; rel=\"prev\"".to_owned()
            } else {
                format!("<{next}{}>; rel=\"next\"", at + 1)
            };
            Some(Reply::new(200).with("Content-Type", index).with("Link", link).body(body.to_string()))
        });
        match whole {
            true => assert!(!lab.accepts(&["2", "--from", &lab.oci.reference()]).contains("warning")),
            false => refused(
                &lab.verify(&["2", "--from", &lab.oci.reference()]),
                3,
                &["1 of 2 required", "its list of them was not read to the end"],
            ),
        }
    }
}

/// Whoever may push adds what is no attestation or is too large, and genuine ones again under long names of keys.
fn strangers(lab: &Lab, genuine: &str) {
    for at in 0..5 {
        for line in genuine.lines() {
            let mut copy = Envelope::read(line.as_bytes()).unwrap();
            copy.signatures[0].key_id = at.to_string().repeat(7 << 20);
            copy.signatures.push(copy.signatures[0].clone());
            copy.signatures[1].key_id = String::new();
            std::fs::write(lab.oci.path("copy.json"), copy.write()).unwrap();
            let attach = ["push", "build", &lab.oci.reference(), "--attach", "copy.json"];
            succeed(&mut lab.oci.kiln(&attach));
        }
    }
    let listed = lab.oci.registry.state.lock().unwrap().referrers;
    let subject = lab.oci.registry.state.lock().unwrap().manifests["v1"].1.clone();
    let digest = format!("sha256:{}", Digest::of(&subject));
    let kind = "application/vnd.dsse.envelope.v1+json";
    let blob = lab.oci.registry.add_blob(b"{}");
    let config = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": blob, "size": 2});
    let layer = |digest: &str, size: u64| json!([{"mediaType": kind, "digest": digest, "size": size}]);
    let missing = format!("sha256:{}", Digest::of(b"missing"));
    let mut texts = Vec::new();
    for layers in [json!("x"), json!([]), layer(&blob, 2), layer(&blob, 3), layer(&blob, 1 << 50), layer(&missing, 7)] {
        let junk = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": kind, "config": config, "layers": layers,
            "subject": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": subject.len()}});
        lab.oci.registry.replace("junk", junk.to_string().as_bytes());
        texts.push(junk.to_string());
    }
    if listed {
        return;
    }
    let tag = format!("sha256-{}", Digest::of(&subject));
    let index = lab.oci.registry.state.lock().unwrap().manifests[&tag].1.clone();
    let mut index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let all = index["manifests"].as_array_mut().unwrap();
    for text in texts {
        all.push(json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": kind,
            "digest": format!("sha256:{}", Digest::of(text.as_bytes())), "size": text.len()}));
    }
    let entry = ("application/vnd.oci.image.index.v1+json".to_owned(), index.to_string().into_bytes());
    lab.oci.registry.state.lock().unwrap().manifests.insert(tag, entry);
}
