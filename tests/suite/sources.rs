//! What is locked besides packages: files of images and tarballs by URL, Debian source packages. On loopback.

use kiln::base::Digest;

use super::archive_support::TinyArchive;
use super::failure_support::{Lab, RECIPE, archive, refused, text};

const TOOL: &[u8] = b"#!/bin/sh\necho a tool\n";

fn lock(lab: &Lab) -> std::process::Output {
    lab.kiln().args(["lock", "tiny.kiln"]).output().unwrap()
}

fn locked(lab: &Lab) -> String {
    let output = lock(lab);
    assert!(output.status.success(), "{}", text(&output));
    std::fs::read_to_string(lab.directory.join("tiny.lock"))
        .or_else(|_| std::fs::read_to_string(lab.directory.join("lockfiles/tiny.lock")))
        .unwrap()
}

/// The recipe with one file by URL in its image; `digest` follows the address.
fn with_file(digest: &str) -> impl Fn(&str) -> String {
    move |server| {
        let file =
            format!("file \"/opt/tool\" {{ source = url \"{server}/releases/1.0/tool\"{digest} mode = 0o755 }}\n");
        RECIPE.replace("base = essential }", &format!("base = essential\n{file}}}"))
    }
}

#[test]
fn a_file_by_url_is_pinned_by_the_lock_and_fetched_as_it_was() {
    let lab = Lab::unlocked("url", archive(), with_file(""));
    lab.server.put("/releases/1.0/tool", TOOL.to_vec());
    let lock = locked(&lab);
    let line = format!("size = {}, sha256 = \"{}\"", TOOL.len(), Digest::of(TOOL).hex());
    assert!(lock.contains("[sources.\"tiny:/opt/tool\"]") && lock.contains(&line), "{lock}");
    assert!(lab.inputs().output().unwrap().status.success());
    // Locking again asks nobody; another file at the same place is not the one that was locked.
    lab.server.put("/releases/1.0/tool", b"something else entirely\n".to_vec());
    assert_eq!(locked(&lab), lock);
    let store = lab.directory.join("another-store");
    let output = lab.inputs().env("KILN_STORE", store).output().unwrap();
    refused(&output, 4, &["/releases/1.0/tool"]);
}

#[test]
fn a_file_by_url_that_is_not_what_the_recipe_says_is_refused() {
    let lab = Lab::unlocked("digest", archive(), with_file(&format!(" sha256:{}", Digest::of(b"other").hex())));
    lab.server.put("/releases/1.0/tool", TOOL.to_vec());
    let found = format!("has sha256:{}", Digest::of(TOOL).hex());
    refused(&lock(&lab), 1, &["`tiny`", "/releases/1.0/tool", &found, "the recipe states sha256:"]);
}

#[test]
fn a_file_that_nobody_has_is_named() {
    let lab = Lab::unlocked("nobody", archive(), with_file(""));
    refused(&lock(&lab), 4, &["/releases/1.0/tool", "404"]);
}

const COMPILED: &str = "kernel stock { source = SOURCE base = \"tinyconfig\" build = image-tools }\n";

fn compiled(source: &str) -> String {
    let stock = RECIPE.lines().find(|line| line.starts_with("kernel stock")).unwrap();
    RECIPE.replace(stock, &COMPILED.replace("SOURCE", source))
}

#[test]
fn a_kernels_tarball_is_pinned() {
    let source = |server: &str| compiled(&format!("url \"{server}/pub/linux-6.12.1.tar.xz\""));
    let lab = Lab::unlocked("tarball", archive(), source);
    lab.server.put("/pub/linux-6.12.1.tar.xz", b"not unpacked here".to_vec());
    let lock = locked(&lab);
    assert!(lock.contains("[sources.stock-source]") && lock.contains("\"linux-6.12.1.tar.xz\" = { from"), "{lock}");
    assert!(lab.inputs().output().unwrap().status.success());
}

#[test]
fn a_tarball_is_pinned_again_under_the_name_of_its_kernel() {
    let source = |server: &str| compiled(&format!("url \"{server}/pub/linux.tar.xz\""));
    let lab = Lab::unlocked("tarball-again", archive(), source);
    let put = |bytes: &[u8]| lab.server.put("/pub/linux.tar.xz", bytes.to_vec());
    put(b"first");
    let first = locked(&lab);
    put(b"second");
    assert_eq!(locked(&lab), first, "nobody asked for what is there now");
    let update = |name: &str| lab.kiln().args(["lock", "tiny.kiln", "--update", name]).output().unwrap();
    refused(&update("stock-source"), 2, &["stock-source", "`--update stock`"]);
    let output = update("stock");
    assert!(output.status.success(), "{}", text(&output));
    let lock = locked(&lab);
    assert!(lock.contains(&Digest::of(b"second").hex()) && !lock.contains(&Digest::of(b"first").hex()), "{lock}");
}

/// Adds a source package `linux` of this version; each file holds its own name.
fn add_linux(archive: &mut TinyArchive, version: &str) {
    let files = [format!("linux_{version}.orig.tar.xz"), format!("linux_{version}-1.debian.tar.xz")];
    let names = files.into_iter().chain([format!("linux_{version}-1.dsc")]);
    let sums: String =
        names.map(|name| format!(" {} {} {name}\n", Digest::of(name.as_bytes()).hex(), name.len())).collect();
    archive.sources.push_str(&format!(
        "Package: linux\nVersion: {version}-1\nDirectory: pool/main/l/linux\nChecksums-Sha256:\n{sums}\n"
    ));
}

#[test]
fn a_debian_source_package_is_the_newest_with_all_its_files() {
    let mut archive = archive();
    add_linux(&mut archive, "6.9.12");
    add_linux(&mut archive, "6.12.57");
    let lab = Lab::unlocked("dsc", archive, |_| compiled("source-package \"linux\""));
    for name in ["linux_6.12.57.orig.tar.xz", "linux_6.12.57-1.debian.tar.xz", "linux_6.12.57-1.dsc"] {
        lab.server.put(&format!("/debian/pool/main/l/linux/{name}"), name.as_bytes().to_vec());
    }
    let lock = locked(&lab);
    for name in ["6.12.57.orig.tar.xz", "6.12.57-1.debian.tar.xz", "6.12.57-1.dsc"] {
        assert!(lock.contains(&format!("from = \"trixie:pool/main/l/linux/linux_{name}\"")), "{name}: {lock}");
    }
    assert!(!lock.contains("6.9.12"), "{lock}");
    assert!(lab.inputs().output().unwrap().status.success());
}

#[test]
fn a_source_tarball_is_that_file_of_the_newest_source_package_alone() {
    let mut archive = archive();
    add_linux(&mut archive, "6.9.12");
    add_linux(&mut archive, "6.12.57");
    let lab = Lab::unlocked("tarball-of-source", archive, |_| compiled("source-package \"linux\""));
    assert!(locked(&lab).contains("linux_6.12.57-1.dsc"));
    let state = |source: &str| std::fs::write(lab.directory.join("tiny.kiln"), compiled(source)).unwrap();
    // The lock has the file already, and others: they are asked for no more.
    state("source-tarball \"linux\"");
    let lock = locked(&lab);
    let name = "linux_6.12.57.orig.tar.xz";
    assert!(lock.contains(&format!("\"{name}\" = {{ from = \"trixie:pool/main/l/linux/{name}\"")), "{lock}");
    assert!(!lock.contains("-1.dsc") && !lock.contains("debian.tar") && !lock.contains("6.9.12"), "{lock}");
    // No mirror needs to have the other files.
    lab.server.put(&format!("/debian/pool/main/l/linux/{name}"), name.as_bytes().to_vec());
    let inputs = lab.inputs().output().unwrap();
    assert!(inputs.status.success(), "{}", text(&inputs));
    state("source-tarball \"linux\" version \"6.9.12-1\"");
    let lock = locked(&lab);
    assert!(lock.contains("linux_6.9.12.orig.tar.xz") && !lock.contains("6.12.57"), "{lock}");
}

#[test]
fn a_source_package_without_an_original_tarball_is_named() {
    let mut archive = archive();
    archive.sources.push_str(&format!(
        "Package: linux\nVersion: 6.1-1\nDirectory: pool/main/l/linux\nChecksums-Sha256:\n {} 1 linux_6.1-1.dsc\n\n",
        Digest::of(b"d").hex()
    ));
    let lab = Lab::unlocked("no-tarball", archive, |_| compiled("source-tarball \"linux\""));
    refused(&self::lock(&lab), 1, &["`stock`", "source package linux 6.1-1 has 0 original tarballs instead of one"]);
}
