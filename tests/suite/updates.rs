//! The script that does what systemd would do at the first boot, on a root of a few files and programs that only say they ran.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::executable;

const SCRIPT: &str = include_str!("../../src/exec/debian/parts/updates.sh");
const UNITS: &str = "usr/lib/systemd/system";

/// A root with systemd's own units and a directory of programs.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Root {
        let base = std::env::temp_dir().join(format!("kiln-updates-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let root = Root(base);
        for unit in ["ldconfig", "systemd-journal-catalog-update", "systemd-hwdb-update", "systemd-sysusers"] {
            root.file(
                &format!("{UNITS}/{unit}.service"),
                "[Unit]\nConditionNeedsUpdate=|/etc\nConditionNeedsUpdate=/var\n",
            );
        }
        root.file(&format!("{UNITS}/systemd-update-done.service"), "[Unit]\nConditionNeedsUpdate=|/etc\n");
        std::os::unix::fs::symlink("/dev/zero", root.0.join(UNITS).join("masked.service")).unwrap();
        std::os::unix::fs::symlink("/", root.0.join(UNITS).join("everything")).unwrap();
        root.file("usr/lib/udev/hwdb.bin", "");
        for name in ["etc/systemd/system", "var"] {
            fs::create_dir_all(root.0.join(name)).unwrap();
        }
        for program in ["ldconfig", "journalctl", "systemd-hwdb"] {
            root.program(program, &format!("echo ran {program}"));
        }
        root.program("systemd-sysusers", "");
        root
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn program(&self, name: &str, text: &str) {
        executable::write(&self.0.join("programs").join(name), format!("#!/bin/sh\n{text}\n"));
    }

    /// Runs the script; its lines.
    fn update(&self, stated: &str) -> Vec<String> {
        let script = format!("root='{}'\nstated='{stated}'\n{SCRIPT}", self.0.display());
        let path = format!("{}:/usr/bin:/bin", self.0.join("programs").display());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).env_clear().env("PATH", path).env("SOURCE_DATE_EPOCH", "1000");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// The directories of which it is said that they are up to date.
    fn stamped(&self) -> Vec<&'static str> {
        ["etc", "var"].into_iter().filter(|name| self.0.join(name).join(".updated").exists()).collect()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn caches_are_updated_and_the_first_boot_is_told() {
    let root = Root::new("plain");
    assert_eq!(root.update(""), ["ran ldconfig", "ran journalctl"]);
    assert_eq!(root.stamped(), ["etc", "var"]);
    assert!(text(&root.0.join("etc/.updated")).ends_with("\nTIMESTAMP_NSEC=1000000000000\n"));
}

#[test]
fn the_hardware_database_is_updated_where_etc_adds_to_it() {
    let root = Root::new("hwdb");
    root.file("etc/udev/hwdb.d/70-mouse.hwdb", "");
    assert_eq!(root.update(""), ["ran ldconfig", "ran journalctl", "ran systemd-hwdb"]);
    assert_eq!(root.stamped(), ["etc", "var"]);
}

#[test]
fn what_the_recipe_states_stays() {
    let root = Root::new("stated");
    root.file("etc/.updated", "mine");
    let said = root.update("/etc/.updated /etc/ld.so.cache /var/lib/systemd/catalog/database");
    assert_eq!(said, Vec::<String>::new());
    assert_eq!((text(&root.0.join("etc/.updated")).as_str(), root.stamped().len()), ("mine", 2));
}

#[test]
fn a_user_that_the_lock_does_not_know_is_left_to_the_first_boot() {
    let root = Root::new("users");
    root.program("systemd-sysusers", "echo '/usr/lib/sysusers.d/a.conf:1: odd' >&2");
    root.update("");
    assert_eq!(root.stamped(), ["etc", "var"]);
    let root = Root::new("more-users");
    root.program("systemd-sysusers", "echo \"Creating user 'app'\" >&2; echo Would write /etc/passwd");
    let said = root.update("");
    assert_eq!(
        (said.last().unwrap().as_str(), root.stamped()),
        ("the first boot updates /etc: Creating user 'app'", vec!["var"])
    );
    let root = Root::new("no-users");
    root.program("systemd-sysusers", "echo unknown option >&2; exit 1");
    root.update("");
    assert_eq!(root.stamped(), ["var"]);
}

#[test]
fn a_program_that_fails_leaves_its_directory_to_the_first_boot() {
    let root = Root::new("fails");
    root.program("journalctl", "exit 3");
    let said = root.update("");
    assert_eq!(said.last().unwrap(), "the first boot updates /var: `journalctl --update-catalog` failed");
    assert_eq!(root.stamped(), ["etc"]);
}

#[test]
fn a_unit_of_somebody_else_that_asks_for_an_update_gets_one() {
    let unit = "[Unit]\n ConditionNeedsUpdate = |!/var\n";
    for place in
        ["etc/systemd/system/mine.service", "etc/systemd/system/x.service.d/y.conf", "usr/lib/systemd/system/z.service"]
    {
        let root = Root::new("others");
        root.file(place, unit);
        assert_eq!(root.update("").last().unwrap(), &format!("the first boot updates /var: /{place} asks for it"));
        assert_eq!(root.stamped(), ["etc"], "{place}");
    }
}

#[test]
fn a_system_without_these_units_is_left_alone() {
    let root = Root::new("none");
    fs::remove_dir_all(root.0.join(UNITS)).unwrap();
    assert_eq!(root.update(""), Vec::<String>::new());
    assert_eq!(root.stamped(), Vec::<&str>::new());
}
