//! `kiln outdated`: newer versions of what is locked, which of them are security updates, and which the recipe holds back.

use serde_json::Value;

use super::archive_support::{Package, TinyArchive};
use super::failure_support::{Lab, RECIPE, archive, refused, text};

/// A release with these packages besides those that every recipe of the lab needs.
fn release(packages: &[(&str, &str)]) -> TinyArchive {
    packages.iter().fold(archive(), |archive, (name, version)| archive.package(Package::new(name, version)))
}

/// Its security suite.
fn security(packages: &[(&str, &str)]) -> TinyArchive {
    let suite = TinyArchive::new("trixie-security").repository("debian-security");
    packages.iter().fold(suite, |archive, (name, version)| archive.package(Package::new(name, version)))
}

/// A recipe that takes from both; locked at this state of them.
fn lab(name: &str, packages: &str, states: [TinyArchive; 2]) -> Lab {
    let [release, security] = states;
    let lab = Lab::unlocked(name, release, |_| {
        let security = "archive trixie-security { repository = \"debian-security\" keys = [file \"archive.asc\"] }\n";
        security.to_owned() + &RECIPE.replace("[\"payload\"]", packages)
    });
    lab.server.publish(&security);
    let locked = lab.kiln().args(["lock", "tiny.kiln"]).output().unwrap();
    assert!(locked.status.success(), "{}", text(&locked));
    lab
}

fn report(lab: &Lab, code: i32, words: &[&str]) -> Value {
    let output = lab.kiln().args(["outdated", "tiny.kiln", "--json"]).args(words).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `NAME FROM -> TO, ARCHIVE, security or not`, in order.
fn updates(report: &Value) -> Vec<String> {
    let words = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    let update = |it: &Value| {
        let security = if it["security"] == true { ", security" } else { "" };
        let [package, from, to, archive] = ["package", "from", "to", "archive"].map(|name| words(it, name));
        format!("{package} {from} -> {to} {archive}{security}")
    };
    report["packages"].as_array().unwrap().iter().map(update).collect()
}

const ASKED: &str = "[\"payload\", \"libssl\", \"bash\", \"zlib\"]";

#[test]
fn newer_versions_are_listed_with_what_is_a_security_update_and_nothing_is_written() {
    let before = [release(&[("libssl", "3.5.1-1"), ("bash", "5.2-1"), ("zlib", "1.3-1")]), security(&[])];
    let lab = lab("outdated", ASKED, before);
    let lock = std::fs::read(lab.directory.join("tiny.lock")).unwrap();
    let newest = report(&lab, 0, &[]);
    assert_eq!((updates(&newest), newest["held"].as_array().unwrap().len()), (vec![], 0));
    assert_eq!(newest["security_archives"], serde_json::json!(["trixie-security"]));
    let said = lab.kiln().args(["outdated", "tiny.kiln", "--security"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "no security updates\n");
    let said = lab.kiln().args(["outdated", "tiny.kiln"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "up to date\n");

    // libssl's fix is in the security suite alone; zlib's was taken over by the release; bash has a newer version without one.
    lab.server.publish(&release(&[("libssl", "3.5.1-1"), ("bash", "5.3-1"), ("zlib", "1.3-1+deb13u1")]));
    lab.server.publish(&security(&[("libssl", "3.5.1-1+deb13u2"), ("zlib", "1.3-1+deb13u1"), ("bash", "5.2-1")]));
    let found = report(&lab, 3, &[]);
    let expected = [
        "bash 5.2-1 -> 5.3-1 trixie",
        "libssl 3.5.1-1 -> 3.5.1-1+deb13u2 trixie-security, security",
        "zlib 1.3-1 -> 1.3-1+deb13u1 ",
    ];
    let updated = updates(&found);
    assert!(updated.iter().zip(expected).all(|(line, expected)| line.starts_with(expected)), "{updated:?}");
    assert!(updated.len() == 3 && updated[2].ends_with(", security"), "{updated:?}");
    assert_eq!(found["packages"][0]["sets"], serde_json::json!(["tiny"]));
    let urgent = report(&lab, 3, &["--security"]);
    assert_eq!(updates(&urgent), updated[1..]);
    let said = lab.kiln().args(["outdated", "tiny.kiln"]).output().unwrap();
    let said = text(&said);
    assert!(
        said.contains("security updates:\n  libssl 3.5.1-1 -> 3.5.1-1+deb13u2 (trixie-security; in tiny)\n"),
        "{said}"
    );
    assert!(said.contains("other updates:\n  bash 5.2-1 -> 5.3-1 (trixie; in tiny)\n"), "{said}");
    assert!(said.contains("error: newer versions of 3 packages, 2 for security\n"), "{said}");
    assert_eq!(std::fs::read(lab.directory.join("tiny.lock")).unwrap(), lock, "the lock is as it was");

    // What it says is what an update does.
    let moved = lab.kiln().args(["lock", "--update", "tiny.kiln"]).output().unwrap();
    assert!(text(&moved).contains("tiny: libssl 3.5.1-1 -> 3.5.1-1+deb13u2"), "{}", text(&moved));
    assert_eq!(updates(&report(&lab, 0, &[])), Vec::<String>::new());
}

#[test]
fn a_security_update_that_the_recipe_keeps_out_is_named_as_well() {
    let pinned = "[\"payload\", package \"libssl\" version \"3.5.1-1\"]";
    let lab = lab("outdated-held", pinned, [release(&[("libssl", "3.5.1-1")]), security(&[])]);
    lab.server.publish(&security(&[("libssl", "3.5.1-1+deb13u2"), ("stranger", "9")]));
    let found = report(&lab, 3, &["--security"]);
    let held = serde_json::json!([{
        "package": "libssl", "version": "3.5.1-1", "offered": "3.5.1-1+deb13u2", "archive": "trixie-security"
    }]);
    assert_eq!((updates(&found), &found["held"]), (vec![], &held));
    let said = text(&lab.kiln().args(["outdated", "tiny.kiln"]).output().unwrap());
    assert!(
        said.contains(
            "security updates that the recipe holds back:\n  libssl 3.5.1-1: trixie-security has 3.5.1-1+deb13u2\n"
        ),
        "{said}"
    );
    assert!(said.contains("error: 1 security update held back by the recipe\n"), "{said}");
}

#[test]
fn kernels_and_qemu_are_named_and_packages_that_come_and_go() {
    let kernel =
        |abi: &str| Package::new("linux-image-amd64", &format!("{abi}-1")).depends(&format!("linux-image-{abi}-amd64"));
    let state = |abi: &str, qemu: &str| {
        let mut state = release(&[]).package(kernel(abi));
        state.packages.retain(|package| package.name != "qemu-system-x86");
        if abi != "6.12.1" {
            let image = Package::new(&format!("linux-image-{abi}-amd64"), &format!("{abi}-1"));
            state.packages.push(image.file(&format!("/boot/vmlinuz-{abi}-amd64"), 0o644, b"kernel"));
        }
        state.package(Package::new("qemu-system-x86", qemu))
    };
    let lab = Lab::unlocked("outdated-kernel", state("6.12.1", "1:11.1.0-1"), |_| {
        RECIPE.replace("linux-image-6.12.1-amd64", "linux-image-amd64")
    });
    let locked = lab.kiln().args(["lock", "tiny.kiln"]).output().unwrap();
    assert!(locked.status.success(), "{}", text(&locked));
    lab.server.publish(&state("6.12.9", "1:11.1.2-1"));
    let found = report(&lab, 3, &[]);
    let kernels = serde_json::json!([{"name": "stock", "from": "6.12.1-1", "to": "6.12.9-1", "security": false}]);
    assert_eq!(found["kernels"], kernels);
    let machines = serde_json::json!([{"name": "m", "from": "11.1.0", "to": "11.1.2", "security": false}]);
    assert_eq!(found["machines"], machines);
    assert_eq!(
        (&found["added"][0]["package"], &found["removed"][0]["package"]),
        (&"linux-image-6.12.9-amd64".into(), &"linux-image-6.12.1-amd64".into())
    );
    let security = report(&lab, 0, &["--security"]);
    assert!(security["kernels"].as_array().unwrap().is_empty());
    // No archive of security updates was asked, so nobody can say that there are none.
    assert_eq!(security["security_archives"], serde_json::json!([]));
    let said = lab.kiln().args(["outdated", "tiny.kiln", "--security"]).output().unwrap();
    assert!(said.status.success() && said.stdout.is_empty(), "{}", text(&said));
    assert!(text(&said).contains("warning: the recipe uses no archive of security updates"), "{}", text(&said));
}

#[test]
fn without_a_lock_or_a_mirror_there_is_no_answer() {
    let lab = lab("outdated-none", "[\"payload\"]", [release(&[]), security(&[])]);
    refused(&lab.kiln().args(["outdated", "tiny.kiln", "--source", "stock=."]).output().unwrap(), 2, &["--source"]);
    let mut kiln = lab.kiln();
    kiln.args(["outdated", "tiny.kiln"])
        .env("KILN_MIRROR", "http://127.0.0.1:9")
        .env("KILN_STORE", lab.directory.join("empty"));
    refused(&kiln.output().unwrap(), 4, &["InRelease"]);
    std::fs::remove_file(lab.directory.join("tiny.lock")).unwrap();
    refused(&lab.kiln().args(["outdated", "tiny.kiln"]).output().unwrap(), 1, &["no lock found"]);
}
