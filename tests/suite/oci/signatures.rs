//! Signatures that travel with an artifact: through registries that list referrers, those that do not, and layouts.

use std::process::Command;

use kiln::base::{Digest, Timestamp};
use kiln::deliver::manifest::Manifest;
use kiln::deliver::statement::BuildStatement;
use serde_json::json;

use super::{Lab, refused, succeed, text};

/// A lab whose build `alice` has signed, who is trusted; `None` without ssh-keygen.
fn signed(name: &str) -> Option<Lab> {
    if !super::super::live::judge("ssh-keygen") {
        return None;
    }
    let lab = Lab::new(name, 1000);
    for key in ["alice", "mallory"] {
        succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(lab.path(key)));
    }
    let public = std::fs::read_to_string(lab.path("alice.pub")).unwrap();
    std::fs::create_dir_all(lab.path(".config/kiln")).unwrap();
    std::fs::write(lab.path(".config/kiln/trusted-keys"), format!("alice {public}")).unwrap();
    succeed(&mut lab.kiln(&["sign", "build", "--key", "alice"]));
    Some(lab)
}

#[test]
fn a_signature_travels_with_what_it_is_of() {
    let Some(lab) = signed("signed") else { return };
    for listed in [true, false] {
        lab.registry.state.lock().unwrap().referrers = listed;
        lab.registry.state.lock().unwrap().manifests.clear();
        let said = lab.push();
        assert!(said.contains("with its signature"), "{said}");
        lab.push();
        let digest = Digest::of(&lab.registry.state.lock().unwrap().manifests["v1"].1);
        let fallback = lab.registry.state.lock().unwrap().manifests.get(&format!("sha256-{digest}")).cloned();
        assert_eq!(fallback.is_some(), !listed, "the tag is for registries that list nothing");
        if let Some((_, index)) = fallback {
            let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
            assert_eq!(index["manifests"].as_array().unwrap().len(), 1, "a signature is listed once: {index}");
        }
        lab.empty_store();
        let output = lab.pull();
        assert!(output.status.success() && text(&output).contains("signed by alice\n"), "{}", text(&output));
        succeed(&mut lab.kiln(&["verify", "--signed", "out", "--recipe-name", "tiny"]));
    }
    succeed(&mut lab.kiln(&["push", "build", "oci:layout:v1"]));
    lab.empty_store();
    let said = succeed(&mut lab.kiln(&["pull", "oci:layout:v1", "-o", "out"]));
    assert!(said.contains("signed by alice\n"), "{said}");
    // Whoever trusts nobody gets the signature as well, and is told.
    std::fs::remove_file(lab.path(".config/kiln/trusted-keys")).unwrap();
    let said = succeed(&mut lab.kiln(&["pull", "oci:layout:v1", "-o", "out"]));
    assert!(said.contains("signed by a key that is not trusted"), "{said}");
    assert!(lab.path("out/signed.json.sig").exists());
    succeed(&mut lab.kiln(&["verify", "out"]));
}

#[test]
fn newer_signatures_of_strangers_do_not_hide_a_trusted_one() {
    let Some(lab) = signed("strangers") else { return };
    lab.push();
    // Mallory may push as well: a newer signature, some that are of another build, and some that are none.
    let manifest = Manifest::read(&std::fs::read(lab.path("build/manifest.json")).unwrap()).unwrap();
    let signed = BuildStatement::of(&manifest, Timestamp(4_000_000_000), None);
    std::fs::write(lab.path("build/signed.json"), signed.write()).unwrap();
    std::fs::remove_file(lab.path("build/signed.json.sig")).unwrap();
    let mut sign = Command::new("ssh-keygen");
    succeed(sign.args(["-Y", "sign", "-n", "kiln", "-f"]).arg(lab.path("mallory")).arg(lab.path("build/signed.json")));
    lab.push();
    let subject = lab.registry.state.lock().unwrap().manifests["v1"].1.clone();
    let digest = format!("sha256:{}", Digest::of(&subject));
    let statement = lab.registry.add_blob(b"{}");
    let huge = json!({"mediaType": "application/vnd.kiln.statement.v1+json", "digest": statement, "size": 1u64 << 50,
        "annotations": {"org.opencontainers.image.title": "signed.json"}});
    let config = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": statement, "size": 2});
    let mut wrong_size = huge.clone();
    wrong_size["size"] = json!(3);
    let mut missing = huge.clone();
    missing["digest"] = json!(format!("sha256:{}", Digest::of(b"missing")));
    missing["size"] = json!(7);
    let many = (0..40).map(|number| json!([{"mediaType": "x", "digest": statement, "size": number}]));
    for layers in [json!([]), json!([huge]), json!("x"), json!([wrong_size]), json!([missing])].into_iter().chain(many)
    {
        let junk = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.kiln.signature.v1", "config": config, "layers": layers,
            "subject": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": subject.len()}});
        lab.registry.replace("junk", junk.to_string().as_bytes());
    }
    lab.empty_store();
    let output = lab.pull();
    assert!(output.status.success() && text(&output).contains("signed by alice\n"), "{}", text(&output));
}

#[test]
fn a_signature_of_another_build_is_not_pushed() {
    let Some(lab) = signed("other") else { return };
    lab.deliver("build", 2000);
    let output = lab.kiln(&["push", "build", &lab.reference()]).output().unwrap();
    refused(&output, 3, &["the signature is of another build"]);
}

#[test]
fn a_pull_that_asks_for_a_signature_takes_nothing_else() {
    let Some(lab) = signed("needed") else { return };
    lab.push();
    let pull = |words: &[&str]| {
        let reference = lab.reference();
        let words = [&["pull", &reference, "-o", "out", "--signed"], words].concat();
        lab.kiln(&words).output().unwrap()
    };
    lab.empty_store();
    assert!(pull(&[]).status.success());
    // A refusal of the same build leaves what lies beside it.
    let public = std::fs::read(lab.path(".config/kiln/trusted-keys")).unwrap();
    let mallory = std::fs::read_to_string(lab.path("mallory.pub")).unwrap();
    std::fs::write(lab.path(".config/kiln/trusted-keys"), format!("mallory {mallory}")).unwrap();
    let beside = ["kiln.lock", "signed.json", "signed.json.sig"].map(|name| lab.path("out").join(name));
    for path in &beside {
        std::fs::write(path, "mine").unwrap();
    }
    refused(&pull(&[]), 3, &["signed by a key that is not trusted"]);
    assert!(beside.iter().all(|path| std::fs::read(path).unwrap() == b"mine"));
    std::fs::write(lab.path(".config/kiln/trusted-keys"), public).unwrap();
    // A newer build of a stranger does not take the place of the signed one.
    let signed = lab.image("out");
    lab.deliver("build", 2000);
    for name in ["signed.json", "signed.json.sig"] {
        std::fs::remove_file(lab.path("build").join(name)).unwrap();
    }
    lab.push();
    refused(&pull(&[]), 3, &["no signature came with it"]);
    succeed(&mut lab.kiln(&["sign", "build", "--key", "mallory"]));
    lab.push();
    refused(&pull(&[]), 3, &["signed by a key that is not trusted"]);
    assert_eq!(lab.image("out"), signed);
    std::fs::remove_dir_all(lab.path("out")).unwrap();
    refused(&pull(&[]), 3, &[&format!("{}: signed by a key that is not trusted", lab.reference())]);
    assert!(!lab.path("out").exists());
    let public = std::fs::read_to_string(lab.path("mallory.pub")).unwrap();
    std::fs::write(lab.path("keys"), format!("mallory {public}")).unwrap();
    let output = pull(&["--trusted-keys", "keys"]);
    assert!(output.status.success() && text(&output).contains("signed by mallory\n"), "{}", text(&output));
    // A signature that was accepted stays where the registry has lost it.
    lab.registry.state.lock().unwrap().manifests.retain(|name, _| name == "v1");
    let output = pull(&["--trusted-keys", "keys"]);
    assert!(output.status.success() && text(&output).contains("signed by mallory\n"), "{}", text(&output));
}

#[test]
fn a_run_that_asks_for_a_signature_starts_nothing_else() {
    let Some(lab) = signed("run") else { return };
    lab.push();
    succeed(&mut lab.kiln(&["push", "build", "oci:layout:v1"]));
    let run = |what: &str, words: &[&str]| lab.kiln(&[&["run", what, "--signed"], words].concat()).output().unwrap();
    let (reference, no_machine) = (lab.reference(), ["tiny has no machine"]);
    let public = std::fs::read_to_string(lab.path("alice.pub")).unwrap();
    std::fs::write(lab.path("keys"), format!("alice {public}")).unwrap();
    // This build has no machine, which is found out after whose it is.
    for what in [&reference, "oci:layout:v1", "result/tiny", "build"] {
        refused(&run(what, &[]), 2, &no_machine.map(|words| if what == "build" { "has no machine" } else { words }));
        refused(&run(what, &["--print"]), 2, &["has no machine"]);
    }
    std::fs::remove_file(lab.path(".config/kiln/trusted-keys")).unwrap();
    for what in [&reference, "oci:layout:v1", "result/tiny", "build"] {
        refused(&run(what, &["--trusted-keys", "keys"]), 2, &["has no machine"]);
        assert!(!text(&run(what, &[])).contains("has no machine"), "nobody is trusted");
    }
    let mallory = std::fs::read_to_string(lab.path("mallory.pub")).unwrap();
    std::fs::write(lab.path(".config/kiln/trusted-keys"), format!("mallory {mallory}")).unwrap();
    for what in [&reference, "oci:layout:v1", "result/tiny", "build"] {
        refused(&run(what, &[]), 3, &["signed by a key that is not trusted"]);
        refused(&run(what, &["--print"]), 3, &["signed by a key that is not trusted"]);
    }
    for directory in ["build", "result/tiny"] {
        for name in ["signed.json", "signed.json.sig"] {
            std::fs::remove_file(lab.path(directory).join(name)).unwrap();
        }
        refused(&run(directory, &["--trusted-keys", "keys"]), 3, &["it has no signed.json"]);
        // Without `--signed`, keys would be for caches, which nobody asks for a directory.
        let unasked = lab.kiln(&["run", directory, "--trusted-keys", "keys"]).output().unwrap();
        refused(&unasked, 2, &["--trusted-keys has no effect"]);
    }
    std::fs::write(lab.path("tiny.kiln"), "").unwrap();
    for words in [&[][..], &["--relock-gone"], &["--print"]] {
        refused(&run("tiny.kiln", words), 2, &["--signed is for a reference", "tiny.kiln is neither"]);
    }
}

/// Whoever has signed what they pulled does not lose that to an older signature by pulling again.
#[test]
fn a_newer_signature_that_is_there_stays() {
    let Some(lab) = signed("newer") else { return };
    lab.push();
    lab.empty_store();
    assert!(text(&lab.pull()).contains("signed by alice\n"));
    let keys = ["alice", "mallory"].map(|name| {
        let public = std::fs::read_to_string(lab.path(&format!("{name}.pub"))).unwrap();
        format!("{name} {public}")
    });
    std::fs::write(lab.path(".config/kiln/trusted-keys"), keys.concat()).unwrap();
    let manifest = Manifest::read(&std::fs::read(lab.path("out/manifest.json")).unwrap()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let statement = BuildStatement::of(&manifest, Timestamp(now as i64 + 3600), None);
    std::fs::write(lab.path("out/signed.json"), statement.write()).unwrap();
    std::fs::remove_file(lab.path("out/signed.json.sig")).unwrap();
    let mut sign = Command::new("ssh-keygen");
    succeed(sign.args(["-Y", "sign", "-n", "kiln", "-f"]).arg(lab.path("mallory")).arg(lab.path("out/signed.json")));
    let said = text(&lab.pull());
    assert!(said.contains("signed by mallory\n"), "{said}");
    assert_eq!(std::fs::read_to_string(lab.path("out/signed.json")).unwrap(), statement.write());
}
