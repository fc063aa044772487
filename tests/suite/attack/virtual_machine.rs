//! A hostile QEMU, of a recipe's own archive: what `kiln run` lets it see and touch. What holds it would hold an honest one
//! that a guest has taken over.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;

use super::ground::{Ended, Ground, Image, PATIENCE, run};
use super::host;
use super::served::Trap;
use super::tally::{Attack, Front, Tally};
use crate::suite::archive_support::Package;

pub(super) static FRONT: Front = Front {
    name: "machine",
    packages,
    attacks: &[
        Attack { row: 5, name: "emulator-terminal", run: terminal },
        Attack { row: 5, name: "emulator-network", run: network },
        Attack { row: 8, name: "emulator-keyring", run: keyring },
        Attack { row: 9, name: "emulator-confinement", run: confinement },
        Attack { row: 9, name: "emulator-view", run: view },
    ],
};

const STATUS: &str = "grep -E '^(Seccomp|NoNewPrivs|CapEff|CapPrm|CapBnd|CapAmb):' /proc/self/status; \
                      printf 'NET %s\\n' \"$(readlink /proc/self/ns/net)\"; read -r _ _ _ _ _ session _ </proc/self/stat; echo SESSION $session\n";

const VIEW: &str = "ls -la / /tmp /proc 2>&1; cat /proc/1/environ /proc/1/cmdline 2>&1; ls /proc/self/fd; env; \
                    cat /etc/passwd; for f in /proc/[0-9]*/cmdline; do cat $f; echo; done\n";

/// The port stands in the kernel's command line.
const NETWORK: &str = r#"port=${*#*attack.port=}; port=${port%% *}; name=${*#*attack.name=}; name=${name%% *}
perl -e '
  socket(my $s, 2, 1, 0); my $to = pack("S n a4 x8", 2, $ARGV[0], "\x7f\0\0\1");
  print connect($s, $to) ? "TCP-REACHED\n" : "tcp: $!\n";
  socket(my $u, 1, 1, 0); print connect($u, pack("S a*", 1, "\0$ARGV[1]")) ? "ABSTRACT-REACHED\n" : "abstract: $!\n";
  socket(my $l, 2, 1, 0); print bind($l, pack("S n a4 x8", 2, 0, "\0\0\0\0")) && listen($l, 1) ? "listening\n" : "listen: $!\n";
' "$port" "$name"
echo LOOKED
"#;

/// Types at the terminal of whoever started the machine (ioctl_tty(2)).
const TERMINAL: &str = r#"perl -e 'for my $fd (0 .. 9) { open(my $t, "+<&=", $fd) or next; ioctl($t, 0x5412, my $c = $_) for split //, "TYPED\n" }
  if (open(my $t, "+<", "/dev/tty")) { ioctl($t, 0x5412, my $c = $_) for split //, "TYPED\n" }'
echo LOOKED
"#;

const KEYS: &str = "perl -e 'my ($t, $d) = (\"user\", \"kiln-canary\"); my $k = syscall(250, 10, -3, $t, $d, 0); my $b = \"\\0\" x 100; \
                    my $n = syscall(250, 11, $k, $b, 100); print \"KEY $k $n $b\\n\"'; cat /proc/keys; echo LOOKED\n";

fn packages(_: &Path) -> Vec<Package> {
    let scripts = [("status", STATUS), ("view", VIEW), ("network", NETWORK), ("terminal", TERMINAL), ("keys", KEYS)];
    let guest = |(name, text): (&str, &str)| {
        Package::new(&format!("guest-{name}"), "1.0").file("/usr/share/attack/guest", 0o644, text.as_bytes())
    };
    scripts.into_iter().map(guest).chain(host::lent("lent-perl", &["perl"])).collect()
}

/// Builds a machine with this QEMU; the command that starts it.
fn built(ground: &Ground, tally: &mut Tally, name: &str, machine: &str) -> Option<Vec<String>> {
    if !tally.can_build(ground) {
        return None;
    }
    let guest = format!("guest-{name}");
    let tools: &[&str] = if host::lent("lent-perl", &["perl"]).is_some() { &[&guest, "lent-perl"] } else { &[&guest] };
    let ended = ground.build(name, &Image { tools, machine, ..Image::default() });
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    Some(["run", "--accel", "tcg", "--allow-leaks", &format!("{name}.kiln")].map(str::to_owned).into())
}

/// A fact that is not as it must be; also when there is none.
fn expect(tally: &mut Tally, ended: &Ended, what: &str, good: impl Fn(&str) -> bool) {
    let text = ended.text();
    let line = text.lines().find(|line| line.trim_start().starts_with(what));
    let wrong = match line {
        None => Some(format!("QEMU never said `{what}`: {text}")),
        Some(line) => (!good(line.trim_start().trim_start_matches(what).trim())).then(|| line.trim().to_owned()),
    };
    tally.case(what, wrong);
}

fn confinement(ground: &Ground, tally: &mut Tally) {
    let Some(words) = built(ground, tally, "status", "") else { return };
    let ended = run(ground.kiln().args(&words));
    tally.case("it ends", ended.broken());
    expect(tally, &ended, "NoNewPrivs:", |value| value == "1");
    expect(tally, &ended, "CapEff:", |value| value.bytes().all(|byte| byte == b'0'));
    expect(tally, &ended, "CapPrm:", |value| value.bytes().all(|byte| byte == b'0'));
    expect(tally, &ended, "CapAmb:", |value| value.bytes().all(|byte| byte == b'0'));
    let own = std::fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    expect(tally, &ended, "NET", |value| !value.is_empty() && value != own);
    // 0 is a session outside of its namespace: that of whoever started it.
    expect(tally, &ended, "SESSION", |value| !value.is_empty() && value != "0");
    expect(tally, &ended, "QEMU-STARTED", |argv| argv.contains("-sandbox on,") && argv.contains("spawn=deny"));
}

/// Nothing of the host is seen, and nothing of who started it.
fn view(ground: &Ground, tally: &mut Tally) {
    let Some(words) = built(ground, tally, "view", "") else { return };
    let ended = run(ground.kiln().env("HOST_SECRET", super::canary::SECRET).args(&words));
    let text = ended.text();
    let said = &text[text.find("QEMU-STARTED").unwrap_or(text.len())..];
    let directory = ground.directory.display().to_string();
    for seen in [super::canary::SECRET, "KILN_MIRROR", directory.as_str(), "kiln-attack"] {
        let shown = said.contains(seen).then(|| format!("it sees `{seen}`: {said}"));
        tally.case(seen, shown.or(ended.broken()));
    }
}

fn network(ground: &Ground, tally: &mut Tally) {
    let trap = Trap::new();
    let name = format!("kiln-attack-{}", std::process::id());
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let machine = format!("append = [\"attack.port={}\", \"attack.name={name}\"]", trap.port());
    if host::lent("lent-perl", &["perl"]).is_none() {
        return tally.skip("no perl to lend");
    }
    let Some(words) = built(ground, tally, "network", &machine) else { return };
    let ended = run(ground.kiln().args(&words));
    let text = ended.text();
    for (way, word) in [("TCP to 127.0.0.1", "TCP-REACHED"), ("an abstract socket", "ABSTRACT-REACHED")] {
        let reached = text.contains(word).then(|| "it was reached".to_owned());
        let never = (!text.contains("LOOKED")).then(|| format!("nothing was tried: {text}"));
        tally.case(way, reached.or(never).or(ended.broken()));
    }
}

fn keyring(ground: &Ground, tally: &mut Tally) {
    let holds = "my ($n, $t, $k, $v) = (\"kiln-test\", \"user\", \"kiln-canary\", \"HOST-SECRET\"); syscall(250, 1, $n) > 0 or exit 77; \
                 syscall(248, $t, $k, $v, 11, -3) > 0 or exit 77; exec @ARGV";
    let wrapped = ["perl", "-e", holds];
    if run(ground.wrapped(&wrapped).arg("--version")).code != Some(0) {
        return tally.skip("no perl, or no session keyring, on this machine");
    }
    let Some(words) = built(ground, tally, "keys", "") else { return };
    let ended = run(ground.wrapped(&wrapped).args(&words));
    let text = ended.text();
    let seen = ["HOST-SECRET", "kiln-canary"].into_iter().find(|word| text.contains(word));
    let seen = seen.map(|word| format!("QEMU saw `{word}`: {text}"));
    let never = (!text.contains("LOOKED")).then(|| format!("nothing was tried: {text}"));
    tally.case("the caller's session keyring", seen.or(never));
}

/// kiln at a terminal: after it ended, nothing must be waiting there that nobody typed.
fn terminal(ground: &Ground, tally: &mut Tally) {
    let allowed = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").map_or(true, |text| text.trim() == "1");
    if !allowed || host::lent("lent-perl", &["perl"]).is_none() || !crate::suite::live::judge("setsid") {
        return tally.skip("this kernel lets nobody type for others, or there is no perl or setsid");
    }
    let Some(words) = built(ground, tally, "terminal", "") else { return };
    let (keyboard, slave) = pseudo_terminal();
    let streams = || Stdio::from(slave.as_fd().try_clone_to_owned().unwrap());
    let mut kiln = ground.wrapped(&["setsid", "--ctty", "--wait"]);
    let mut child = kiln.args(&words).stdin(streams()).stdout(streams()).stderr(streams()).spawn().unwrap();
    drop(kiln);
    let mut keyboard = std::fs::File::from(keyboard);
    let seen = std::thread::spawn(move || {
        let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(count) = keyboard.read(&mut buffer) {
            text.extend_from_slice(&buffer[..count]);
            if count == 0 || String::from_utf8_lossy(&text).contains("THE-END") {
                break;
            }
        }
        (keyboard, text)
    });
    let began = std::time::Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let waiting = rustix::io::ioctl_fionread(&slave).unwrap();
    std::fs::File::from(slave.try_clone().unwrap()).write_all(b"THE-END\n").unwrap();
    let (_keyboard, text) = seen.join().unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let typed = (waiting > 0).then(|| format!("{waiting} bytes that nobody typed wait for the user's shell"));
    let never = (!text.contains("LOOKED")).then(|| format!("nothing was tried: {text}"));
    tally.case("TIOCSTI", typed.or(never));
}

/// Both ends of a new terminal.
fn pseudo_terminal() -> (OwnedFd, OwnedFd) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let slave = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
    (master, slave)
}
