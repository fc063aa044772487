//! A cache in an OCI image layout: filled, taken from, compared, private, and in the hands of people who mean ill.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::{Lab, names, ran};
use crate::suite::builds::{BODY, BUILDS, image};

const PLACE: &str = "oci:layout";

fn index(lab: &Lab) -> Value {
    serde_json::from_slice(&std::fs::read(lab.path("layout/index.json")).unwrap()).unwrap()
}

#[test]
fn a_layout_is_filled_once_taken_from_and_compared() {
    let Some(lab) = Lab::with_builds("layout") else { return };
    lab.build("store", &[]);
    let said = lab.push("store", &["--cache", PLACE]);
    assert!(said.contains("oci:layout: results of ") && !said.contains("; 0 files"), "{said}");
    let before = (index(&lab), names(&lab.path("layout/blobs/sha256")).len());
    assert!(lab.push("store", &["--cache", PLACE]).contains("; 0 files written"));
    assert_eq!((index(&lab), names(&lab.path("layout/blobs/sha256")).len()), before);

    let said = lab.build("other", &["--cache", PLACE]);
    for step in ["build first", "build last", "base lab", "root lab", "disk lab", "kernel stock"] {
        assert!(!ran(&said, step), "{step}: {said}");
    }
    assert!(said.contains("root lab: taken from oci:layout"), "{said}");
    assert_eq!(lab.built("store"), lab.built("other"));
    lab.sound("other");
    let said = lab.kiln("store", &["challenge", "lab.kiln", PLACE]).text();
    assert!(said.contains("one        this store, alice in oci:layout"), "they are one builder: {said}");
    // A build is pushed beside: tags of others stay.
    lab.succeed("store", &["push", "--allow-leaks", "lab.kiln", "oci:layout:v1"]);
    let tags = index(&lab)["manifests"].as_array().unwrap().len();
    assert_eq!(tags, before.0["manifests"].as_array().unwrap().len() + 1);
}

#[test]
fn a_layout_needs_no_network_and_says_whose_keys_have_signed() {
    let Some(lab) = Lab::with_kernel("layout-keys") else { return };
    lab.push("store", &["--cache", PLACE]);
    assert!(lab.build("other", &["--offline", "--cache", PLACE]).contains("kernel stock: taken from oci:layout"));
    // Keys that are not trusted are found in its index.
    lab.key("mallory");
    lab.trust(&format!("mallory {}\n", lab.public("mallory")));
    let ended = lab.kiln("empty", &["challenge", "lab.kiln", PLACE, "--json"]);
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let answers = report["steps"][0]["answers"].as_array().unwrap();
    assert_eq!((answers.len(), &answers[0]["cache"]), (1, &PLACE.into()), "{report}");
    assert!(answers[0].get("signer").is_none(), "alice's key is in no list: {report}");
}

#[test]
fn a_private_layout_is_closed_to_others() {
    let Some(lab) = Lab::with_builds("layout-private") else { return };
    let private = "file \"/etc/secret\" { source = file \"kept.bin\" mode = 0o600 }";
    assert_eq!(lab.ground.lock("lab", &image(&format!("{BODY}\n{private}"), BUILDS)).code, Some(0));
    let said = lab.push("store", &["--cache", PLACE]);
    assert!(said.contains("root lab: not pushed: it is made from files that not everybody may read"), "{said}");
    lab.push("store", &["--cache", "private=oci:closed"]);
    for blob in names(&lab.path("closed/blobs/sha256")) {
        assert_eq!(blob.metadata().unwrap().permissions().mode() & 0o7777, 0o640, "{}", blob.display());
    }
    let said = lab.build("other", &["--cache", "private=oci:closed"]);
    assert!(said.contains("root lab: taken from oci:closed"), "{said}");
    // What a later push says everybody may read, everybody can; the rest stays closed, whatever else has its name.
    let private = lab.path("closed/blobs/sha256");
    let modes = || {
        let mode = |blob: &std::path::PathBuf| blob.metadata().unwrap().permissions().mode() & 0o7777;
        names(&private)
            .into_iter()
            .map(|blob| (blob.clone(), mode(&blob)))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    // Signed results, which are small, say when they were signed; what steps made is the same in every push.
    let made = |blob: &std::path::Path| blob.metadata().unwrap().len() > 16 << 10;
    let open = names(&lab.path("layout/blobs/sha256"));
    let is_open = |blob: &std::path::Path| open.iter().any(|public| public.file_name() == blob.file_name());
    let elsewhere = lab.path("elsewhere");
    let both = names(&private).into_iter().find(|blob| made(blob) && is_open(blob)).unwrap();
    std::fs::hard_link(both, &elsewhere).unwrap();
    lab.push("store", &["--cache", "oci:closed"]);
    let found = modes();
    let expected = |blob: &std::path::Path| if is_open(blob) { 0o644 } else { 0o640 };
    let wrong: Vec<_> = found.iter().filter(|(blob, mode)| made(blob) && **mode != expected(blob)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(found.values().any(|mode| *mode == 0o640) && found.values().any(|mode| *mode == 0o644));
    assert_eq!(
        elsewhere.metadata().unwrap().permissions().mode() & 0o7777,
        0o640,
        "another name of it stays as it was"
    );
    // And what is open stays so.
    lab.push("store", &["--cache", "private=oci:closed"]);
    assert_eq!(modes(), found);
}

#[test]
fn a_layout_that_is_damaged_costs_a_warning_and_the_step_is_built() {
    let Some(lab) = Lab::with_kernel("layout-hostile") else { return };
    lab.push("store", &["--cache", PLACE]);
    let whole = index(&lab);
    let write = |index: &Value| std::fs::write(lab.path("layout/index.json"), index.to_string()).unwrap();
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut changed = whole.clone();
        changed["manifests"].as_array_mut().unwrap().iter_mut().for_each(edit);
        changed
    };
    let doubled =
        [whole["manifests"].as_array().unwrap().clone(), whole["manifests"].as_array().unwrap().clone()].concat();
    let kinds = [
        ("tags twice", json!({"schemaVersion": 2, "manifests": doubled})),
        ("no list", json!({"schemaVersion": 2})),
        ("sizes", edited(&|one| one["size"] = json!(1))),
        ("digests", edited(&|one| one["digest"] = json!(format!("sha256:{}", "0".repeat(64))))),
        ("paths", edited(&|one| one["digest"] = json!("sha256:../../../etc/passwd"))),
    ];
    for (number, (kind, index)) in kinds.iter().enumerate() {
        write(index);
        let said = lab.build(&format!("built-{number}"), &["--cache", PLACE]);
        assert!(ran(&said, "kernel stock") && said.matches("warning: cache").count() == 1, "{kind}: {said}");
    }
    write(&whole);
    for blob in names(&lab.path("layout/blobs/sha256")) {
        std::fs::remove_file(&blob).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &blob).unwrap();
    }
    let said = lab.build("linked", &["--cache", PLACE]);
    assert!(ran(&said, "kernel stock") && said.matches("warning: cache").count() == 1, "{said}");
    // A push mends it; a directory of somebody else is not made a layout.
    lab.push("store", &["--cache", PLACE]);
    assert!(lab.build("mended", &["--cache", PLACE]).contains("kernel stock: taken from oci:layout"));
    std::fs::create_dir(lab.path("mine")).unwrap();
    std::fs::write(lab.path("mine/thesis"), "").unwrap();
    let ended = lab.kiln("store", &["push", "--allow-leaks", "lab.kiln", "--key", "alice", "--cache", "oci:mine"]);
    assert!(ended.code == Some(2) && names(&lab.path("mine")).len() == 1, "{}", ended.text());
}
