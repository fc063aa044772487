//! `launch.sh` of a directory that has QEMU in it: it is checked, unpacked, started, and gone afterwards.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kiln::base::Digest;
use kiln::deliver::launch::{DELIVERED_QEMU, DeliveredQemu, QemuPlaces, script, starter};

use super::launch::launch_of;
use super::machine_support::machine;

const QEMU: &str = "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'QEMU emulator version 11.1.3 (Debian)'; exit; }\n\
    printf '%s\\n' \"$0\" >\"$SAID\"\nexit 7\n";

/// A result directory, and a directory for temporary files.
struct Delivered(PathBuf);

impl Delivered {
    fn new(name: &str, qemu: &str) -> Delivered {
        let directory = std::env::temp_dir().join(format!("kiln-delivered-{}-{name}", std::process::id()));
        std::fs::create_dir_all(directory.join("tree/usr/bin")).unwrap();
        std::fs::create_dir_all(directory.join("tmp")).unwrap();
        let put = |file: &str, text: &str| super::executable::write(&directory.join(file), text);
        put("vmlinuz", "kernel");
        put("initrd.img", "initrd");
        put("disk.qcow2", "disk");
        put("tree/qemu-system-x86_64", &starter("qemu-system-x86_64", &QemuPlaces::default()));
        put("tree/usr/bin/qemu-system-x86_64", qemu);
        let mut tar = Command::new("tar");
        tar.arg("-cf").arg(directory.join(DELIVERED_QEMU)).arg("-C").arg(directory.join("tree")).arg(".");
        assert!(tar.status().unwrap().success());
        let sha256 = Digest::of(&std::fs::read(directory.join(DELIVERED_QEMU)).unwrap());
        let delivered = DeliveredQemu { file: DELIVERED_QEMU.to_owned(), sha256 };
        put("launch.sh", &script(&launch_of(&machine(""), &Default::default()), Some(&delivered)));
        Delivered(directory)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("sh");
        command.arg(self.0.join("launch.sh")).args(arguments).current_dir("/").env("KILN_ACCEL", "tcg");
        command.env_remove("KILN_QEMU").env("TMPDIR", self.0.join("tmp")).env("SAID", self.0.join("said"));
        command.output().unwrap()
    }

    fn temporary(&self) -> usize {
        std::fs::read_dir(self.0.join("tmp")).unwrap().count()
    }
}

impl Drop for Delivered {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_delivered_qemu_is_started_and_gone_afterwards() {
    let delivered = Delivered::new("runs", QEMU);
    let output = delivered.run(&[]);
    assert_eq!(output.status.code(), Some(7), "{}", error(&output));
    let program = std::fs::read_to_string(delivered.0.join("said")).unwrap();
    assert!(program.starts_with(delivered.0.join("tmp/kiln-qemu.").to_str().unwrap()), "{program}");
    assert!(!Path::new(program.trim_end()).exists() && delivered.temporary() == 0);
    let help = String::from_utf8(delivered.run(&["--help"]).stdout).unwrap();
    assert!(help.contains("instead of the one in qemu.tree.tar"), "{help}");
}

#[test]
fn one_that_was_changed_or_cannot_start_is_refused() {
    let delivered = Delivered::new("refused", "#!/bin/sh\necho 'wrong processor' >&2\nexit 126\n");
    let output = delivered.run(&[]);
    let said = error(&output);
    assert!(output.status.code() == Some(4) && said.contains("wrong processor") && said.contains("TMPDIR"), "{said}");
    assert_eq!(delivered.temporary(), 0);
    std::fs::write(delivered.0.join(DELIVERED_QEMU), "another").unwrap();
    let output = delivered.run(&[]);
    assert!(output.status.code() == Some(3) && error(&output).contains(DELIVERED_QEMU), "{}", error(&output));
    assert_eq!(delivered.temporary(), 0, "nothing of it was unpacked");
}

#[test]
fn the_printed_command_runs_what_the_printed_advice_unpacks() {
    let delivered = Delivered::new("prints", QEMU);
    let output = delivered.run(&["--print"]);
    assert!(output.status.success(), "{}", error(&output));
    let said = error(&output);
    let advice = said.trim_end().strip_prefix("launch.sh: first: ").unwrap();
    let text = format!("{advice}\n{}", String::from_utf8(output.stdout).unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", &text]).current_dir(&delivered.0).env("SAID", delivered.0.join("said"));
    assert_eq!(shell.status().unwrap().code(), Some(7), "{text}");
}
