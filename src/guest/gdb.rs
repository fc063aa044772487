//! The gdb stub of a machine: QEMU listens on a socket of the run, and kiln passes on what comes to a port of this host.
//!
//! QEMU has no network of its own, so that its stub cannot listen on a port. The port is one of the loopback address; gdb can
//! do with the guest what it likes, and with nothing else.

mod relay;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

pub use relay::GdbRelay;

use super::{GuestError, Launch, launch};
use crate::machine::LaunchAdditions;
use crate::machine::argv::quote;
use crate::plan::ArtifactKind;
use crate::world::dir::Dir;

/// The socket's name in the directory of the run.
const SOCKET: &str = "gdb";
/// Without it the kernel is somewhere else than its symbols say.
const NO_KASLR: &str = "nokaslr";
/// Where kernels are compiled, which their debug information says.
const BUILT_AT: &str = "/kiln/build/linux";

/// How a machine is debugged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GdbStub {
    /// Of the loopback address.
    pub port: u16,
    pub start: GuestStart,
    /// The source of the kernel on this host, if it is known.
    pub source: Option<PathBuf>,
    pub artifacts: ArtifactsOrigin,
}

/// Who made the files that gdb reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArtifactsOrigin {
    /// A build of this user.
    Built,
    /// A result directory, which anybody may have handed over: its `vmlinux-gdb.py` is a program.
    Given,
}

/// When the guest begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestStart {
    AtOnce,
    /// When gdb says so.
    OnContinue,
}

impl GdbStub {
    /// What the start of the machine has besides.
    pub fn add_to(&self, additions: &mut LaunchAdditions) {
        additions.append.push(NO_KASLR.to_owned());
        let socket = format!("unix:{}/{SOCKET},server=on,wait=off", launch::RUN);
        additions.arguments.extend(["-gdb".to_owned(), socket]);
        if self.start == GuestStart::OnContinue {
            additions.arguments.push("-S".to_owned());
        }
    }

    /// What a command line has besides that is printed: QEMU itself listens where kiln would.
    pub fn add_to_printed(&self, additions: &mut LaunchAdditions) {
        self.add_to(additions);
        let printed = format!("tcp:{}:{}", Ipv4Addr::LOCALHOST, self.port);
        let values = additions.arguments.iter_mut().filter(|word| word.starts_with("unix:") && word.contains(SOCKET));
        values.for_each(|word| word.clone_from(&printed));
    }

    /// Listens, and passes on what comes as long as the value lives; `run` is the directory that QEMU knows as its own.
    pub fn open(&self, machine: &str, run: &Path) -> Result<GdbRelay, GuestError> {
        let (host, port) = (Ipv4Addr::LOCALHOST, self.port);
        let refused = |error: std::io::Error| match error.kind() {
            ErrorKind::AddrInUse => GuestError::GdbPortTaken { machine: machine.to_owned(), port },
            _ => {
                let (machine, host, reason) = (machine.to_owned(), host.to_string(), error.to_string());
                GuestError::Port { machine, host, port, reason }
            }
        };
        let listener = TcpListener::bind((host, port)).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        Ok(GdbRelay::start(listener, Dir::open(run)?))
    }

    /// What to type, and what to know.
    pub fn notices(&self, launch: &Launch) -> Vec<String> {
        let waits = if self.start == GuestStart::OnContinue { "; the guest waits for `continue`" } else { "" };
        let mut lines = vec![format!("machine {}: gdb stub on 127.0.0.1:{}{waits}", launch.machine, self.port)];
        let file = |kind: ArtifactKind| launch.artifacts.join(kind.file_name());
        let vmlinux = file(ArtifactKind::Vmlinux);
        if !vmlinux.is_file() {
            let options = "`option DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT = y` and `option GDB_SCRIPTS = y`";
            lines.push(format!("its kernel comes without symbols: a compiled one delivers them with {options}"));
            return lines;
        }
        let mut words = vec!["gdb".to_owned()];
        if self.artifacts == ArtifactsOrigin::Given {
            // gdb runs scripts that are named in a file of symbols or lie beside it, if its user has allowed such places.
            words.extend(["-iex", "set auto-load off"].map(str::to_owned));
        }
        words.push(vmlinux.display().to_string());
        let mut command = |text: String| words.extend(["-ex".to_owned(), text]);
        if let Some(source) = &self.source {
            command(format!("set substitute-path {BUILT_AT} {}", argument(source)));
        }
        let scripts = file(ArtifactKind::GdbScripts);
        let has_scripts = scripts.is_file();
        if has_scripts && self.artifacts == ArtifactsOrigin::Built {
            command(format!("source {}", scripts.display()));
        }
        command(format!("target remote 127.0.0.1:{}", self.port));
        if has_scripts && self.artifacts == ArtifactsOrigin::Given {
            let name = ArtifactKind::GdbScripts.file_name();
            lines
                .push(format!("{name} of a result directory is a program that gdb would run as you; it is not loaded"));
        }
        lines.push(words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "));
        lines
    }
}

/// A path as one argument of gdb's command: quotes, blanks and backslashes would end or change it (libiberty's `buildargv`).
fn argument(path: &Path) -> String {
    let text = path.display().to_string();
    let special = |c: char| matches!(c, '\'' | '"' | '\\') || c.is_whitespace();
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::launch::tests::launch;
    use crate::world::eventually::eventually;
    use crate::world::fs;

    #[test]
    fn a_stub_is_part_of_the_start_and_of_nothing_else() {
        let mut additions = LaunchAdditions::default();
        let stub = GdbStub { port: 1234, start: GuestStart::AtOnce, source: None, artifacts: ArtifactsOrigin::Built };
        stub.add_to(&mut additions);
        assert_eq!(additions.append, ["nokaslr"]);
        assert_eq!(additions.arguments, ["-gdb", "unix:/kiln/run/gdb,server=on,wait=off"]);
        GdbStub { start: GuestStart::OnContinue, ..stub }.add_to(&mut additions);
        assert_eq!(additions.arguments.last().unwrap(), "-S");
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let run = std::env::temp_dir();
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let stub = GdbStub { port, start: GuestStart::AtOnce, source: None, artifacts: ArtifactsOrigin::Built };
        assert!(matches!(stub.open("m", &run), Err(GuestError::GdbPortTaken { .. })));
        drop(taken);
        eventually("the port is free", || stub.open("m", &run).is_ok());
    }

    #[test]
    fn scripts_of_a_directory_that_was_given_are_not_run() {
        let directory = std::env::temp_dir().join(format!("kiln-gdb-{}-scripts", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        for kind in [ArtifactKind::Vmlinux, ArtifactKind::GdbScripts] {
            fs::write_atomically(&directory.join(kind.file_name()), b"").unwrap();
        }
        let launch = Launch { artifacts: directory.clone(), ..launch("") };
        let said = |artifacts| {
            GdbStub { port: 1234, start: GuestStart::AtOnce, source: None, artifacts }.notices(&launch).join("\n")
        };
        let (built, given) = (said(ArtifactsOrigin::Built), said(ArtifactsOrigin::Given));
        assert!(built.contains("-ex 'source ") && !built.contains("auto-load"), "{built}");
        assert!(!given.contains("source ") && given.contains("\ngdb -iex 'set auto-load off' /"), "{given}");
        let source = Some("/home/me/my 'own\\ linux".into());
        let stub = GdbStub { port: 1, start: GuestStart::AtOnce, source, artifacts: ArtifactsOrigin::Given };
        let said = stub.notices(&launch).join("\n");
        // Within the quotes of the shell, as gdb is to read it.
        assert!(said.contains(&quote(r"set substitute-path /kiln/build/linux /home/me/my\ \'own\\\ linux")), "{said}");
        assert!(given.contains("vmlinux-gdb.py of a result directory is a program"), "{given}");
        fs::remove_tree(&directory).unwrap();
    }
}
