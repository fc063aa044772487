//! Trees of tools: the same bits however many threads, and nothing outside the tree, whatever the packages bring.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kiln::exec::builtin::tools::merge;
use kiln::exec::sandbox::{self, Privileges, Root, SandboxIds, Spec};

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
fn nothing_leads_out_of_a_tree() {
    let at = scratch("outside");
    std::fs::create_dir_all(at.join("outside")).unwrap();
    std::fs::write(at.join("outside/passwd"), "precious").unwrap();
    let outside = at.join("outside").display().to_string();
    let through_link: &[File<'_>] =
        &[("./usr/share/out", LINK, &outside, 0o777), ("./usr/share/name", HARD, "./usr/share/out/passwd", 0o644)];
    let absent: &[File<'_>] = &[("./usr/share/name", HARD, "./usr/share/none", 0o644)];
    let directory: &[File<'_>] = &[("./usr/d/", DIRECTORY, "", 0o755), ("./usr/share/name", HARD, "./usr/d", 0o644)];
    for (index, (files, target)) in
        [(through_link, "usr/share/out/passwd"), (absent, "usr/share/none"), (directory, "usr/d")]
            .into_iter()
            .enumerate()
    {
        let error = merge(&[package(&at, "a", "", files)], &at.join(format!("tree-{index}"))).unwrap_err().to_string();
        assert!(error.ends_with(&format!("/{target} is not a file of these packages")), "{error}");
    }
    // Where kiln itself writes, a link of a package gives way.
    let etc = package(&at, "b", "", &[("./etc", LINK, &outside, 0o777), ("./tmp", LINK, "/nowhere", 0o777)]);
    merge(&[etc], &at.join("tree")).unwrap();
    assert!(at.join("tree/etc/passwd").is_file() && !at.join("tree/etc").is_symlink());
    assert!(!at.join("tree/tmp").is_symlink());
    let left: Vec<_> = std::fs::read_dir(at.join("outside")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["passwd"]);
    let passwd = at.join("outside/passwd");
    assert_eq!(std::fs::read_to_string(&passwd).unwrap(), "precious");
    assert_eq!(passwd.metadata().unwrap().nlink(), 1);
    std::fs::remove_dir_all(at).unwrap();
}

#[test]
fn links_in_a_circle_are_links_like_others() {
    let at = scratch("circle");
    let packages = [
        package(&at, "a", "", &[("./usr/a", LINK, "b", 0o777), ("./usr/b", LINK, "a", 0o777)]),
        package(&at, "b", "", &[("./usr/up", LINK, "../usr", 0o777), ("./usr/self", LINK, "self", 0o777)]),
    ];
    let awk = "update-alternatives --install /usr/a/awk awk /usr/self/awk 5\n";
    let packages = [packages[0].clone(), packages[1].clone(), package(&at, "c", awk, &[])];
    let root = at.join("tree");
    merge(&packages, &root).unwrap();
    let listing = listing(&root);
    for line in ["usr/a 0 315532800 -> b", "usr/b 0 315532800 -> a", "usr/self 0 315532800 -> self"] {
        assert!(listing.iter().any(|found| found == line), "{line} is not in {listing:#?}");
    }
    // The store takes it, and comparing it with itself comes to an end.
    assert_eq!(kiln::inspect::differ::differences(&root, &root), Vec::<String>::new());
    let store = kiln::store::Store::open(&at.join("store")).unwrap();
    let scratch = store.scratch("circle").unwrap();
    merge(&packages, &scratch.join("tree")).unwrap();
    let kiln::store::Output::Tree { root: digest, .. } = store.import_tree(&scratch.join("tree")).unwrap() else {
        panic!("no tree")
    };
    assert!(store.tree(&digest).unwrap().join("usr/a").is_symlink());
    drop(store);
    kiln::world::fs::remove_tree(&at).unwrap();
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

#[test]
fn a_tree_of_real_tools_compiles_and_makes_file_systems() {
    if !super::live("unpacking a build root") {
        return;
    }
    let names = [
        "gcc",
        "make",
        "bc",
        "bison",
        "flex",
        "libelf-dev",
        "libssl-dev",
        "perl",
        "python3",
        "rsync",
        "cpio",
        "e2fsprogs",
    ];
    let packages: Vec<(String, PathBuf)> = super::packages::fetch("trixie", &names)
        .into_iter()
        .map(|package| (package.locked.input, package.file))
        .collect();
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools");
    let _ = std::fs::remove_dir_all(&tree);
    let started = std::time::Instant::now();
    merge(&packages, &tree).unwrap();
    println!("{} packages: {:?}", packages.len(), started.elapsed());
    sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let script = "cd /tmp && echo 'int main(void) { return 7; }' > x.c && cc x.c && { ./a.out; test $? = 7; } && \
                  awk 'BEGIN { print 6 * 7 }' && perl -e 'print \"perl\\n\"' && python3 -c 'import json, ssl' && \
                  make --version | head -1 && bison --version | head -1 && flex --version && \
                  truncate -s 8M disk && mkfs.ext4 -q disk && e2fsck -fn disk";
    let spec = Spec {
        root: Root::ReadOnly(tree.clone()),
        mounts: Vec::new(),
        ids: SandboxIds::Single,
        privileges: Privileges::Build,
        env: BTreeMap::from([("PATH".to_owned(), "/usr/sbin:/usr/bin".to_owned())]),
        argv: ["/bin/sh", "-ec", script].map(str::to_owned).to_vec(),
        directories: Vec::new(),
        hostname: sandbox::HOST_NAME.to_owned(),
        grace: std::time::Duration::ZERO,
        cwd: PathBuf::from("/tmp"),
    };
    let mut lines = Vec::new();
    let status = sandbox::run(&spec, &mut |line| lines.push(line.to_owned())).unwrap();
    assert!(status.success(), "{}", lines.join("\n"));
    assert!(lines.contains(&"42".to_owned()), "{}", lines.join("\n"));
    std::fs::remove_dir_all(tree).unwrap();
}
