//! Which artifact a reference names, and from what a push takes a tag: in registries and image layouts alike.

use serde_json::json;

use super::server::Reply;
use super::{Lab, refused, succeed, text};

fn digest(said: &str) -> String {
    said.lines().find_map(|line| line.strip_prefix("digest ")).unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn a_digest_names_an_artifact_of_a_layout_also_after_its_tag_has_moved() {
    let lab = Lab::new("layout-digest", 1000);
    let first = digest(&succeed(&mut lab.kiln(&["push", "build", "oci:layout:v1"])));
    let image = lab.image("build");
    lab.deliver("build", 2000);
    let second = digest(&succeed(&mut lab.kiln(&["push", "build", "oci:layout:v1"])));
    assert_ne!(first, second);
    for (reference, found) in [
        (format!("oci:layout@{first}"), &first),
        (format!("oci:layout:v1@{first}"), &first),
        (format!("oci:layout@{second}"), &second),
        ("oci:layout:v1".to_owned(), &second),
    ] {
        lab.empty_store();
        let said = succeed(&mut lab.kiln(&["pull", &reference, "-o", "out"]));
        assert_eq!(digest(&said), **found, "{reference}");
        assert!(said.contains(&format!("pulled {reference}: ")), "{said}");
        assert_eq!(lab.image("out") == image, *found == first, "{reference}");
    }
    let none = format!("oci:layout@sha256:{}", "0".repeat(64));
    refused(&lab.kiln(&["pull", &none, "-o", "none"]).output().unwrap(), 4, &["no such artifact"]);
    // A blob that is no build is refused as what it is, and one with other bytes by its digest.
    let image = format!("oci:layout@sha256:{}", kiln::base::Digest::of(&image));
    refused(&lab.kiln(&["pull", &image, "-o", "none"]).output().unwrap(), 3, &["not a manifest"]);
    let blob = lab.path("layout/blobs/sha256").join(first.strip_prefix("sha256:").unwrap());
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[0] = b' ';
    std::fs::write(&blob, bytes).unwrap();
    let damaged = lab.kiln(&["pull", &format!("oci:layout@{first}"), "-o", "none"]).output().unwrap();
    refused(&damaged, 3, &["have digest"]);
    std::fs::remove_file(&blob).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &blob).unwrap();
    let link = lab.kiln(&["pull", &format!("oci:layout@{first}"), "-o", "none"]).output().unwrap();
    refused(&link, 3, &["link"]);
    assert!(!lab.path("none").exists());
    for (reference, words) in [
        ("oci:layout@sha256:00".to_owned(), "64 digits"),
        (format!("oci:layout@sha512:{}", "0".repeat(128)), "64 digits"),
    ] {
        refused(&lab.kiln(&["pull", &reference]).output().unwrap(), 2, &[words]);
    }
}

#[test]
fn nothing_is_written_to_a_digest() {
    let lab = Lab::new("digest-push", 1000);
    let digest = digest(&succeed(&mut lab.kiln(&["push", "build", "oci:layout"])));
    for words in [
        vec!["push", "build"],
        vec!["push", "build", "--force"],
        vec!["export", "build", "--format", "oci", "--force", "-o"],
    ] {
        let reference = format!("oci:layout@{digest}");
        refused(&lab.kiln(&[words.as_slice(), &[&reference]].concat()).output().unwrap(), 2, &["name a tag"]);
    }
}

#[test]
fn a_tag_is_taken_from_an_earlier_build_of_the_recipe_alone() {
    let lab = Lab::new("tag-taken", 1000);
    let others = json!({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": "sha256:00", "size": 2}, "layers": []});
    let push = |place: &str, words: &[&str]| lab.kiln(&[&["push", "build", place], words].concat()).output().unwrap();
    let registry = lab.reference();
    for place in ["oci:layout:v1", &registry] {
        let is_layout = place.starts_with("oci:");
        let stranger = |text: &[u8]| match is_layout {
            false => lab.registry.replace("v1", text),
            true => {
                let name = kiln::base::Digest::of(text).hex();
                std::fs::write(lab.path("layout/blobs/sha256").join(&name), text).unwrap();
                let index = json!({"schemaVersion": 2, "manifests": [{
                    "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha256:{name}"),
                    "size": text.len(), "annotations": {"org.opencontainers.image.ref.name": "v1"}}]});
                std::fs::write(lab.path("layout/index.json"), index.to_string()).unwrap();
            }
        };
        lab.deliver("build", 1000);
        succeed(&mut lab.kiln(&["push", "build", place]));
        lab.deliver("build", 2000);
        let said = push(place, &[]);
        assert!(said.status.success(), "a newer build takes the tag: {}", text(&said));
        let other = std::fs::read_to_string(lab.path("build/manifest.json")).unwrap().replace("\"tiny\"", "\"other\"");
        std::fs::write(lab.path("build/manifest.json"), other).unwrap();
        refused(&push(place, &[]), 2, &["tag `v1` stands for a build of recipe `tiny`", "--force"]);
        lab.empty_store();
        let kept = succeed(&mut lab.kiln(&["pull", place, "-o", "out"]));
        assert!(kept.contains(&format!("pulled {place}")) && lab.image("out").len() == 2000, "{kept}");
        assert!(push(place, &["--force"]).status.success());
        for foreign in [others.to_string().as_bytes(), b"{}", b"\xff"] {
            stranger(foreign);
            refused(&push(place, &[]), 2, &["something that is no build pushed by kiln", "--force"]);
        }
        let said = push(place, &["--force"]);
        assert!(said.status.success() && push(place, &[]).status.success(), "{}", text(&said));
    }
    for option in [&["--force"][..], &["--attach", "bill.json"]] {
        let words = [&["push", "build", "--cache", "c", "--key", "k"], option].concat();
        refused(&lab.kiln(&words).output().unwrap(), 2, &[&format!("{} is for a reference", option[0])]);
    }
}

#[test]
fn a_container_image_that_kiln_has_exported_keeps_its_tag() {
    let lab = Lab::new("tag-exported", 1000);
    lab.deliver_image("disk", super::super::export::FILES.to_vec());
    std::fs::rename(lab.path("disk/i.tar"), lab.path("disk/i.qcow2")).unwrap();
    let manifest = std::fs::read_to_string(lab.path("disk/manifest.json")).unwrap();
    std::fs::write(lab.path("disk/manifest.json"), manifest.replace("i.tar", "i.qcow2")).unwrap();
    let export = |words: &[&str]| {
        let words = [&["export", "disk", "--format", "containerdisk", "-o", "oci:clay:t1"], words].concat();
        lab.kiln(&words).output().unwrap()
    };
    let said = export(&[]);
    assert!(said.status.success(), "{}", text(&said));
    let index = std::fs::read(lab.path("clay/index.json")).unwrap();
    let push = |place: &str| lab.kiln(&["push", "build", place]).output().unwrap();
    refused(&push("oci:clay:t1"), 2, &["tag `t1` stands for something that is no build", "--force"]);
    assert_eq!(std::fs::read(lab.path("clay/index.json")).unwrap(), index);
    let said = push("oci:clay:t2");
    assert!(said.status.success(), "{}", text(&said));
    // An export does not take the tag of an image that cannot be read either.
    for name in std::fs::read_dir(lab.path("clay/blobs/sha256")).unwrap() {
        std::fs::write(name.unwrap().path(), "damaged").unwrap();
    }
    refused(&export(&[]), 2, &["has an image with tag `t1` already"]);
    let said = export(&["--force"]);
    assert!(said.status.success(), "{}", text(&said));
}

#[test]
fn a_push_does_not_undo_another_that_moved_the_tag_meanwhile() {
    let lab = Lab::new("tag-race", 1000);
    lab.push();
    let first = lab.registry.manifest("v1");
    let mut moved = first.clone();
    moved["annotations"]["dev.kiln.manifest"] = json!("of another build");
    let (moved, mut sent) = (moved.to_string(), false);
    lab.registry.hook(move |request| {
        sent |= request.method == "POST";
        let is_asked = sent && request.method != "PUT" && request.path.ends_with("/manifests/v1");
        is_asked.then(|| {
            let digest = format!("sha256:{}", kiln::base::Digest::of(moved.as_bytes()));
            let reply = Reply::new(200).with("Content-Type", "application/vnd.oci.image.manifest.v1+json");
            reply.with("Docker-Content-Digest", digest).body(moved.clone())
        })
    });
    lab.deliver("build", 2000);
    let push = |words: &[&str]| lab.kiln(&[&["push", "build", &lab.reference()], words].concat()).output().unwrap();
    refused(&push(&[]), 4, &["tag `v1` was moved meanwhile", "run the command again"]);
    assert_eq!(lab.registry.manifest("v1"), first, "nothing is undone");
    assert!(push(&["--force"]).status.success());
    lab.registry.behave();
    lab.deliver("build", 3000);
    assert!(push(&[]).status.success());
}

#[test]
fn what_a_pull_would_refuse_is_not_pushed() {
    let lab = Lab::new("odd-name", 1000);
    let manifest = std::fs::read_to_string(lab.path("build/manifest.json")).unwrap();
    std::fs::write(lab.path("build/manifest.json"), manifest.replace("\"tiny\"", "\"a b\"")).unwrap();
    let said = lab.kiln(&["push", "build", "oci:layout:v1"]).output().unwrap();
    refused(&said, 3, &["its manifest is of recipe `a b`", "no recipe has such a name"]);
    assert!(!lab.path("layout").exists());
}

#[test]
fn who_asks_for_a_tag_that_is_not_there_hears_which_are() {
    let lab = Lab::new("tags-named", 1000);
    // Registries without a list of referrers have tags for them, which are no builds.
    lab.registry.state.lock().unwrap().referrers = false;
    let sbom = lab.path("sbom.json");
    std::fs::write(&sbom, r#"{"spdxVersion":"SPDX-2.3"}"#).unwrap();
    for tag in ["v1", "v2"] {
        succeed(&mut lab.kiln(&["push", "build", &format!("oci:layout:{tag}")]));
        let reference = lab.registry.reference(&format!("team/tiny:{tag}"));
        succeed(&mut lab.kiln(&["push", "build", &reference, "--attach", sbom.to_str().unwrap()]));
    }
    let missing = lab.registry.reference("team/tiny:v3");
    for reference in ["oci:layout", "oci:layout:v3", &missing] {
        let output = lab.kiln(&["pull", reference]).output().unwrap();
        refused(&output, 4, &["no such artifact", "its tags: v1, v2\n"]);
    }
    // One that does not say is not asked again, and what it says is no line of its own.
    for body in ["{}", "{\"tags\":null}", "none"] {
        let body = body.to_owned();
        lab.registry
            .hook(move |request| request.path.ends_with("/tags/list").then(|| Reply::new(200).body(body.clone())));
        let said = text(&lab.kiln(&["pull", &missing]).output().unwrap());
        assert!(said.contains("no such artifact\n") && !said.contains("help"), "{said}");
    }
    let body = json!({"tags": ["a\n::error::b", "\u{1b}[31m"]}).to_string();
    lab.registry.hook(move |request| request.path.ends_with("/tags/list").then(|| Reply::new(200).body(body.clone())));
    let said = text(&lab.kiln(&["pull", &missing]).output().unwrap());
    assert!(said.contains("its tags: a") && !said.contains('\u{1b}') && !said.contains("\n::error"), "{said}");
}

#[test]
fn two_pulls_into_one_directory_leave_one_whole_build() {
    let lab = Lab::new("pulls-at-once", 1000);
    let reference = |tag: &str| lab.registry.reference(&format!("team/tiny:{tag}"));
    let mut images = Vec::new();
    for (tag, bytes) in [("v1", 300_000), ("v2", 200_000)] {
        lab.deliver("build", bytes);
        images.push(lab.image("build"));
        succeed(&mut lab.kiln(&["push", "build", &reference(tag)]));
    }
    for round in 0..8 {
        // Into a new directory, and into one with an earlier build.
        if round % 2 == 0 {
            lab.empty_store();
        }
        let pulls = ["v1", "v2"].map(|tag| {
            let mut pull = lab.kiln(&["pull", &reference(tag), "-o", "out"]);
            pull.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        });
        let ended = pulls.map(|pull| pull.wait_with_output().unwrap());
        assert!(ended.iter().any(|output| output.status.success()), "{}", text(&ended[0]));
        for output in ended.iter().filter(|output| !output.status.success()) {
            assert!(text(output).contains("error: "), "{}", text(output));
        }
        succeed(&mut lab.kiln(&["verify", "out"]));
        assert!(images.contains(&lab.image("out")), "round {round}");
    }
}
