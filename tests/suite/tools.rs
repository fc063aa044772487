//! Trees of tools: the same bits however many threads, and nothing outside the tree, whatever the packages bring.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kiln::exec::builtin::tools::merge;

/// Path, kind, content or target.
type File<'a> = (&'a str, tar::EntryType, &'a str, u32);

const FILE: tar::EntryType = tar::EntryType::Regular;
const LINK: tar::EntryType = tar::EntryType::Symlink;
const HARD: tar::EntryType = tar::EntryType::Link;
const DIRECTORY: tar::EntryType = tar::EntryType::Directory;

fn tar(files: &[File<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, text, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_path(path).unwrap();
        let content = if *kind == FILE { text.as_bytes() } else { b"" };
        if matches!(*kind, LINK | HARD) {
            header.set_link_name(text).unwrap();
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn package(directory: &Path, name: &str, postinst: &str, files: &[File<'_>]) -> (String, PathBuf) {
    let control = format!("Package: {name}\nVersion: 1\nArchitecture: all\n");
    let control = tar(&[("./control", FILE, &control, 0o644), ("./postinst", FILE, postinst, 0o755)]);
    let mut bytes = b"!<arch>\n".to_vec();
    for (member, content) in [("debian-binary", b"2.0\n".to_vec()), ("control.tar", control), ("data.tar", tar(files))]
    {
        bytes.extend(format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 0, content.len()).bytes());
        bytes.extend(content);
    }
    let file = directory.join(format!("{name}.deb"));
    std::fs::write(&file, bytes).unwrap();
    (format!("debs/{name}.deb"), file)
}

/// Every path with its mode, time and content.
fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let data = path.symlink_metadata().unwrap();
        let text = if data.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            String::new()
        } else if data.is_symlink() {
            format!("-> {}", std::fs::read_link(&path).unwrap().display())
        } else {
            std::fs::read_to_string(&path).unwrap()
        };
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let mode = if data.is_symlink() { 0 } else { data.permissions().mode() & 0o7777 };
        lines.push(format!("{name} {mode:o} {} {text}", data.mtime()));
    }
    lines.sort();
    lines
}

fn scratch(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("kiln-tools-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn packages_become_one_tree_in_which_the_later_wins() {
    let at = scratch("merge");
    let awk = "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5\n";
    let packages = [
        package(
            &at,
            "a",
            awk,
            &[
                ("./bin/", DIRECTORY, "", 0o700),
                ("./bin/mawk", FILE, "mawk", 0o4755),
                ("./usr/bin/nawk", HARD, "./bin/mawk", 0o755),
                ("./usr/share/x", FILE, "of a", 0o666),
                ("./usr/lib/place", LINK, "/etc", 0o777),
            ],
        ),
        package(
            &at,
            "b",
            "",
            &[
                ("./usr/share/x", FILE, "of b", 0o600),
                ("./usr/lib/place/passwd", FILE, "not in /etc", 0o644),
                ("./lib32/y", FILE, "y", 0o644),
            ],
        ),
    ];
    let expected = [
        "usr/bin/awk 0 315532800 -> /usr/bin/mawk",
        "usr/bin/mawk 755 315532800 mawk",
        "usr/bin/nawk 755 315532800 mawk",
        "usr/lib/place 755 315532800 ",
        "usr/lib/place/passwd 644 315532800 not in /etc",
        "usr/lib32/y 644 315532800 y",
        "usr/share/x 644 315532800 of b",
        "bin 0 315532800 -> usr/bin",
        "lib32 0 315532800 -> usr/lib32",
    ];
    let mut listings = Vec::new();
    // Thread timing differs between runs; the outcome must not.
    for round in 0..20 {
        let root = at.join(format!("tree-{round}"));
        merge(&packages, &root).unwrap();
        listings.push(listing(&root));
    }
    for line in expected {
        assert!(listings[0].iter().any(|found| found == line), "{line} is not in {:#?}", listings[0]);
    }
    assert!(listings.iter().all(|listing| *listing == listings[0]));
    std::fs::remove_dir_all(at).unwrap();
}

#[test]
fn a_file_in_the_place_of_a_directory_is_an_error_that_names_both() {
    let at = scratch("conflict");
    let packages = [
        package(&at, "a", "", &[("./usr/x", FILE, "", 0o644)]),
        package(&at, "b", "", &[("./usr/x/", DIRECTORY, "", 0o755)]),
    ];
    let error = merge(&packages, &at.join("tree")).unwrap_err().to_string();
    let both = error.contains("debs/a.deb") && error.contains("debs/b.deb") && error.contains("/usr/x");
    assert!(both, "{error}");
    std::fs::remove_dir_all(at).unwrap();
}
