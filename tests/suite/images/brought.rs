//! What a recipe brings along: whole directories, files of any size, programs with capabilities.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::lab::{Lab, owner, text};
use crate::suite::archive_support::Package;

fn put(lab: &Lab, name: &str, bytes: &[u8], mode: u32) {
    let path = lab.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

const TREES: &str = r#"
  user "app" { shell = "/bin/sh" uid = 1000 authorized-keys = ["ssh-ed25519 AAAA app"] }
  tree "/" { source = directory "overlay" }
  tree "/opt/app" { source = directory "app" modes exact owner = "app" group = "app" }
  file "/opt/app/etc/last" { text = "of the file\n" }
"#;

#[test]
fn trees_lie_over_packages_and_below_single_files() {
    let package = Package::new("shipped", "1.0").file("/etc/shipped", 0o644, b"of the package\n");
    let Some(lab) = Lab::new("trees", vec![package.file("/var/log/private/x", 0o600, b"")]) else { return };
    put(&lab, "overlay/etc/shipped", b"of the tree\n", 0o600);
    put(&lab, "overlay/etc/last", b"of the tree\n", 0o644);
    put(&lab, "overlay/bin/run-me", b"#!/bin/sh\n", 0o700);
    put(&lab, "overlay/var/log/kept.log", b"a log that the recipe brings\n", 0o644);
    put(&lab, "overlay/opt/app/etc/last", b"of the wider tree\n", 0o644);
    put(&lab, "app/etc/last", b"of the tree\n", 0o644);
    put(&lab, "app/bin/helper", b"#!/bin/sh\n", 0o4750);
    put(&lab, "app/.hidden/deep/er/x", b"x", 0o600);
    symlink("../../../../etc/passwd", lab.path("app/out")).unwrap();
    std::fs::write(lab.path("app").join(std::ffi::OsStr::from_bytes(b"odd\nname \xff")), b"odd").unwrap();
    let (files, _) = lab.image("trees", &["shipped"], TREES);
    assert_eq!((text(&files, "etc/shipped").as_str(), owner(&files, "etc/shipped")), ("of the tree\n", (0, 0, 0o644)));
    assert_eq!(owner(&files, "usr/bin/run-me"), (0, 0, 0o755));
    assert_eq!(owner(&files, "etc"), (0, 0, 0o755));
    assert_eq!(text(&files, "opt/app/etc/last"), "of the file\n");
    assert_eq!(owner(&files, "opt/app/bin/helper"), (1000, 1000, 0o4750));
    assert_eq!(owner(&files, "opt/app/.hidden/deep/er/x"), (1000, 1000, 0o600));
    assert_eq!(files["opt/app/out"].link, "../../../../etc/passwd");
    assert_eq!(text(&files, "opt/app/odd\nname \u{fffd}"), "odd");
    // Rules that empty directories of logs leave what the recipe brings.
    assert_eq!(text(&files, "var/log/kept.log"), "a log that the recipe brings\n");
    // Nothing changed, so nothing runs; then something does, and the lock is no more the recipe's.
    let run = |words: &[&str]| crate::suite::attack::ground::run(lab.kiln().args(words));
    let check = || run(&["lock", "--check", "trees.kiln"]);
    assert_eq!(check().code, Some(0), "{}", check().text());
    put(&lab, "app/etc/new", b"", 0o644);
    let said = check().text();
    assert!(said.contains("directory `app` has changed"), "{said}");
    let said = run(&["build", "trees.kiln"]).text();
    assert!(said.contains("directory `app` has changed"), "{said}");
}

#[test]
fn trees_that_do_not_fit_are_refused_at_their_line() {
    let Some(lab) = Lab::new("trees-odd", Vec::new()) else { return };
    put(&lab, "app/etc", b"a file where the image has a directory", 0o644);
    let said = lab.refused("kinds", &[], "tree \"/\" { source = directory \"app\" }");
    assert!(said.contains("/etc is a directory in the image, but none in the tree") && said.contains("^^^"), "{said}");
    std::fs::remove_file(lab.path("app/etc")).unwrap();
    put(&lab, "app/etc/fstab", b"", 0o644);
    let said = lab.refused("table", &[], "swap = 1MiB\n  tree \"/\" { source = directory \"app\" }");
    assert!(said.contains("`swap` is a part of `/etc/fstab`, which a tree of the recipe replaces"), "{said}");
    std::fs::remove_dir_all(lab.path("app/etc")).unwrap();
    for (file, field) in [
        ("etc/hostname", "hostname = \"node1\""),
        ("etc/default/locale", "locale = \"C.UTF-8\""),
        ("etc/timezone", "timezone = \"Etc/UTC\""),
    ] {
        put(&lab, &format!("app/{file}"), b"other\n", 0o644);
        let body = |field: &str| format!("{field}\n  tree \"/\" {{ source = directory \"app\" }}");
        let said = lab.refused("field", &[], &body(field));
        let name = field.split(' ').next().unwrap();
        let expected = format!("`{name}` would be without effect: a tree of the recipe replaces `/{file}`");
        assert!(said.contains(&expected) && said.contains("^^^"), "{said}");
        // What is not stated is kiln's, and the tree's file takes its place.
        let (files, _) = lab.image("unstated", &[], &body(""));
        assert_eq!(text(&files, file), "other\n");
        std::fs::remove_dir_all(lab.path("app/etc")).unwrap();
    }
    put(&lab, "app/x", b"", 0o644);
    let said = lab.refused("nobody", &[], "tree \"/opt\" { source = directory \"app\" owner = \"nobody-here\" }");
    assert!(said.contains("user nobody-here, the owner of /opt, does not exist") && said.contains("^^^"), "{said}");
    let said = lab.refused("group", &[], "directory \"/opt\" { group = \"none-such\" }");
    assert!(said.contains("group none-such, the owner of /opt, does not exist") && said.contains("^^^"), "{said}");
    let said = lab.refused("link", &[], "link \"/opt\" = \"x\"\n  tree \"/opt/y\" { source = directory \"app\" }");
    assert!(said.contains("`/opt/y` cannot lie below `/opt`") && said.contains("^^^"), "{said}");
    put(&lab, "app/home/me/.ssh/authorized_keys", b"ssh-ed25519 AAAA tree\n", 0o644);
    let body = "user \"me\" { shell = \"/bin/sh\" authorized-keys = [\"ssh-ed25519 AAAA me\"] }\n  \
        tree \"/\" { source = directory \"app\" }";
    let said = lab.refused("keys", &[], body);
    assert!(said.contains("is set by both a file of the recipe and `authorized-keys`"), "{said}");
}

#[test]
fn large_files_and_capabilities_reach_the_root() {
    let Some(lab) = Lab::new("large", Vec::new()) else { return };
    let large: Vec<u8> = (0..3_u32 << 20).flat_map(|number| number.to_le_bytes()).collect();
    put(&lab, "big.bin", &large, 0o644);
    put(&lab, "srv", b"#!/bin/sh\n", 0o755);
    let body = r#"
  user "web" { shell = "/bin/sh" uid = 1000 }
  file "/srv/big.bin" { source = file "big.bin" mode = 0o600 owner = "web" }
  file "/usr/local/bin/srv" {
    source = file "srv" mode = 0o755 owner = "web" group = "web" capabilities = "cap_net_bind_service=ep"
  }
"#;
    let (files, _) = lab.image("large", &[], body);
    assert!(files["srv/big.bin"].content == large);
    assert_eq!(owner(&files, "srv/big.bin"), (1000, 0, 0o600));
    let attribute = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(files["usr/local/bin/srv"].capability.as_deref(), Some(attribute.as_slice()));
    // The store keeps what is private in the image to its user.
    let blob = lab.store().join("cas").join(kiln::base::Digest::of(&large).hex());
    assert_eq!(blob.metadata().unwrap().permissions().mode() & 0o777, 0o400);
}

#[test]
fn capabilities_that_no_file_can_have_are_refused() {
    let Some(lab) = Lab::new("capabilities", Vec::new()) else { return };
    for (text, part) in [
        ("cap_net_bind_servise=ep", "did you mean `cap_net_bind_service`?"),
        ("cap_chown", "lacks an operator and flags"),
        ("cap_chown=ep cap_kill=p", "all of its capabilities effective, or none"),
    ] {
        let said = lab.check("odd", &format!("file \"/x\" {{ text = \"\" capabilities = \"{text}\" }}"));
        assert!(said.contains(part) && said.contains("^^^"), "{said}");
    }
    let said = lab.check("odd", "directory \"/x\" { capabilities = \"cap_chown=ep\" }");
    assert!(said.contains("unknown field `capabilities`"), "{said}");
}

const TOOL: &str = "tool_1.0_amd64.deb";

fn tool(version: &str) -> Package {
    let postinst = "#!/bin/sh\nset -e\nmkdir -p /var/lib/tool\necho made >/var/lib/tool/made\n";
    let package =
        Package::new("tool", version).depends("needed").file("/usr/share/tool/version", 0o644, version.as_bytes());
    package.script("postinst", postinst).script("md5sums", "")
}

#[test]
fn a_package_of_the_recipe_is_installed_as_apt_installs_a_file() {
    let needed = || Package::new("needed", "2.0").file("/usr/share/needed", 0o644, b"needed");
    let newer = Package::new("tool", "9.0").file("/usr/share/tool/version", 0o644, b"9.0");
    let Some(lab) = Lab::new("local", vec![needed(), newer]) else { return };
    put(&lab, TOOL, &tool("1.0").build(), 0o644);
    let built = lab.bring("local", &format!("file \"{TOOL}\""), "");
    assert_eq!(built.code, Some(0), "{}", built.text());
    let files = lab.files("local");
    assert_eq!(
        (text(&files, "usr/share/tool/version"), text(&files, "var/lib/tool/made")),
        ("1.0".into(), "made\n".into())
    );
    assert!(files.contains_key("usr/share/needed"), "its dependency is missing");
    let status = text(&files, "var/lib/dpkg/status");
    assert!(status.contains("Package: tool\nStatus: install ok installed\n"), "{status}");
    let lock = std::fs::read_to_string(lab.path("local.lock")).unwrap();
    let place = format!("version = \"1.0\", archive = \"file:\", path = \"{TOOL}\"");
    assert!(lock.contains(&place), "{lock}");
    let kiln = |words: &[&str]| crate::suite::attack::ground::run(lab.kiln().args(words));
    assert_eq!(kiln(&["lock", "--check", "local.kiln"]).code, Some(0));
    // A lock that is kept is kept as it is.
    assert_eq!(kiln(&["lock", "local.kiln"]).code, Some(0));
    assert_eq!(std::fs::read_to_string(lab.path("local.lock")).unwrap(), lock);
    // Other bytes are another package, until they are locked.
    put(&lab, TOOL, &tool("1.1").build(), 0o644);
    for words in [["lock", "--check", "local.kiln"].as_slice(), &["build", "local.kiln"]] {
        let said = kiln(words).text();
        assert!(said.contains(&format!("file `{TOOL}` has changed")), "{said}");
    }
    assert_eq!(kiln(&["lock", "local.kiln"]).code, Some(0));
    let built = kiln(&["build", "--allow-leaks", "local.kiln"]);
    assert_eq!(built.code, Some(0), "{}", built.text());
    assert_eq!(text(&lab.files("local"), "usr/share/tool/version"), "1.1");
}

#[test]
fn files_that_are_no_package_for_the_image_are_refused_at_their_place() {
    let Some(lab) = Lab::new("local-odd", vec![Package::new("needed", "2.0")]) else { return };
    put(&lab, TOOL, &tool("1.0").build(), 0o644);
    put(&lab, "same.deb", &tool("1.1").build(), 0o644);
    put(&lab, "text.deb", b"not a package\n", 0o644);
    put(&lab, "cut.deb", &tool("1.0").build()[..200], 0o644);
    put(&lab, "arm.deb", &Package::new("arm", "1").architecture("arm64").build(), 0o644);
    put(&lab, "unmet.deb", &Package::new("unmet", "1").depends("no-such-package").build(), 0o644);
    put(&lab, "bad.deb", &Package::new("bad", "not a version").build(), 0o644);
    for (list, part) in [
        ("file \"text.deb\"", "`text.deb` cannot be installed: not a Debian package"),
        ("file \"cut.deb\"", "`cut.deb` cannot be installed: not a Debian package"),
        ("file \"arm.deb\"", "package `arm` is for arm64, and this set is for amd64"),
        ("file \"unmet.deb\"", "no-such-package"),
        ("file \"bad.deb\"", "`bad.deb` cannot be installed"),
        ("file \"tool_1.0_amd64.deb\", file \"same.deb\"", "another file of this set is the package `tool`"),
        ("file \"none.deb\"", "there is no file `none.deb`"),
    ] {
        let ended = lab.bring("odd", list, "");
        let said = ended.text();
        assert!(ended.code == Some(1) && said.contains(part) && said.contains("^^^"), "{list}: {said}");
    }
}
