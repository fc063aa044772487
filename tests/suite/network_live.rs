//! The user network and the console of a machine that really boots, on what `recipes/cxl-quick.kiln` builds.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, tcgetattr};

use super::live::{Quick, forwarded_ports, kiln, live, quick, succeed};
use super::skip::skip;

/// The port that the recipe forwards to the guest's SSH.
const FORWARDED: u16 = 2222;
/// Software emulation on a busy machine.
const LIMIT: Duration = Duration::from_secs(900);

/// Another machine, as far as the guest can tell: a network namespace behind a pair of cards. It needs root.
struct Elsewhere(String);

impl Elsewhere {
    const HERE: &str = "198.18.77.1";
    const THERE: &str = "198.18.77.2";

    /// With a server on port 8801 that says "from elsewhere".
    fn new() -> Option<Elsewhere> {
        let name = format!("kiln{}", std::process::id());
        let script = format!(
            "set -e; ip netns add {name}; ip link add {name}a type veth peer name {name}b netns {name}; \
             ip addr add {}/30 dev {name}a; ip link set {name}a up; \
             ip -n {name} addr add {}/30 dev {name}b; ip -n {name} link set {name}b up",
            Elsewhere::HERE,
            Elsewhere::THERE
        );
        let made = Command::new("sh").args(["-c", &script]).output().is_ok_and(|output| output.status.success());
        let elsewhere = Elsewhere(name);
        if !made {
            skip("no second network namespace, which needs root and ip");
            return None;
        }
        let space = File::open(format!("/run/netns/{}", elsewhere.0)).unwrap();
        let listener = std::thread::spawn(move || {
            let net = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(space.as_fd(), net).unwrap();
            TcpListener::bind(("0.0.0.0", 8801)).unwrap()
        });
        let listener = listener.join().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = stream.unwrap().write_all(b"from elsewhere\n");
            }
        });
        Some(elsewhere)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// `kiln run` on a pseudo-terminal of the test.
struct Running {
    ours: OwnedFd,
    theirs: OwnedFd,
    child: std::process::Child,
    said: String,
}

impl Running {
    fn start(material: &Quick) -> Running {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags).unwrap();
        let stdio = || Stdio::from(theirs.try_clone().unwrap());
        let mut command = kiln(&material.store);
        command.arg("run").arg(&material.out).stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = command.spawn().unwrap();
        Running { ours, theirs, child, said: String::new() }
    }

    fn hear(&mut self) {
        let mut fds = [PollFd::from_borrowed_fd(self.ours.as_fd(), PollFlags::IN)];
        let limit = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        if rustix::event::poll(&mut fds, Some(&limit)).unwrap() > 0 {
            let mut buffer = [0; 16 << 10];
            let count = File::from(self.ours.try_clone().unwrap()).read(&mut buffer).unwrap();
            self.said.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }

    fn until(&mut self, words: &str) {
        let began = Instant::now();
        while !self.said.contains(words) {
            assert!(began.elapsed() < LIMIT, "no {words:?} in {}", self.said);
            self.hear();
        }
    }

    fn press(&self, keys: &str) {
        File::from(self.ours.try_clone().unwrap()).write_all(keys.as_bytes()).unwrap();
    }

    /// Runs a command on the guest's console; what it printed, and whether it succeeded.
    fn sh(&mut self, command: &str) -> (String, bool) {
        self.said.clear();
        self.press(&format!("{command}; echo e''nd=$?.\n"));
        self.until("end=");
        let end = self.said.find("end=").unwrap();
        while !self.said[end..].contains('.') {
            self.hear();
        }
        (self.said[..end].to_owned(), self.said[end..].starts_with("end=0."))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `/proc/PID/status` of the QEMU that `kiln` started: its only descendant of that name.
fn qemu_status(kiln: u32) -> String {
    let children = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()
    };
    let mut below = children(kiln);
    while let Some(pid) = below.pop() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        if status.starts_with("Name:\tqemu-system") {
            let space = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
            assert_ne!(space(&pid.to_string()), space("self"), "QEMU has the host's network");
            let opened = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            let opened: Vec<_> = opened.map(|fd| std::fs::read_link(fd.unwrap().path()).unwrap_or_default()).collect();
            let mine = std::fs::read_link(format!("/proc/{kiln}/fd/0")).unwrap();
            assert!(!opened.iter().take(3).any(|link| link.ends_with("null")), "it has a console: {opened:?}");
            let session = |pid: u32| {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
                stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap().to_owned()
            };
            assert_ne!(session(pid), session(kiln), "QEMU is in the session of {}", mine.display());
            return status;
        }
        below.extend(children(pid));
    }
    panic!("no QEMU below {kiln}");
}

#[test]
fn a_guest_reaches_others_and_not_this_machine_and_its_port_is_forwarded() {
    if !live("the user network and the console of a real machine") {
        return;
    }
    let material = quick();
    let _ports = forwarded_ports();
    let canary = TcpListener::bind("0.0.0.0:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let port = canary.local_addr().unwrap().port();
    let datagrams = UdpSocket::bind(("0.0.0.0", port)).unwrap();
    datagrams.set_nonblocking(true).unwrap();
    let elsewhere = Elsewhere::new();

    let mut machine = Running::start(material);
    machine.until("login: ");
    assert!(!tcgetattr(&machine.theirs).unwrap().local_modes.contains(LocalModes::ICANON), "the terminal is raw");
    let status = qemu_status(machine.child.id());
    for none in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(status.contains(&format!("{none}:\t0000000000000000\n")), "{status}");
    }
    assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");

    machine.press("root\n");
    machine.until("# ");
    let (said, _) = machine.sh("{ ip -4 -o addr; ip route; } | cat");
    assert!(said.contains("10.0.2.15/24") && said.contains("default via 10.0.2.2"), "{said}");
    if elsewhere.is_some() {
        let fetch = format!("timeout 60 bash -c 'read line </dev/tcp/{}/8801; echo got $line'", Elsewhere::THERE);
        let (said, fetched) = machine.sh(&fetch);
        assert!(fetched && said.contains("got from elsewhere"), "{said}");
    }
    for here in ["10.0.2.2", "127.0.0.53", "10.0.2.3", Elsewhere::HERE] {
        let (said, reached) = machine.sh(&format!("timeout 60 bash -c 'echo x >/dev/tcp/{here}/{port}'"));
        assert!(!reached, "{here}: {said}");
        machine.sh(&format!("timeout 60 bash -c 'echo x >/dev/udp/{here}/{port}'"));
    }
    assert!(canary.accept().is_err() && datagrams.recv(&mut [0; 9]).is_err(), "a guest reached this machine");

    // The server may start after the console asks who is there: until then QEMU takes a connection and ends it.
    let mut banner = [0; 8];
    let began = Instant::now();
    loop {
        let mut ssh = TcpStream::connect(("127.0.0.1", FORWARDED)).unwrap();
        ssh.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        match ssh.read_exact(&mut banner) {
            Err(_) if began.elapsed() < Duration::from_secs(120) => std::thread::sleep(Duration::from_secs(1)),
            read => break read.unwrap(),
        }
    }
    assert_eq!(&banner, b"SSH-2.0-");

    machine.press("\x01x");
    let began = Instant::now();
    while machine.child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "Ctrl-A X does not end it");
        machine.hear();
    }
    assert!(machine.child.wait().unwrap().success(), "{}", machine.said);
    assert!(tcgetattr(&machine.theirs).unwrap().local_modes.contains(LocalModes::ICANON), "the terminal is as it was");
    TcpListener::bind(("127.0.0.1", FORWARDED)).expect("the forwarded port is free again");
    succeed(kiln(&material.store).arg("verify").arg(&material.out));
}
