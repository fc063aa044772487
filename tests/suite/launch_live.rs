//! `launch.sh` where no kiln is: a Debian that mmdebstrap made, its own QEMU, and the files that were handed over.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use kiln::debian::mirror::Mirrors;
use kiln::world::RealWorld;

use super::live::{Quick, Scratch, forwarded_ports, judge, kiln, live, quick, succeed};

#[test]
fn somebody_without_kiln_boots_the_machine() {
    if !live("launch.sh in a Debian without kiln") || !judge("mmdebstrap") {
        return;
    }
    let Quick { out, store, .. } = quick();
    let scratch = Scratch::new("launch");
    let system = scratch.path("system");
    install_qemu(&system);
    let handed = system.join("machine");
    std::fs::create_dir(&handed).unwrap();
    for file in std::fs::read_dir(out).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), handed.join(file.file_name())).unwrap();
    }

    let _ports = forwarded_ports();
    let mut machine = launch(&system);
    let console = listen(&mut machine);
    let said = read_until(&console, "login: ", Duration::from_secs(900));
    assert!(said.contains("login: "), "no login within 15 minutes:\n{said}");
    // Ctrl-A X ends QEMU, as it does on a terminal.
    machine.stdin.as_mut().unwrap().write_all(b"\x01x").unwrap();
    assert!(machine.wait().unwrap().success(), "{said}");
    succeed(kiln(store).arg("verify").arg(&handed));
    let left = std::fs::read_dir(system.join("tmp")).unwrap().count();
    assert_eq!(left, 0, "launch.sh left something in /tmp");

    // One changed byte, and it does not start.
    let mut disk = std::fs::OpenOptions::new().append(true).open(handed.join("disk.qcow2")).unwrap();
    disk.write_all(b"x").unwrap();
    let refused = launch(&system).wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("disk.qcow2"), "the file is named");
}

/// Debian 13 with the QEMU of its backports, as a person would install it.
fn install_qemu(system: &Path) {
    let mirrors = Mirrors::of(&RealWorld::default()).unwrap();
    let base = mirrors.bases("debian", &[]).into_iter().next().expect("a mirror of Debian");
    let keys = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=essential", "--include=qemu-system-x86"]);
    command.args(["--aptopt=APT::Default-Release \"trixie-backports\"", "trixie"]).arg(system);
    for suite in ["trixie", "trixie-backports"] {
        command.arg(format!("deb {keys} {base} {suite} main"));
    }
    succeed(&mut command);
}

fn launch(system: &Path) -> Child {
    let mut command = Command::new("chroot");
    command.arg(system).args(["/bin/sh", "/machine/launch.sh"]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/").env("KILN_ACCEL", "tcg");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// What the machine says, as it says it.
fn listen(machine: &mut Child) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    let streams: [Box<dyn Read + Send>; 2] =
        [Box::new(machine.stdout.take().unwrap()), Box::new(machine.stderr.take().unwrap())];
    for mut stream in streams {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut piece) {
                if sender.send(piece[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

fn read_until(console: &Receiver<Vec<u8>>, what: &str, limit: Duration) -> String {
    let began = Instant::now();
    let mut said = String::new();
    while !said.contains(what) {
        let Some(left) = limit.checked_sub(began.elapsed()) else { break };
        let Ok(piece) = console.recv_timeout(left) else { break };
        said.push_str(&String::from_utf8_lossy(&piece));
    }
    said
}
