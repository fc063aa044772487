//! How the owner of a run gets into its guests: keys that are handed over at the start, and what `ssh` must know.
//!
//! The image knows nothing of it. systemd in the guest (252 and newer) writes root's keys out of a credential
//! (`provision.conf` of systemd-tmpfiles). That leaves a file alone which is there already, so a line of kiln's writes the
//! same keys, at every boot, to sshd's second file. Besides the user's keys there is one of the run's own: `kiln ssh` works
//! without any key of the user, and a passphrase or an agent is not asked for.
//!
//! The guest's host key is another one in each run. It is remembered in the private directory of the run, never in the
//! user's `known_hosts`. It can be believed when it is seen first: the port is on 127.0.0.1, and kiln itself holds it for as
//! long as the run goes on.

use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::clock::Deadline;
use super::rundir::RunDir;
use super::running::RunningMachine;
use super::{GuestError, Launch};
use crate::machine::argv::Credential;
use crate::world::fs;

/// Where a guest's sshd listens.
pub const PORT: u16 = 22;
// Names in the directory of the run, beside directories named after machines, whose names have no dots.
/// The run's own key.
const KEY: &str = "ssh.key";
/// Its public half, as ssh-keygen names it.
const PUBLIC_KEY: &str = "ssh.key.pub";
/// What `ssh -F` reads.
const CONFIG: &str = "ssh.config";
/// Host keys of the guests.
const KNOWN_HOSTS: &str = "ssh.known_hosts";
/// No public key of one line is longer.
const MAX_KEY_BYTES: u64 = 16 << 10;
/// What a server says first (RFC 4253, 4.2).
const BANNER: &[u8] = b"SSH-";
/// A guest under software emulation on a busy host boots for minutes.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// Between two looks.
const RETRY_INTERVAL: Duration = Duration::from_millis(300);

/// Who may log in as root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshAccess {
    /// Lines of `authorized_keys`.
    pub keys: Vec<String>,
    /// Names of the files that they are from.
    pub names: Vec<String>,
    /// What the machines were started from, as the user said it.
    pub source: PathBuf,
}

impl SshAccess {
    /// Makes the key of the run, if this host has OpenSSH: without it nothing here could use the key.
    pub fn with_own_key(mut self, run: &RunDir) -> Result<SshAccess, GuestError> {
        let path = run.path().join(KEY);
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "kiln-run", "-f"]).arg(&path);
        let made = keygen.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if made.is_ok_and(|status| status.success()) {
            let public = fs::read(&run.path().join(PUBLIC_KEY), MAX_KEY_BYTES)?;
            self.keys.insert(0, String::from_utf8_lossy(&public).trim().to_owned());
        }
        Ok(self)
    }

    /// What a machine's systemd is handed.
    pub fn credentials(&self, launch: &Launch) -> Vec<Credential> {
        if self.keys.is_empty() {
            return Vec::new();
        }
        let keys = self.keys.iter().map(|key| format!("{key}\n")).collect();
        // The same credential on the kernel's command line counts less, so what stands there is said again.
        let mut lines = launch.description.networks.file_lines(&launch.machine);
        lines.push_str("d %h/.ssh 0700 root root -\n");
        lines.push_str("f+^ %h/.ssh/authorized_keys2 0600 root root - ssh.authorized_keys.root\n");
        vec![
            Credential { name: "ssh.authorized_keys.root", text: keys },
            Credential { name: "tmpfiles.extra", text: lines },
        ]
    }

    /// What the user is told of a machine with a forwarded port.
    pub fn notice(&self, (machine, options): (&str, &str), port: u16) -> String {
        let own = format!("`kiln ssh {}{options}`", self.source.display());
        match &self.names[..] {
            [] => format!("log in to {machine} with {own} (no key of yours in ~/.ssh; --ssh-key FILE takes another)"),
            names => format!(
                "log in to {machine} with {own}, or `ssh -p {port} root@127.0.0.1` with your key ({})",
                names.join(", ")
            ),
        }
    }
}

/// Writes what `ssh -F` reads: a host for each machine, by its name.
pub fn write_config(run: &RunDir, machines: &[RunningMachine]) -> Result<(), GuestError> {
    let key = Some(run.path().join(KEY)).filter(|key| key.exists());
    let known = run.path().join(KNOWN_HOSTS);
    let hosts = machines.iter().filter_map(|machine| Some(host(&machine.name, machine.ssh?, (key.as_deref(), &known))));
    let text: String = hosts.collect();
    Ok(fs::write_with_mode(&run.path().join(CONFIG), text.as_bytes(), 0o600)?)
}

fn host(name: &str, port: u16, (key, known): (Option<&Path>, &Path)) -> String {
    let mut text = format!(
        "Host {name}\n  HostName {}\n  Port {port}\n  User root\n  HostKeyAlias {name}\n  \
         UserKnownHostsFile \"{}\"\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking accept-new\n  \
         UpdateHostKeys no\n  LogLevel ERROR\n",
        Ipv4Addr::LOCALHOST,
        known.display()
    );
    if let Some(key) = key {
        text.push_str(&format!("  IdentityFile \"{}\"\n  IdentitiesOnly yes\n", key.display()));
    }
    text
}

/// The file for `ssh -F` of a run.
pub fn config(run: &Path) -> PathBuf {
    run.join(CONFIG)
}

/// What came of waiting for a guest's sshd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SshAnswer {
    /// It answers.
    Ready,
    /// Nobody holds the port any more.
    Ended,
    /// It does not.
    Silent,
    /// The user ended the wait.
    Interrupted,
}

/// Waits until sshd answers behind a port of 127.0.0.1; `told` is called once if that takes a while.
pub fn wait(port: u16, interrupted: &AtomicBool, told: &dyn Fn()) -> SshAnswer {
    let deadline = Deadline::after(ANSWER_TIMEOUT);
    let mut said = false;
    while !deadline.passed() {
        if interrupted.load(Ordering::Relaxed) {
            return SshAnswer::Interrupted;
        }
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Err(_) => return SshAnswer::Ended,
            Ok(stream) if greets(&stream) => return SshAnswer::Ready,
            Ok(_) => {}
        }
        if !said && deadline.elapsed() > Duration::from_secs(2) {
            said = true;
            told();
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
    SshAnswer::Silent
}

/// Whether what is behind a connection greets as sshd does. The user network holds a connection while the guest boots.
fn greets(mut stream: &TcpStream) -> bool {
    let mut start = [0; BANNER.len()];
    stream.set_read_timeout(Some(Duration::from_secs(3))).is_ok()
        && stream.read_exact(&mut start).is_ok()
        && start == BANNER
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;
    use crate::guest::launch::tests::launch;

    #[test]
    fn keys_come_as_one_credential_and_a_line_that_writes_it() {
        let access = SshAccess { keys: vec!["ssh-ed25519 A".into(), "ssh-rsa B".into()], ..SshAccess::default() };
        let [keys, lines] = &access.credentials(&launch(""))[..] else { panic!("two credentials") };
        assert_eq!((keys.name, keys.text.as_str()), ("ssh.authorized_keys.root", "ssh-ed25519 A\nssh-rsa B\n"));
        assert!(lines.text.ends_with("- ssh.authorized_keys.root\n") && !lines.text.contains("/etc/hosts"));
        assert_eq!(SshAccess::default().credentials(&launch("")), []);
    }

    #[test]
    fn a_run_has_a_configuration_of_its_own_for_ssh() {
        let base = std::env::temp_dir().join(format!("kiln-ssh-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        let run = RunDir::new(&base).unwrap();
        let machine = |name: &str, ssh| RunningMachine { name: name.into(), ssh, ..RunningMachine::default() };
        write_config(&run, &[machine("a", Some(2222)), machine("b", None)]).unwrap();
        let text = String::from_utf8(fs::read(&config(run.path()), 1 << 16).unwrap()).unwrap();
        assert!(text.starts_with("Host a\n  HostName 127.0.0.1\n  Port 2222\n") && !text.contains("Host b"), "{text}");
        assert!(text.contains("kiln-run-") && !text.contains("IdentityFile"), "{text}");
        drop(run);
        fs::remove_tree(&base).unwrap();
    }

    #[test]
    fn files_of_a_run_and_directories_of_its_machines_have_different_names() {
        for file in [KEY, PUBLIC_KEY, CONFIG, KNOWN_HOSTS] {
            assert!(!crate::syntax::lexeme::is_name(file), "a machine can be called {file}");
        }
        let base = std::env::temp_dir().join(format!("kiln-ssh-names-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        let run = RunDir::new(&base).unwrap();
        // Names of files that a kiln of the past had there.
        let names = ["ssh-key", "ssh_config", "known_hosts"];
        let machine = |name: &str| RunningMachine { name: name.into(), ssh: Some(22), ..RunningMachine::default() };
        names.iter().for_each(|name| drop(run.sub(name).unwrap()));
        let access = SshAccess::default().with_own_key(&run).unwrap();
        write_config(&run, &names.map(machine)).unwrap();
        let text = String::from_utf8(fs::read(&config(run.path()), 1 << 16).unwrap()).unwrap();
        assert_eq!(text.contains("IdentityFile"), !access.keys.is_empty(), "{text}");
        assert!(names.iter().all(|name| text.contains(&format!("Host {name}\n"))), "{text}");
        drop(run);
        fs::remove_tree(&base).unwrap();
    }

    #[test]
    fn a_wait_ends_with_a_greeting_or_when_nobody_listens() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            drop(listener.accept().unwrap());
            listener.accept().unwrap().0.write_all(b"SSH-2.0-x\r\n").unwrap();
        });
        let idle = AtomicBool::new(false);
        assert_eq!(wait(port, &idle, &|| ()), SshAnswer::Ready);
        server.join().unwrap();
        assert_eq!(wait(port, &idle, &|| ()), SshAnswer::Ended);
        assert_eq!(wait(port, &AtomicBool::new(true), &|| ()), SshAnswer::Interrupted);
    }
}
