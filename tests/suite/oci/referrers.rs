//! SBOMs and attestations that travel with a build, each as an artifact that refers to it.

use kiln::base::Digest;
use serde_json::{Value, json};

use super::{Lab, refused, succeed};

/// Texts of each kind, with the type that others look for.
fn files() -> [(&'static str, String, &'static str); 3] {
    [
        ("a.spdx.json", json!({"spdxVersion": "SPDX-2.3"}).to_string(), "application/spdx+json"),
        ("a.cdx.json", json!({"bomFormat": "CycloneDX"}).to_string(), "application/vnd.cyclonedx+json"),
        (
            "a.intoto.json",
            json!({"payloadType": "t", "payload": "", "signatures": []}).to_string(),
            "application/vnd.dsse.envelope.v1+json",
        ),
    ]
}

#[test]
fn files_that_refer_to_a_build_are_listed_by_their_type() {
    let lab = Lab::new("attached", 1000);
    let mut words = vec!["push".to_owned(), "build".to_owned(), String::new()];
    for (name, text, _) in files() {
        std::fs::write(lab.path(name), text).unwrap();
        words.extend(["--attach".to_owned(), name.to_owned()]);
    }
    for listed in [true, false] {
        lab.registry.state.lock().unwrap().referrers = listed;
        lab.registry.state.lock().unwrap().manifests.clear();
        words[2] = lab.reference();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = succeed(&mut lab.kiln(&words));
        assert!(said.contains("with 3 files that refer to it"), "{said}");
        succeed(&mut lab.kiln(&words));
        let subject = lab.registry.state.lock().unwrap().manifests["v1"].1.clone();
        let fallback =
            lab.registry.state.lock().unwrap().manifests.get(&format!("sha256-{}", Digest::of(&subject))).cloned();
        assert_eq!(fallback.is_some(), !listed, "the tag is for registries that list nothing");
        if let Some((_, index)) = fallback {
            let index: Value = serde_json::from_slice(&index).unwrap();
            assert_eq!(index["manifests"].as_array().unwrap().len(), 3, "each is listed once: {index}");
        }
        for (name, text, kind) in files() {
            let manifests = lab.registry.state.lock().unwrap().manifests.clone();
            let texts = manifests.values().filter_map(|(_, text)| serde_json::from_slice::<Value>(text).ok());
            let manifest =
                texts.into_iter().find(|manifest| manifest["artifactType"] == kind && manifest["layers"].is_array());
            let manifest = manifest.unwrap_or_else(|| panic!("nothing of type {kind}"));
            assert_eq!(manifest["subject"]["digest"], format!("sha256:{}", Digest::of(&subject)));
            let layer = &manifest["layers"][0];
            assert_eq!(
                (&layer["mediaType"], &layer["annotations"]["org.opencontainers.image.title"]),
                (&kind.into(), &name.into())
            );
            assert_eq!(layer["digest"], format!("sha256:{}", Digest::of(text.as_bytes())));
        }
    }
    words[2] = "oci:layout:v1".to_owned();
    succeed(&mut lab.kiln(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    let index: Value = serde_json::from_slice(&std::fs::read(lab.path("layout/index.json")).unwrap()).unwrap();
    let types: Vec<&str> =
        index["manifests"].as_array().unwrap().iter().filter_map(|one| one["artifactType"].as_str()).collect();
    assert!(files().iter().all(|(_, _, kind)| types.contains(kind)), "{types:?}");
}

#[test]
fn a_file_that_says_nothing_of_a_build_is_refused_before_anything_is_pushed() {
    let lab = Lab::new("attached-other", 1000);
    std::fs::write(lab.path("notes.json"), "{}").unwrap();
    let output = lab.kiln(&["push", "build", &lab.reference(), "--attach", "notes.json"]).output().unwrap();
    refused(&output, 2, &["notes.json: neither an attestation (a DSSE envelope) nor an SBOM"]);
    rustix::fs::mknodat(rustix::fs::CWD, lab.path("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let output = lab.kiln(&["push", "build", &lab.reference(), "--attach", "pipe"]).output().unwrap();
    refused(&output, 2, &["pipe"]);
    assert!(lab.registry.asked("").is_empty());
}
