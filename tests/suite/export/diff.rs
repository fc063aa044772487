//! `kiln diff` of images: the files of two disks, archives and result directories.

use kiln::base::Digest;
use kiln::format::tar::{TarEntry, TarEntryKind, TarPath, TarWriter};

use super::{FILES, Lab, entries};
use crate::suite::failure_support::{refused, text};

/// Adds a kernel that no machine uses to a build, which was configured like this.
fn configure(lab: &Lab, build: &str, config: &str) {
    let path = lab.path(build).join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let digest = Digest::of(config.as_bytes());
    manifest["artifacts"]["small.config"] = serde_json::json!({ "size": config.len(), "sha256": digest });
    manifest["kernels"]["small"] = serde_json::json!(["small.config"]);
    std::fs::write(lab.path(build).join("small.config"), config).unwrap();
    std::fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
}

/// The archive of the fixture's files with some of them changed.
fn changed(archive: &[u8]) -> Vec<u8> {
    let mut files: Vec<(TarEntry, Vec<u8>)> = entries(archive).into_values().collect();
    files.retain(|(entry, _)| entry.path.to_string() != "/usr/short");
    for (entry, content) in &mut files {
        match entry.path.to_string().as_str() {
            "/etc/hostname" => {
                *content = b"another\n".to_vec();
                (entry.mode, entry.uid, entry.gid) = (0o600, 7, 8);
            }
            "/usr/long" => entry.kind = TarEntryKind::Symlink(b"short".to_vec()),
            "/home/user/note" => drop(entry.xattrs.remove(&b"user.small"[..])),
            // Times do not count.
            "/var/large" => entry.mtime += 1,
            _ => {}
        }
    }
    files.push((TarEntry::file(TarPath::new("zz-new").unwrap(), 0o755, 0, 3), b"new".to_vec()));
    let mut writer = TarWriter::new(Vec::new());
    for (entry, content) in files {
        writer.append(&TarEntry { size: content.len() as u64, ..entry }, &content[..]).unwrap();
    }
    writer.finish().unwrap()
}

const LINES: [&str; 5] = [
    "/etc/hostname: content; mode 0644 -> 0600; owner 0:0 -> 7:8",
    "/home/user/note: attribute user.small 76616c7565 -> none",
    "/usr/long: kind link to /",
    "- /usr/short (link to ../etc/hostname, 0777, 0:0)",
    "+ /zz-new (file, 0755, 0:0, 3 B)",
];

#[test]
fn files_of_disks_are_compared_by_content_mode_owner_and_attributes() {
    let lab = Lab::new("diff");
    let archive = lab.exported("tar", "root.tar");
    let diff = |words: &[&str]| lab.kiln(&[&["diff"][..], words].concat()).output().unwrap();
    // A disk and its archive have the same files, and names of one file are compared as such.
    let same = diff(&["build/files.qcow2", "root.tar", "--exit-code"]);
    assert!(same.status.success() && same.stdout.is_empty(), "{}", text(&same));
    let other = changed(&archive);
    std::fs::write(lab.path("other.tar"), &other).unwrap();
    let differ = diff(&["build/files.qcow2", "other.tar", "--exit-code"]);
    assert_eq!(differ.status.code(), Some(3));
    let said = String::from_utf8(differ.stdout).unwrap();
    assert!(said.lines().zip(LINES).all(|(line, words)| line.starts_with(words)), "{said}");
    assert_eq!(said.lines().count(), LINES.len(), "{said}");
    let json = diff(&["build/files.qcow2", "other.tar", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let mode = serde_json::json!({ "property": "mode", "from": "0644", "to": "0600" });
    assert!(json["files"][0]["what"].as_array().unwrap().contains(&mode), "{json:#}");

    // Results: what was delivered, and the same lines with the image's name.
    std::fs::rename(lab.path("build"), lab.path("before")).unwrap();
    lab.deliver(&[("files.tar", &other)]);
    let said = text(&diff(&["before", "build"]));
    assert!(said.starts_with("files.qcow2: ") && said.contains(" is gone\nfiles.tar: "), "{said}");
    for line in LINES {
        assert!(said.contains(&format!("\nfiles: {line}")), "{line}: {said}");
    }
    assert!(text(&diff(&["build", "build"])).is_empty());
    configure(&lab, "before", "CONFIG_A=y\n# CONFIG_B is not set\n");
    configure(&lab, "build", "CONFIG_A=y\nCONFIG_B=m\n");
    let said = text(&diff(&["before", "build"]));
    assert!(said.contains("kernel small: B: n -> m\n") && !said.contains(": A: "), "{said}");
    // What is not the build that its manifest says is compared with nothing.
    std::fs::write(lab.path("before/files.qcow2"), &FILES[1..]).unwrap();
    refused(&diff(&["before", "build"]), 3, &["files.qcow2"]);
    refused(&diff(&["root.tar", "build"]), 2, &["have nothing that can be compared"]);
    std::fs::write(lab.path("odd.qcow2"), b"QFI").unwrap();
    refused(&diff(&["odd.qcow2", "other.tar"]), 4, &["odd.qcow2"]);
}
