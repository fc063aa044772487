//! Registries and layouts of people who mean ill: each is refused with words, and leaves nothing.

use std::path::Path;
use std::process::Command;

use kiln::base::Digest;
use serde_json::{Value, json};

use super::server::{Reply, TestRegistry};
use super::{Lab, refused, run, succeed, text};

/// A change of an artifact, and what is said to it.
type Forgery = (&'static str, fn(&mut Value));

const FORGERIES: [Forgery; 16] = [
    ("that its manifest.json does not list", |it| it["layers"][1]["annotations"] = title("../../x")),
    ("that its manifest.json does not list", |it| it["layers"][1]["annotations"] = title("/etc/passwd")),
    ("that its manifest.json does not list", |it| it["layers"][1]["annotations"] = title("i.tar\n/x")),
    ("that its manifest.json does not list", |it| it["layers"][1]["annotations"] = json!({})),
    ("twice", |it| {
        let layer = it["layers"][1].clone();
        it["layers"].as_array_mut().unwrap().push(layer);
    }),
    ("is not the file that its manifest.json lists", |it| {
        it["layers"][1]["digest"] = json!(format!("sha256:{}", Digest::of(b"other")));
    }),
    ("is not the file that its manifest.json lists", |it| it["layers"][1]["size"] = json!(1)),
    ("is not the file that its manifest.json lists", |it| it["layers"][1]["size"] = json!(u64::MAX)),
    ("it has no layer `i.tar`", |it| _ = it["layers"].as_array_mut().unwrap().pop()),
    ("does not have exactly one manifest.json", |it| _ = it["layers"].as_array_mut().unwrap().remove(0)),
    ("does not have exactly one manifest.json", |it| {
        let layer = it["layers"][0].clone();
        it["layers"].as_array_mut().unwrap().push(layer);
    }),
    ("(limit 4194304)", |it| it["layers"][0]["size"] = json!(1u64 << 40)),
    ("which no artifact of kiln has", |it| it["layers"][1]["mediaType"] = json!("application/x-other")),
    ("that its QEMU does not consist of", |it| {
        it["layers"][1]["mediaType"] = json!("application/vnd.debian.binary-package");
    }),
    ("kiln did not push it", |it| it["artifactType"] = json!("application/vnd.other\u{1b}[31m")),
    ("expected a digest by SHA-256", |it| it["layers"][1]["digest"] = json!("sha256:../../x")),
];

fn title(name: &str) -> Value {
    json!({ "org.opencontainers.image.title": name })
}

/// 512 files of 256 GiB each: no disk of anybody has this.
#[test]
fn what_the_disk_of_the_store_cannot_hold_is_refused_before_it_is_fetched() {
    let lab = Lab::new("room", 1000);
    lab.push();
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(lab.path("build/manifest.json")).unwrap()).unwrap();
    let mut artifact = lab.registry.manifest("v1");
    for number in 0..512 {
        let (name, digest) = (format!("more-{number:03}"), Digest::of(format!("{number}").as_bytes()));
        manifest["artifacts"][&name] = json!({"size": 256u64 << 30, "sha256": digest.hex()});
        let layer = json!({
            "mediaType": "application/vnd.kiln.artifact.v1", "digest": format!("sha256:{digest}"), "size": 256u64 << 30,
            "annotations": title(&name),
        });
        artifact["layers"].as_array_mut().unwrap().push(layer);
    }
    let read = kiln::deliver::manifest::Manifest::read(manifest.to_string().as_bytes()).unwrap();
    let text = read.write().into_bytes();
    artifact["layers"][0]["digest"] = json!(lab.registry.add_blob(&text));
    artifact["layers"][0]["size"] = json!(text.len());
    lab.registry.replace("v1", artifact.to_string().as_bytes());
    lab.empty_store();
    lab.registry.behave();
    lab.refuses(4, &["its files that the store lacks have 128.0 TiB, and the disk of ", " free", "KILN_STORE"]);
    assert!(lab.registry.asked(&format!("GET {}", lab.blob())).is_empty());
}

#[test]
fn a_forged_artifact_is_refused_with_words_and_leaves_nothing() {
    let lab = Lab::new("forged", 1000);
    lab.push();
    let whole = lab.registry.manifest("v1");
    for (words, forge) in FORGERIES {
        lab.empty_store();
        let mut forged = whole.clone();
        forge(&mut forged);
        lab.registry.replace("v1", forged.to_string().as_bytes());
        lab.refuses(3, &[words]);
    }
    for (text, words) in [
        ("{}".to_owned(), "not a manifest"),
        ("[".to_owned(), "not a manifest"),
        (
            json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest":
            format!("sha256:{}", Digest::of(b"")), "size": 1}]})
            .to_string(),
            "an index of several images",
        ),
    ] {
        lab.registry.replace("v1", text.as_bytes());
        lab.refuses(3, &[words]);
    }
    let many: Vec<Value> = (0..10_001).map(|_| whole["layers"][1].clone()).collect();
    let mut forged = whole.clone();
    forged["layers"] = json!(many);
    lab.registry.replace("v1", forged.to_string().as_bytes());
    lab.refuses(3, &["10001 layers (limit 10000)"]);
}

/// The manifest of the build is somebody else's word as well.
#[test]
fn a_forged_manifest_of_a_build_is_refused() {
    let lab = Lab::new("forged-build", 1000);
    lab.push();
    let (whole, build) =
        (lab.registry.manifest("v1"), std::fs::read_to_string(lab.path("build/manifest.json")).unwrap());
    for (from, to, words) in [
        ("\"i.tar\": {", "\"../i.tar\": {", "is not a valid name"),
        ("\"tiny\"", "\"../tiny\"", "not as kiln writes it"),
        ("\"tiny\"", "\"a/b\"", "not as kiln writes it"),
        ("{\n", "{\n\n", "not as kiln writes it"),
        ("\"size\": 1000", "\"size\": 999", "is not the file that its manifest.json lists"),
        ("\"i\": \"i.tar\"", "\"i\": \"other.tar\"", "its files are not those of a build"),
        ("\"format\": 1", "\"format\": 2", "format 2"),
    ] {
        lab.empty_store();
        let forged = build.replacen(from, to, 1);
        assert_ne!(forged, build);
        let mut artifact = whole.clone();
        artifact["layers"][0]["digest"] = json!(lab.registry.add_blob(forged.as_bytes()));
        artifact["layers"][0]["size"] = json!(forged.len());
        if to.contains("../i.tar") {
            artifact["layers"][1]["annotations"] = title("../i.tar");
        }
        lab.registry.replace("v1", artifact.to_string().as_bytes());
        lab.refuses(3, &[words]);
    }
}

#[test]
fn bodies_that_are_not_what_was_asked_for_are_refused() {
    let lab = Lab::new("bodies", 100_000);
    lab.push();
    let blob = lab.blob();
    let reply_to = |path: String, reply: Reply| {
        lab.empty_store();
        lab.registry.behave();
        lab.registry.hook(move |request| (request.method == "GET" && request.path == path).then(|| reply.clone()));
    };
    let endless = || Reply { endless: true, ..Reply::new(200).body(vec![b' '; 1 << 16]) };
    reply_to(blob.clone(), endless());
    lab.refuses(4, &["more than the expected 100000 bytes"]);
    reply_to(blob.clone(), Reply::new(200).body(vec![0; 100_000]));
    lab.refuses(3, &["i.tar: its 100000 bytes have digest"]);
    reply_to(blob.clone(), Reply::new(200).body(vec![0; 99_999]));
    lab.refuses(4, &["has 99999 bytes, expected 100000"]);
    reply_to(blob.clone(), Reply::new(200).with("Content-Length", u64::MAX).body("x"));
    lab.refuses(4, &["expected 100000"]);
    let manifest = "/v2/team/tiny/manifests/v1".to_owned();
    reply_to(manifest.clone(), endless());
    lab.refuses(4, &["more than 4194304 bytes"]);
    reply_to(manifest.clone(), Reply { endless: true, ..Reply::new(500).body(vec![b'x'; 1 << 16]) });
    lab.refuses(4, &["http status: 500"]);
    reply_to(
        manifest.clone(),
        Reply::new(403).body("{\"errors\":[{\"code\":\"DENIED\",\"message\":\"\\u001b[31mno\"}]}"),
    );
    let output = lab.pull();
    refused(&output, 4, &["http status: 403 (DENIED: "]);
    assert!(!text(&output).contains('\u{1b}'));
    // A manifest of a digest is the one with that digest.
    let other = lab.registry.state.lock().unwrap().manifests["v1"].1.clone();
    let asked = lab.registry.reference(&format!("team/tiny@sha256:{}", Digest::of(b"x")));
    lab.registry.hook(move |request| request.path.contains("/manifests/").then(|| Reply::new(200).body(other.clone())));
    refused(&lab.kiln(&["pull", &asked]).output().unwrap(), 3, &["expected"]);
}

#[test]
fn a_registry_that_wants_to_be_left_alone_is_waited_for_and_not_for_ever() {
    let lab = Lab::new("later", 1000);
    lab.push();
    lab.empty_store();
    let later = |seconds: &'static str, times: usize| {
        let mut asked = 0;
        lab.registry.hook(move |_| {
            asked += 1;
            (asked <= times).then(|| Reply::new(429).with("Retry-After", seconds))
        });
    };
    later("99999999999", usize::MAX);
    lab.refuses(4, &["http status: 429, and asks to wait 99999999999 s"]);
    later("2", 1);
    let output = lab.pull();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("http status: 429"), "nobody is left to wonder: {}", text(&output));
}

#[test]
fn redirects_lead_neither_in_a_circle_nor_out_of_where_they_may() {
    let lab = Lab::new("circle", 1000);
    lab.push();
    lab.empty_store();
    let to = |from: &'static str, to: String| {
        lab.registry.hook(move |request| {
            (request.method == "GET" && request.path.contains(from)).then(|| Reply::new(302).with("Location", &to))
        });
    };
    for part in ["/manifests/v1", "/blobs/"] {
        to(part, format!("http://{}/again{part}", lab.registry.host()));
        lab.refuses(4, &["too many redirects"]);
        to(part, "http://169.254.169.254/latest/meta-data".to_owned());
        lab.refuses(4, &["the local link"]);
        to(part, "http://10.0.0.1/".to_owned());
        lab.refuses(4, &["a private network"]);
        to(part, "gopher://x.example/".to_owned());
        lab.refuses(4, &["redirects to"]);
    }
}

#[test]
fn a_registry_that_forgets_uploads_is_given_up() {
    let lab = Lab::new("forgets", 20 << 20);
    lab.registry.hook(|request| {
        (request.method == "PATCH").then(|| Reply::new(202).with("Location", &request.path).with("Range", "0-0"))
    });
    let output = lab.kiln(&["push", "build", &lab.reference()]).output().unwrap();
    refused(&output, 4, &["still has 0 bytes"]);
    lab.registry.hook(|request| {
        (request.method == "PATCH").then(|| Reply::new(202).with("Location", &request.path).with("Range", "0-99999999"))
    });
    let output = lab.kiln(&["push", "build", &lab.reference()]).output().unwrap();
    refused(&output, 4, &["says it has 100000000 bytes"]);
    lab.registry.hook(|request| {
        (request.method == "POST").then(|| {
            Reply::new(202).with("Location", "/v2/team/tiny/blobs/uploads/9").with("OCI-Chunk-Min-Length", u64::MAX)
        })
    });
    let output = lab.kiln(&["push", "build", &lab.reference()]).output().unwrap();
    refused(&output, 4, &["it wants pieces of"]);
}

#[test]
fn a_layout_with_links_pipes_and_other_bytes_is_refused() {
    let lab = Lab::new("layout-forged", 1000);
    let blob = format!("blobs/sha256/{}", Digest::of(&lab.image("build")));
    let refuse = |make: &dyn Fn(&Path), words: &str| {
        lab.empty_store();
        let _ = std::fs::remove_dir_all(lab.path("layout"));
        succeed(&mut lab.kiln(&["push", "build", "oci:layout:v1"]));
        make(&lab.path("layout"));
        let output = lab.kiln(&["pull", "oci:layout:v1", "-o", "out"]).output().unwrap();
        refused(&output, 3, &[words]);
        assert!(!lab.path("out").exists());
    };
    let replace = |name: &str, make: fn(&Path)| {
        let name = name.to_owned();
        move |layout: &Path| {
            let path = layout.join(&name);
            std::fs::remove_file(&path).unwrap();
            make(&path);
        }
    };
    let link = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path).unwrap();
    let pipe = |path: &Path| _ = succeed(Command::new("mkfifo").arg(path));
    let other = |path: &Path| std::fs::write(path, vec![0; 1000]).unwrap();
    let longer = |path: &Path| std::fs::write(path, vec![0; 1001]).unwrap();
    for name in ["index.json", "oci-layout", &blob] {
        refuse(&replace(name, link), "it is a symbolic link");
        refuse(&replace(name, pipe), "it is a named pipe");
    }
    refuse(&replace(&blob, other), "its 1000 bytes have digest");
    refuse(&replace(&blob, longer), "has 1001 bytes, expected 1000");
    refuse(&replace("index.json", longer), "not an index");
    let index = |layout: &Path| {
        std::fs::OpenOptions::new().write(true).open(layout.join("index.json")).unwrap().set_len(1 << 40).unwrap();
    };
    refuse(&index, "larger than 4194304 bytes");
    let twice = |layout: &Path| {
        let path = layout.join("index.json");
        let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let one = index["manifests"][0].clone();
        index["manifests"].as_array_mut().unwrap().push(one);
        std::fs::write(path, index.to_string()).unwrap();
    };
    refuse(&twice, "more than once");
    // A link in the place of a directory of the layout is none of its own.
    std::fs::remove_dir_all(lab.path("layout/blobs")).unwrap();
    std::os::unix::fs::symlink("../build", lab.path("layout/blobs")).unwrap();
    let output = lab.kiln(&["push", "build", "oci:layout:v2"]).output().unwrap();
    refused(&output, 4, &["symbolic link"]);
}

/// Artifacts with machines whose lock, manifest and packages do not belong together.
pub(super) fn forged_builds(registry: &TestRegistry, reference: &str, kiln: &dyn Fn(&[&str]) -> Command) {
    let whole = registry.manifest("v1");
    let blobs = registry.state.lock().unwrap().blobs.clone();
    let layers = whole["layers"].as_array().unwrap();
    let at = |kind: &str| layers.iter().position(|layer| layer["mediaType"] == kind).unwrap();
    let (manifest, lock, package) = (
        at("application/vnd.kiln.manifest.v1+json"),
        at("application/vnd.kiln.lock.v1+toml"),
        at("application/vnd.debian.binary-package"),
    );
    let text = |at: usize| String::from_utf8(blobs[layers[at]["digest"].as_str().unwrap()].clone()).unwrap();
    let refuse = |change: &dyn Fn(&mut Value), words: &str| {
        let mut forged = whole.clone();
        change(&mut forged);
        registry.replace("v1", forged.to_string().as_bytes());
        let ended = run(&mut kiln(&["pull", reference, "-o", "forged"]));
        assert!(ended.code == Some(3) && ended.text().contains(words), "{words}: {}", ended.text());
    };
    let put = |forged: &mut Value, at: usize, text: &str| {
        forged["layers"][at]["digest"] = json!(registry.add_blob(text.as_bytes()));
        forged["layers"][at]["size"] = json!(text.len());
    };
    for (from, to, words) in [
        ("\"recipe\": \"small\"", "\"recipe\": \"other\"", "its lock is of another recipe"),
        ("\"m\": \"tools host-tools\"", "\"m\": \"base small\"", "not unpacked from a package set"),
    ] {
        let other = text(manifest).replacen(from, to, 1);
        assert_ne!(other, text(manifest), "{from}");
        refuse(&|forged| put(forged, manifest, &other), words);
    }
    // Other digests, as long as the first.
    for (key, words) in [
        ("\"lock\": \"", "it was built from another lock"),
        ("\"tools host-tools\": \"", "its QEMU is not that of the lock"),
    ] {
        let mut other = text(manifest);
        let at = other.find(key).unwrap_or_else(|| panic!("{key}: {other}")) + key.len();
        let digit = if other.as_bytes()[at] == b'0' { "1" } else { "0" };
        other.replace_range(at..=at, digit);
        refuse(&|forged| put(forged, manifest, &other), words);
    }
    refuse(&|forged| put(forged, lock, &format!("{}\n", text(lock))), "its lock: ");
    refuse(&|forged| put(forged, lock, "x"), "its lock: ");
    refuse(&|forged| _ = forged["layers"].as_array_mut().unwrap().remove(package), "it lacks a package of its QEMU");
    refuse(&|forged| put(forged, package, "x"), "that its QEMU does not consist of");
    refuse(
        &|forged| {
            let layer = forged["layers"][lock].clone();
            forged["layers"].as_array_mut().unwrap().push(layer);
        },
        "more than one lock",
    );
    registry.replace("v1", whole.to_string().as_bytes());
}
