//! Disks for other hypervisors and container images: the same bytes from any format of the disk, read by others.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use kiln::base::{Digest, Timestamp};
use serde_json::Value;

use super::{Lab, disk, entries};
use crate::suite::failure_support::{refused, text};
use crate::suite::live::judge;

/// What `qemu-img` says of a file.
fn qemu_img(lab: &Lab, words: &[&str]) -> String {
    let output = Command::new("qemu-img").args(words).current_dir(lab.path("")).output().unwrap();
    assert!(output.status.success(), "qemu-img {words:?}: {}", text(&output));
    text(&output)
}

#[test]
fn disks_of_other_hypervisors_are_the_disk_and_the_same_file_everywhere() {
    for (format, driver) in [("vhd", "vpc"), ("vmdk", "vmdk")] {
        let lab = Lab::new(format);
        let written = lab.exported(format, "disk");
        lab.deliver(&[("files.raw", &disk())]);
        assert!(lab.exported(format, "again") == written, "{format} of the same disk, delivered as raw");
        if !judge("qemu-img") {
            return;
        }
        qemu_img(&lab, &["compare", "-f", driver, "-F", "raw", "disk", "build/files.raw"]);
        assert!(qemu_img(&lab, &["info", "-f", driver, "disk"]).contains("virtual size: 8 MiB (8388608 bytes)"));
        if driver == "vmdk" {
            assert!(qemu_img(&lab, &["check", "-f", driver, "disk"]).contains("No errors were found"));
        }
    }
}

#[test]
fn whoever_waits_for_a_disk_is_told_how_far_it_is() {
    for (format, words) in [("raw", "raw disk"), ("vhd", "VHD"), ("vmdk", "VMDK")] {
        let lab = Lab::new(&format!("told-{format}"));
        let output = lab.export(format, &["-o", "out"]);
        assert!(output.status.success(), "{}", text(&output));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!(" as {words}\n")), "{said}");
        let told: Vec<&str> = said.lines().filter(|line| line.starts_with("export: ")).collect();
        assert!(
            !told.is_empty() && told.len() <= 10 && told.iter().all(|line| line.ends_with(" of 8.0 MiB")),
            "{said}"
        );
    }
}

#[test]
fn identities_follow_from_the_content_alone() {
    let identity = |bytes: &[u8], format: &str| {
        let lab = Lab::new(&format!("identity-{format}"));
        lab.deliver(&[("files.raw", bytes)]);
        let written = lab.exported(format, "disk");
        match format {
            "vhd" => written[68..84].to_vec(),
            _ => written[512..].split(|byte| *byte == b'\n').nth(2).unwrap().to_vec(),
        }
    };
    let mut changed = disk();
    *changed.last_mut().unwrap() = 1;
    for format in ["vhd", "vmdk"] {
        assert_eq!(identity(&disk(), format), identity(&disk(), format));
        assert_ne!(identity(&disk(), format), identity(&changed, format), "{format}");
    }
}

#[test]
fn what_a_format_cannot_hold_is_refused() {
    let lab = Lab::new("unfit");
    lab.deliver(&[("d.raw", &[1; 1000])]);
    for format in ["vhd", "vmdk"] {
        refused(&lab.export(format, &["-o", "out"]), 2, &["d.raw has 1000 bytes", "whole sectors"]);
    }
    assert!(lab.names().is_empty(), "{:?}", lab.names());
}

/// The configuration and the layer of the only image of an archive, each compared with the digest that names it.
fn image(archive: &[u8]) -> (Value, Vec<u8>) {
    let found = entries(archive);
    let blob = |descriptor: &Value| {
        let hex = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let bytes = found[&format!("/blobs/sha256/{hex}")].1.clone();
        assert_eq!(
            (Digest::of(&bytes).to_string(), bytes.len() as u64),
            (hex.to_owned(), descriptor["size"].as_u64().unwrap())
        );
        bytes
    };
    let json = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap() };
    assert_eq!(json(&found["/oci-layout"].1)["imageLayoutVersion"], "1.0.0");
    let index = json(&found["/index.json"].1);
    assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "latest");
    let manifest = json(&blob(&index["manifests"][0]));
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
    let (config, layer) = (json(&blob(&manifest["config"])), blob(&manifest["layers"][0]));
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", Digest::of(&layer)));
    assert_eq!((&config["architecture"], &config["os"]), (&"amd64".into(), &"linux".into()));
    assert_eq!(found.len(), 7, "nothing else is in it: {:?}", found.keys());
    (config, layer)
}

#[test]
fn a_container_image_has_the_root_file_system_as_its_one_layer() {
    let lab = Lab::new("oci");
    let archive = lab.exported("oci", "image.tar");
    let (config, layer) = image(&archive);
    let root = lab.exported("tar", "root.tar");
    assert!(layer == root);
    assert_eq!(config["config"]["Cmd"][0], "/usr/bin/bash");
    let newest = entries(&layer).values().map(|(entry, _)| entry.mtime).max().unwrap();
    assert_eq!(config["created"], Timestamp(newest).to_string());
    // The image of an archive is the same.
    lab.deliver(&[("root.tar", &root)]);
    let output = lab.export("oci", &["-o", "again.tar", "--json"]);
    assert!(output.status.success() && std::fs::read(lab.path("again.tar")).unwrap() == archive, "{}", text(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let index: Value = serde_json::from_slice(&entries(&archive)["/index.json"].1).unwrap();
    assert_eq!(index["manifests"][0]["digest"], format!("sha256:{}", told["manifest"].as_str().unwrap()));
}

#[test]
fn a_container_disk_is_as_kubevirt_documents_it() {
    let lab = Lab::new("containerdisk");
    let (_, layer) = image(&lab.exported("containerdisk", "image.tar"));
    let found = entries(&layer);
    let (entry, content) = &found["/disk/files.qcow2"];
    assert_eq!((entry.mode, entry.uid, entry.gid, found.len()), (0o440, 107, 107, 2));
    assert!(*content == super::FILES, "a qcow2 is taken as it was delivered");
    lab.deliver(&[("files.raw", &disk())]);
    let (_, layer) = image(&lab.exported("containerdisk", "raw.tar"));
    std::fs::write(lab.path("disk.qcow2"), &entries(&layer)["/disk/files.qcow2"].1).unwrap();
    if judge("qemu-img") {
        qemu_img(&lab, &["compare", "-f", "qcow2", "-F", "raw", "disk.qcow2", "build/files.raw"]);
    }
    lab.deliver(&[("root.tar", &[0; 1024])]);
    refused(&lab.export("containerdisk", &["-o", "none"]), 2, &["is an archive, not a disk"]);
    refused(&lab.export("oci", &["-o", "none"]), 5, &["none of its programs"]);
}

#[test]
fn a_container_image_is_listed_in_a_layout_beside_others() {
    let lab = Lab::new("layout");
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let archived = json(&entries(&lab.exported("oci", "image.tar"))["/index.json"].1);
    let output = lab.export("oci", &["-o", "oci:layout:v1", "--json"]);
    assert!(output.status.success(), "{}", text(&output));
    let told = json(&output.stdout);
    assert_eq!(archived["manifests"][0]["digest"], format!("sha256:{}", told["manifest"].as_str().unwrap()));
    assert_eq!(told["sha256"], told["manifest"]);
    let output = lab.export("containerdisk", &["-o", "oci:layout"]);
    assert!(output.status.success(), "{}", text(&output));
    let tags = || {
        let index = json(&std::fs::read(lab.path("layout/index.json")).unwrap());
        let tag = |one: &Value| one["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().to_owned();
        index["manifests"].as_array().unwrap().iter().map(tag).collect::<Vec<_>>()
    };
    assert_eq!(tags(), ["v1", "latest"]);

    // The tag of another is taken only where that is asked for.
    refused(&lab.export("oci", &["-o", "oci:layout:v1"]), 2, &["has an image with tag `v1` already", "--force"]);
    assert!(lab.export("containerdisk", &["-o", "oci:layout:v1", "--force"]).status.success());
    assert_eq!(tags(), ["latest", "v1"]);
    for format in ["raw", "tar", "vhd", "vmdk"] {
        refused(&lab.export(format, &["-o", "oci:layout:x"]), 2, &["which takes container images"]);
    }
    refused(&lab.export("oci", &["-o", "oci:"]), 2, &["names no directory"]);

    // Every blob is what its name says, closed to others, and nothing else is left.
    for entry in std::fs::read_dir(lab.path("layout/blobs/sha256")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        assert_eq!(Digest::of(&std::fs::read(entry.path()).unwrap()).hex(), name);
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o7777, 0o600, "{name}");
    }
    let mut names: Vec<_> =
        std::fs::read_dir(lab.path("layout")).unwrap().map(|one| one.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["blobs", "index.json", "oci-layout"]);
    std::fs::create_dir(lab.path("mine")).unwrap();
    std::fs::write(lab.path("mine/thesis"), "").unwrap();
    refused(&lab.export("oci", &["-o", "oci:mine"]), 2, &["mine"]);
    assert_eq!(std::fs::read_dir(lab.path("mine")).unwrap().count(), 1);
}
