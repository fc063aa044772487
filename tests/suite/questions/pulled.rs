//! What is asked about result directories: their locks answer, whoever made them and wherever they stand.

use std::path::Path;
use std::process::{Command, Output};

use super::lock;
use crate::suite::failure_support::{refused, text};

/// Nothing is asked but what is named: no network, and a store only where one must be.
fn ask_with(store: &Path, from: &Path, words: &[&str]) -> Output {
    let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
    kiln.args(words).current_dir(from).env("KILN_STORE", store);
    kiln.env("KILN_MIRROR", "http://127.0.0.1:9").output().unwrap()
}

/// A result directory with the lock that it was built from, as a pull leaves it, but for most of its files.
pub(super) fn pulled(directory: &Path, lock: &kiln::lock::Lock, image: &[u8]) {
    use kiln::deliver::manifest::{DeliveredFile, FORMAT, Manifest};
    let file = DeliveredFile { size: image.len() as u64, sha256: kiln::base::Digest::of(image) };
    let manifest = Manifest {
        format: FORMAT,
        recipe: lock.recipe.name.clone(),
        output_version: lock.output_version,
        lock: kiln::lock::inputs_digest(lock),
        artifacts: [("i.tar".to_owned(), file)].into(),
        steps: Default::default(),
        incremental: Default::default(),
        local: Default::default(),
        qemu: Default::default(),
        built_qemu: Default::default(),
        images: [("i".to_owned(), "i.tar".to_owned())].into(),
        kernels: Default::default(),
        warnings: Default::default(),
    };
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join("manifest.json"), manifest.write()).unwrap();
    std::fs::write(directory.join("i.tar"), image).unwrap();
    std::fs::write(directory.join("kiln.lock"), kiln::lock::write(lock)).unwrap();
}

#[test]
fn a_pulled_directory_is_asked_as_its_lock_is() {
    let scratch = crate::suite::store::scratch("questions-pulled");
    let mut quick = lock("cxl-quick");
    quick.outputs.clear();
    pulled(&scratch.join("result/cxl-quick"), &quick, &[0; 1024]);
    std::fs::write(scratch.join("of.lock"), kiln::lock::write(&quick)).unwrap();
    let ask = |words: &[&str]| ask_with(Path::new("/nowhere/at/all"), &scratch, words);
    let package = &quick.sets.values().flatten().next().unwrap().name;
    for question in [&["size"][..], &["size", "--json"], &["why", package], &["why", package, "--json"]] {
        let [directory, of_lock] = ["result/cxl-quick", "of.lock"].map(|about| ask(&[question, &[about]].concat()));
        assert!(directory.status.success(), "{}", text(&directory));
        assert_eq!(text(&directory), text(&of_lock));
    }
    let page = ask(&["report", "result/cxl-quick", "-o", "-"]);
    let said = text(&page);
    assert!(page.status.success() && said.contains("Report on cxl-quick"), "{said}");
    for words in [">i.tar<", package, "which was not there", "No signature was checked"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // What differs between two of them is told of their locks as well.
    let mut moved = quick.clone();
    let name = moved.sets.values().flatten().next().unwrap().name.clone();
    for package in moved.sets.values_mut().flatten().filter(|package| package.name == name) {
        (package.version, package.file.sha256) = ("99:1".to_owned(), kiln::base::Digest::of(b"another"));
    }
    pulled(&scratch.join("other"), &moved, &[0; 1024]);
    let differs = text(&ask(&["diff", "result/cxl-quick", "other"]));
    assert!(differs.contains(&name) && differs.contains("99:1"), "{differs}");
    // What needs more than a lock says so.
    for words in [&["outdated", "result/cxl-quick"][..], &["check", "other"], &["plan", "other"], &["draw", "other"]] {
        refused(&ask(words), 2, &["is a result directory; this command needs the recipe that it was built from"]);
    }
    refused(&ask(&["report", "other", "-o", "x", "--set", "a=b"]), 2, &["--set has no effect on the result directory"]);
    // The lock of another build that lies there is none of this one, and no other directory has one.
    std::fs::write(scratch.join("other/kiln.lock"), kiln::lock::write(&quick)).unwrap();
    for words in [&["size", "other"][..], &["why", "bash", "other"], &["report", "other", "-o", "x"]] {
        refused(&ask(words), 2, &["other: the lock that it was built from is"]);
    }
    assert!(!text(&ask(&["diff", "result/cxl-quick", "other"])).contains("99:1"));
    std::fs::create_dir(scratch.join("empty")).unwrap();
    refused(&ask(&["size", "empty"]), 2, &["empty is a directory without manifest.json"]);
    std::fs::remove_file(scratch.join("other/manifest.json")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", scratch.join("other/manifest.json")).unwrap();
    refused(&ask(&["why", "bash", "other"]), 3, &["other/manifest.json"]);
    std::fs::write(scratch.join("result/cxl-quick/i.tar"), [1; 1024]).unwrap();
    refused(&ask(&["report", "result/cxl-quick", "-o", "x"]), 3, &["i.tar"]);
    std::fs::remove_dir_all(&scratch).unwrap();
}

/// A lock is found from where its build stands, and no other is taken for it.
#[test]
fn a_build_is_asked_from_any_directory() {
    let scratch = crate::suite::store::scratch("questions-anywhere");
    let ask = |from: &Path, words: &[&str]| ask_with(&scratch.join("store"), from, words);
    let mut quick = lock("cxl-quick");
    quick.outputs.clear();
    let project = scratch.join("project");
    for directory in ["result/cxl-quick", "out"] {
        pulled(&project.join(directory), &quick, &[0; 1024]);
        std::fs::remove_file(project.join(directory).join("kiln.lock")).unwrap();
    }
    std::fs::create_dir_all(scratch.join("elsewhere/below")).unwrap();
    std::os::unix::fs::symlink(project.join("result/cxl-quick"), scratch.join("elsewhere/linked")).unwrap();
    // As kiln leaves results on another disk: the link stands in the project, and not what it leads to.
    pulled(&scratch.join("disk/large/cxl-quick"), &quick, &[0; 1024]);
    std::fs::remove_file(scratch.join("disk/large/cxl-quick/kiln.lock")).unwrap();
    std::os::unix::fs::symlink(scratch.join("disk/large/cxl-quick"), project.join("result/on-disk")).unwrap();
    let package = quick.sets.values().flatten().next().unwrap().name.clone();
    let asked = [
        ("", "project/result/cxl-quick".to_owned()),
        ("", "project/out/".to_owned()),
        ("", "project/result/on-disk".to_owned()),
        ("", project.join("result/cxl-quick").display().to_string()),
        ("elsewhere/below", "../../project/out".to_owned()),
        ("elsewhere", "linked".to_owned()),
        ("project/result", "cxl-quick".to_owned()),
        ("project/result/cxl-quick", ".".to_owned()),
        ("project/out", "../result/cxl-quick".to_owned()),
    ];
    // All look for the lock in one place; so each is asked at one.
    let others = [&["why", &package][..], &["sbom", "--format", "spdx"], &["report", "-o", "-"]];
    let all = |succeed: bool| {
        let sizes = asked.iter().map(|place| (place, &["size"][..]));
        for ((from, directory), words) in sizes.chain(others.iter().map(|words| (&asked[0], *words))) {
            let output = ask(&scratch.join(from), &[words, &[directory]].concat());
            match succeed {
                true => assert!(output.status.success(), "{words:?} {directory} from {from}: {}", text(&output)),
                false => refused(&output, 2, &["the lock that it was built from is neither in it (kiln.lock)"]),
            }
        }
    };
    all(false);
    std::fs::write(project.join("cxl-quick.lock"), kiln::lock::write(&quick)).unwrap();
    all(true);
    std::fs::create_dir(project.join("lockfiles")).unwrap();
    std::fs::rename(project.join("cxl-quick.lock"), project.join("lockfiles/cxl-quick.lock")).unwrap();
    all(true);
    // What two builds differ in is told of their locks, wherever they stand.
    let mut moved = quick.clone();
    let name = moved.sets.values().flatten().next().unwrap().name.clone();
    for package in moved.sets.values_mut().flatten().filter(|package| package.name == name) {
        (package.version, package.file.sha256) = ("99:1".to_owned(), kiln::base::Digest::of(b"another"));
    }
    pulled(&scratch.join("other"), &moved, &[0; 1024]);
    let differs = text(&ask(&scratch.join("elsewhere"), &["diff", "linked", "../other"]));
    assert!(differs.contains("99:1"), "{differs}");
    // Another lock of that name is not that of the build.
    std::fs::write(project.join("lockfiles/cxl-quick.lock"), kiln::lock::write(&moved)).unwrap();
    all(false);
    std::fs::remove_dir_all(&scratch).unwrap();
}
