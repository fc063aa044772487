//! The servers of virtio-fs: a process for each share, in a sandbox that has nothing but its directory and its socket.
//!
//! Input: shares, and the packages of QEMU, which have the program. Output: processes that listen, and that end with the
//! machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use super::{INSIDE, Share};
use crate::exec::sandbox::{
    self, DirectoryAccess, HOST_NAME, HostDirectory, Mount, Privileges, Root, Running, SandboxIds, Spec, Streams,
};
use crate::guest::GuestError;
use crate::guest::clock::Deadline;
use crate::world::dir::Dir;
use crate::world::fs;

/// The program in the packages of QEMU.
const PROGRAM: &str = "/usr/libexec/virtiofsd";
/// Where QEMU finds the directories of sockets, which it can only read.
const SOCKETS: &str = "/kiln/sockets";
const SOCKET: &str = "socket";
/// Where a server has the directory of its socket.
const RUN: &str = "/kiln/run";
/// It listens at once, on a busy host too.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Files that a guest may hold; as many as virtiofsd asks for by itself.
const MAX_FILES: u64 = 1_000_000;
/// Bytes of its errors that are reported.
const MAX_ERRORS_BYTES: u64 = 1 << 20;

/// Servers that run; dropping them ends them.
#[derive(Default)]
pub struct FileServers {
    _running: Vec<Running>,
}

/// Where the servers of a machine are started.
#[derive(Debug, Clone, Copy)]
pub struct ServerPlaces<'a> {
    /// For messages.
    pub machine: &'a str,
    /// The packages of its QEMU.
    pub tree: &'a Path,
    /// The directory of its run, which its QEMU may have filled with links: nothing is made or removed in there.
    pub run: &'a Path,
}

/// Whether QEMU's packages have a server.
pub(super) fn is_in(tree: &Path) -> bool {
    let directory =
        ["usr", "libexec"].iter().try_fold(Dir::open_named(tree).ok(), |held, part| Some(held?.below(part).ok()));
    directory.flatten().is_some_and(|held| held.plain("virtiofsd").is_ok())
}

/// Where QEMU connects to the server of a share.
pub(super) fn socket(name: &str) -> String {
    format!("{SOCKETS}/{name}/{SOCKET}")
}

/// What QEMU is shown of the servers.
pub(super) fn mount(run: &Path) -> Mount {
    Mount { source: beside(run), target: SOCKETS.into(), readonly: true }
}

/// The directories of sockets, beside that of the run. No name of a run ends like this: those of machines have no dots.
fn beside(run: &Path) -> PathBuf {
    let mut path = run.as_os_str().to_owned();
    path.push(".shares");
    path.into()
}

impl FileServers {
    /// Starts a server for each share, and returns when all listen.
    pub fn start(shares: &[Share], places: ServerPlaces<'_>) -> Result<FileServers, GuestError> {
        let started = shares.iter().map(|share| start(share, places)).collect::<Result<_, _>>();
        started.map(|_running| FileServers { _running })
    }
}

fn start(share: &Share, places: ServerPlaces<'_>) -> Result<Running, GuestError> {
    let run = beside(places.run).join(&share.name);
    // Beside the directory that the server may write to.
    let errors = beside(places.run).join(format!("{}.log", share.name));
    // What an earlier start left behind.
    fs::remove_tree(&run)?;
    fs::remove_file(&errors)?;
    fs::create_dir_all(&run)?;
    let failed = |what: String| {
        let said = fs::read(&errors, MAX_ERRORS_BYTES).unwrap_or_default();
        let (machine, said) = (places.machine.to_owned(), String::from_utf8_lossy(&said).trim().to_owned());
        GuestError::Qemu { machine, what: format!("lacks share {}: virtiofsd {what}", share.name), said }
    };
    let streams = Streams { stdin: Stdio::null(), stdout: Stdio::null(), stderr: fs::create_anew(&errors)?.into() };
    let spec = spec(share, places.tree, &run);
    let mut running =
        sandbox::spawn(&spec, streams).map_err(|error| failed(format!("could not be started: {error}")))?;
    let deadline = Deadline::after(START_TIMEOUT);
    while !run.join(SOCKET).exists() {
        match running.wait_timeout(POLL_INTERVAL) {
            Ok(None) if !deadline.passed() => {}
            Ok(None) => return Err(failed("does not listen".to_owned())),
            Ok(Some(status)) => return Err(failed(format!("ended ({status})"))),
            Err(sandbox::SandboxError::Cancelled) => return Err(GuestError::Interrupted),
            Err(error) => return Err(failed(format!("was lost: {error}"))),
        }
    }
    Ok(running)
}

fn spec(share: &Share, tree: &Path, run: &Path) -> Spec {
    let env = [("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), ("HOME", "/tmp"), ("TMPDIR", "/tmp"), ("PATH", "/usr/bin")];
    Spec {
        root: Root::ReadOnly(tree.to_owned()),
        mounts: vec![Mount { source: run.to_owned(), target: RUN.into(), readonly: false }],
        directories: vec![HostDirectory { target: INSIDE.into(), ..share.in_sandbox() }],
        ids: SandboxIds::Single,
        privileges: Privileges::GivingUp,
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        argv: argv(share.access),
        hostname: HOST_NAME.to_owned(),
        grace: std::time::Duration::ZERO,
        cwd: PathBuf::from("/tmp"),
    }
}

/// The sandbox is kiln's, and there it needs no capability. Whatever user the guest names, files belong to the directory's
/// owner.
fn argv(access: DirectoryAccess) -> Vec<String> {
    let files = getrlimit(Resource::Nofile).maximum.map_or(MAX_FILES, |most| most.min(MAX_FILES));
    let capabilities = ["chown", "dac_override", "fowner", "fsetid", "setgid", "setuid", "mknod", "setfcap"];
    let mut argv = vec![
        PROGRAM.to_owned(),
        format!("--socket-path={RUN}/{SOCKET}"),
        format!("--shared-dir={INSIDE}"),
        "--sandbox=none".to_owned(),
        format!("--modcaps={}", capabilities.map(|name| format!("-{name}")).join(":")),
        format!("--translate-uid=squash-guest:0:0:{}", u32::MAX),
        format!("--translate-gid=squash-guest:0:0:{}", u32::MAX),
        format!("--rlimit-nofile={files}"),
        "--no-announce-submounts".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    argv.extend((access == DirectoryAccess::ReadOnly).then(|| "--readonly".to_owned()));
    argv
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::sandbox::DirectoryIdentity;

    /// QEMU can write to the directory of its run, and the next start is in the same one.
    #[test]
    fn links_in_the_directory_of_a_run_lead_a_start_nowhere() {
        let ground = std::env::temp_dir().join(format!("kiln-virtiofsd-{}", std::process::id()));
        let (run, home) = (ground.join("m"), ground.join("home"));
        for directory in [&run, &home.join("a")] {
            fs::create_dir_all(directory).unwrap();
        }
        for file in ["a/precious", "a.log"] {
            fs::write_atomically(&home.join(file), b"mine").unwrap();
        }
        for name in ["shares", "sockets", "m.shares"] {
            std::os::unix::fs::symlink(&home, run.join(name)).unwrap();
        }
        let identity = DirectoryIdentity::of(&fs::metadata(&home).unwrap());
        let share = Share { name: "a".into(), directory: home.clone(), identity, access: DirectoryAccess::ReadOnly };
        let tree = ground.join("no tree");
        assert!(FileServers::start(&[share], ServerPlaces { machine: "m", tree: &tree, run: &run }).is_err());
        assert!(ground.join("m.shares/a").is_dir(), "a start makes the directory of the socket");
        for file in ["a/precious", "a.log"] {
            assert_eq!(fs::read(&home.join(file), 9).unwrap(), b"mine", "{file}");
        }
        let seen = mount(&run);
        assert!(seen.readonly && !seen.source.starts_with(&run), "{seen:?}");
        fs::remove_tree(&ground).unwrap();
    }
}
