//! Directories of the host in a guest, and the other doors to its QEMU: the locked program by itself, a shell where a test
//! failed, and a directory that brings QEMU along. One recipe, one boot for the first three.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::live::{SELDOM, Scratch, has_its_turn, judge, kiln, live, quick, succeed};

/// A kernel with 9p, and Debian's for clouds, which has virtio-fs alone.
const RECIPE: &str = r#"
import "lib/debian-13.kiln"

kernel generic { package = package "linux-image-amd64" }
kernel virtual { package = package "linux-image-cloud-amd64" }

machine box {
  kernel = generic
  image  = debian-13
  qemu   = qemu-11
  append = ["no_timer_check"]
}

machine cloud extends box { kernel = virtual }

test "the host's directories by virtio-fs" on cloud {
  expect "findmnt -no FSTYPE /mnt/code" matches "^virtiofs$"
  expect "findmnt -no FSTYPE /mnt/data" matches "^virtiofs$"
  expect "cat /mnt/code/in" matches "^from the host$"
  run "echo by virtio-fs >/mnt/code/virtio && ln -s /etc/shadow /mnt/code/shadow && chown 1000 /mnt/code/virtio"
  fails "cp /bin/true /mnt/code/true && chmod 4755 /mnt/code/true"
  fails "echo x >/mnt/data/out"
  fails "mount -o remount,rw /mnt/data && echo x >/mnt/data/out"
  reboot
  expect "cat /mnt/code/virtio" matches "^by virtio-fs$"
}

test "the host's directories" on box {
  expect "findmnt -no FSTYPE /mnt/code" matches "^9p$"
  expect "findmnt -no FSTYPE /mnt/data" matches "^9p$"
  expect "cat /mnt/code/in" matches "^from the host$"
  expect "stat -c '%u:%g' /mnt/code/in" matches "^0:0$"
  run "echo from the guest >/mnt/code/out && ln -s /etc/passwd /mnt/code/link"
  run "grep -q ^root: /mnt/code/link"
  fails "cp /bin/true /mnt/code/program && chmod 4755 /mnt/code/program"
  expect "cat /mnt/data/in" matches "^read me$"
  fails "echo x >/mnt/data/out"
  fails "rm /mnt/data/in"
  fails "mount -o remount,rw /mnt/data && echo x >/mnt/data/out"
  expect "systemctl list-units --failed --no-legend --plain" lacks "mnt-"
  reboot
  expect "cat /mnt/code/out" matches "^from the guest$"
}

test "a failure" on box {
  run "echo looked >/run/note && test -e /nowhere"
}
"#;

/// From the start of a machine to a word of its console, on a busy host without KVM.
const PATIENCE: Duration = Duration::from_secs(900);

#[test]
fn guests_see_the_hosts_directories_and_qemu_has_other_doors() {
    let what = "kiln test --share, --shell-on-failure, kiln qemu, kiln build --with-qemu";
    if !live(what) || !has_its_turn("share", &SELDOM) || !judge("script") {
        return;
    }
    let (scratch, store) = (Scratch::new("share"), &quick().store);
    let recipe = scratch.recipe("share.kiln", RECIPE);
    succeed(kiln(store).arg("lock").arg(&recipe));
    qemu(&recipe, store);
    delivered(&scratch, &recipe, store);
    shares(&scratch, &recipe, store);
}

/// The locked QEMU, without a machine.
fn qemu(recipe: &Path, store: &Path) {
    let run = |arguments: &[&str]| kiln(store).arg("qemu").arg(recipe).arg("--").args(arguments).output().unwrap();
    let text = |output: Output| String::from_utf8(output.stdout).unwrap();
    assert!(text(run(&["-version"])).starts_with("QEMU emulator version 11."));
    assert!(text(run(&["-device", "virtio-9p-pci,help"])).contains("mount_tag="));
    let refused = run(&["-no-such-option"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("-no-such-option: invalid option"), "{said}");
}

/// Tests with two directories, of which the last one fails and leaves a shell.
fn shares(scratch: &Scratch, recipe: &Path, store: &Path) {
    let [code, data] = ["code", "data"].map(|name| scratch.path(name));
    for (directory, text) in [(&code, "from the host\n"), (&data, "read me\n")] {
        std::fs::create_dir(directory).unwrap();
        std::fs::write(directory.join("in"), text).unwrap();
    }
    let command = format!(
        "exec {} test {} --shell-on-failure --logs {} --share code={} --share data={}:ro",
        env!("CARGO_BIN_EXE_kiln"),
        recipe.display(),
        scratch.path("logs").display(),
        code.display(),
        data.display()
    );
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &command, "/dev/null"]).env("KILN_STORE", store);
    let mut test = terminal.current_dir(scratch.path("")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let screen = listen(test.stdout.take().unwrap());
    let mut keys = test.stdin.take().unwrap();
    let before = read_until(&screen, "shell of root on box");
    assert!(
        before.contains("the host's directories (box,") && before.contains("with box as /mnt/data, read-only"),
        "{before}"
    );
    // What is typed is shown as well, so what is looked for is made of it.
    keys.write_all(b"cat /run/note /mnt/code/in; echo $((6 * 7)) times\r").unwrap();
    let shell = read_until(&screen, "42 times");
    assert!(shell.contains("looked") && shell.contains("from the host"), "{shell}");
    keys.write_all(b"exit\r").unwrap();
    let after: String = screen.iter().collect();
    let status = test.wait().unwrap();
    assert!(status.code() == Some(3) && after.contains("2 passed, 1 failed"), "{status}: {after}");

    let owner = |path: &Path| path.symlink_metadata().map(|data| (data.uid(), data.gid())).unwrap();
    assert_eq!(std::fs::read_to_string(code.join("out")).unwrap(), "from the guest\n");
    assert_eq!(std::fs::read_link(code.join("link")).unwrap(), Path::new("/etc/passwd"));
    for file in ["out", "link", "program", "virtio", "shadow", "true"] {
        assert_eq!(owner(&code.join(file)), owner(&code), "{file}");
    }
    for program in ["program", "true"] {
        assert_eq!(code.join(program).metadata().unwrap().mode() & 0o7000, 0);
    }
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 1);
    let processes = String::from_utf8(succeed(Command::new("ps").args(["-eo", "args"])).stdout).unwrap();
    assert!(!processes.contains("mount_tag=code") && !processes.contains("virtiofsd --socket"), "a process is left");
}

/// A directory with QEMU in it is started where there is neither kiln nor QEMU.
fn delivered(scratch: &Scratch, recipe: &Path, store: &Path) {
    let (out, temporary) = (scratch.path("delivered"), scratch.path("tmp"));
    std::fs::create_dir(&temporary).unwrap();
    succeed(kiln(store).arg("build").arg(recipe).args(["--with-qemu", "--out"]).arg(&out));
    let mut launch = Command::new("sh");
    launch.arg(out.join("box/launch.sh")).env_clear().env("PATH", "/usr/bin:/bin").env("TMPDIR", &temporary);
    launch.env("KILN_ACCEL", "tcg").current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut machine = launch.spawn().unwrap();
    let console = listen(machine.stdout.take().unwrap());
    read_until(&console, "Linux version");
    // Ctrl-A X ends QEMU, as it does on a terminal.
    machine.stdin.as_mut().unwrap().write_all(b"\x01x").unwrap();
    assert!(machine.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "what was unpacked is gone");
    succeed(kiln(store).arg("verify").arg(&out));
}

fn listen(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (say, heard) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if say.send(String::from_utf8_lossy(&buffer[..count]).into_owned()).is_err() {
                return;
            }
        }
    });
    heard
}

fn read_until(heard: &Receiver<String>, wanted: &str) -> String {
    let mut all = String::new();
    while !all.contains(wanted) {
        match heard.recv_timeout(PATIENCE) {
            Ok(more) => all.push_str(&more),
            Err(_) => panic!("no `{wanted}` in\n{all}"),
        }
    }
    all
}
