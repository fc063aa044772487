//! What of the packages is left out, or removed.

use super::lab::{Lab, text};
use crate::suite::archive_support::Package;

fn packages() -> Vec<Package> {
    let one = Package::new("one", "1")
        .file("/usr/bin/one", 0o755, b"#!/bin/sh\n")
        .file("/usr/share/doc/one/copyright", 0o644, b"free")
        .file("/usr/share/doc/one/changelog.gz", 0o644, b"new")
        .file("/usr/share/man/man1/one.1.gz", 0o644, b"page")
        .file("/opt/one/data", 0o644, b"data");
    vec![one]
}

#[test]
fn documentation_is_left_out_but_copyright() {
    let Some(lab) = Lab::new("exclude", packages()) else { return };
    let body = "path-exclude = [\"/usr/share/doc/*\", \"/usr/share/man/*\"]\n  path-include = [\"/usr/share/doc/*/copyright\"]";
    let (files, _) = lab.image("nodoc", &["one"], body);
    assert!(files.contains_key("usr/share/doc/one/copyright") && files.contains_key("usr/bin/one"));
    for path in ["usr/share/doc/one/changelog.gz", "usr/share/man/man1", "usr/share/man/man1/one.1.gz"] {
        assert!(!files.contains_key(path), "{path} is in the image");
    }
    assert_eq!(
        text(&files, "etc/dpkg/dpkg.cfg.d/kiln-paths"),
        "path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-include=/usr/share/doc/*/copyright\n"
    );
    // As dpkg has it: the list of the package's files is whole.
    assert!(text(&files, "var/lib/dpkg/info/one.list").contains("/usr/share/man/man1/one.1.gz\n"));
    // Another image of the same packages has a base of its own.
    let (files, _) = lab.image("doc", &["one"], "");
    assert!(files.contains_key("usr/share/man/man1/one.1.gz"));
}

#[test]
fn what_is_removed_is_gone_and_what_the_recipe_adds_is_there() {
    let Some(lab) = Lab::new("remove", packages()) else { return };
    let body = "remove = [\"/opt/one\", \"/opt/one/d*\", \"/usr/share/man/**\"]\n  file \"/opt/two\" { text = \"2\" }";
    let (files, _) = lab.image("removed", &["one"], body);
    for path in ["opt/one", "opt/one/data", "usr/share/man/man1"] {
        assert!(!files.contains_key(path), "{path} is in the image");
    }
    assert_eq!(text(&files, "opt/two"), "2");
    assert!(files.contains_key("usr/share/doc/one/changelog.gz"));
}

#[test]
fn a_pattern_that_does_nothing_is_shown() {
    let Some(lab) = Lab::new("idle", packages()) else { return };
    for (name, body, words) in [
        (
            "exclude",
            "path-exclude = [\"/usr/share/dok/*\"]",
            "no file of this image's packages matches `/usr/share/dok/*`",
        ),
        ("remove", "remove = [\"/usr/share/dok\"]", "nothing that the packages leave matches `/usr/share/dok`"),
    ] {
        let said = lab.refused(name, &["one"], body);
        assert!(said.contains(words) && said.contains("^^^^^^"), "{name}: {said}");
    }
}

#[test]
fn swap_that_cannot_be_is_refused_at_its_place() {
    let Some(lab) = Lab::new("odd-swap", vec![]) else { return };
    for (name, body, words) in [
        ("small", "swap = 4KiB", "`swap` is out of range"),
        ("large", "swap = 900GiB", "the swap file does not fit on the disk"),
        ("table", "swap = 1MiB\n  file \"/etc/fstab\" { text = \"\" }", "which the recipe replaces"),
        ("twice", "swap = 1MiB\n  file \"/swapfile\" { text = \"\" }", "the swap file is `/swapfile`"),
    ] {
        let said = lab.check(name, body);
        assert!(said.contains(words) && said.contains("^^^"), "{name}: {said}");
    }
}

#[test]
fn odd_patterns_and_contradictions_are_refused_at_their_place() {
    let Some(lab) = Lab::new("odd-patterns", vec![]) else { return };
    for (name, body, words) in [
        ("relative", "remove = [\"usr/share/doc\"]", "`usr/share/doc` is not a pattern of paths"),
        ("climbing", "remove = [\"/usr/../etc/*\"]", "without `.`, `..` or `//`"),
        ("everything", "path-exclude = [\"/*\"]", "this matches everything"),
        ("lines", "path-exclude = [\"/a\\nforce-all\"]", "only `*` and `?` are special"),
        ("set", "path-exclude = [\"/usr/[a-z]*\"]", "only `*` and `?` are special"),
        ("twice", "remove = [\"/a\", \"/a\"]", "is listed more than once"),
        ("include", "path-include = [\"/a\"]", "`path-include` has no effect without `path-exclude`"),
        ("stated", "remove = [\"/etc/mo*\"]\n  file \"/etc/motd\" { text = \"x\" }", "`remove` matches `/etc/motd`"),
    ] {
        let said = lab.check(name, body);
        assert!(said.contains(words) && said.contains("^^^"), "{name}: {said}");
    }
}

/// Of two statements that cannot both be true none is dropped: what the recipe alone shows is found by `kiln check`.
#[test]
fn statements_that_contradict_each_other_are_shown() {
    let Some(lab) = Lab::new("overlap", packages()) else { return };
    let file = |path: &str| format!("file \"{path}\" {{ text = \"a\" }}");
    for (name, body, words) in [
        ("same", [file("/bin/x"), file("/usr/bin/x")].join("\n"), "`/bin/x` and `/usr/bin/x` are the same path"),
        ("below", [file("/etc/x"), file("/etc/x/y/z")].join("\n"), "`/etc/x/y/z` cannot lie below `/etc/x`"),
        ("merged", [file("/usr/lib/x"), file("/lib/x/y")].join("\n"), "`/lib/x/y` cannot lie below `/usr/lib/x`"),
        (
            "linked",
            ["link \"/srv/l\" = \"/opt\"", &file("/srv/l/y")].join("\n"),
            "`/srv/l/y` cannot lie below `/srv/l`",
        ),
    ] {
        let said = lab.check(name, &body);
        assert!(said.contains(words) && said.contains('^'), "{name}: {said}");
    }
    // Like a file of the name only in its beginning.
    let fine =
        lab.check("fine", &[file("/etc/x"), file("/etc/x.d/y"), file("/library/x"), file("/usr/library/x")].join("\n"));
    assert!(fine.contains("no errors"), "{fine}");
    for (name, body, words) in [
        ("directory", "directory \"/usr/bin/one\" { }".to_owned(), "/usr/bin/one is not a directory in the image"),
        ("under", file("/usr/bin/one/x"), "/usr/bin/one is not a directory in the image, and /usr/bin/one/x needs one"),
        ("over", file("/usr/bin"), "/usr/bin is a directory in the image"),
        (
            "home",
            "user \"u\" { home = \"/opt/one/data\" }".to_owned(),
            "the home /opt/one/data of user u is not a directory",
        ),
    ] {
        let said = lab.refused(name, &["one"], &body);
        assert!(said.contains(words) && said.contains("^^^^"), "{name}: {said}");
    }
}
