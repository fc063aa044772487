//! A build in a world that differs on purpose: what must not matter does not matter there.
//!
//! The program that the caller names is started with another store, working directory, home, user, language, time zone, umask and number of
//! processors; as root, where `unshare` is installed, with another host name too. Its steps see another wall clock, and
//! directories in another order.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::error::{ErrorClass, OpsError};
use super::event::Notice;
use super::session::Session;
use crate::deliver::manifest;
use crate::exec::{Realized, interrupt};
use crate::store::Store;
use crate::world::fs;

/// Runs its arguments under another umask, and another host name where that is allowed. The name is written, not set
/// with a program, which may not be there.
const SHELL: &str =
    "if [ -n \"$KILN_HOSTNAME\" ]; then echo \"$KILN_HOSTNAME\" >/proc/sys/kernel/hostname || exit 4; fi
unset KILN_HOSTNAME; umask 077; exec \"$@\"";

/// How often the second build is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Another host's name: longer than most, with a capital, since something may fold it.
const NAME: &str = "Another-host-0";

/// Variables of the other world.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("TZ", "Pacific/Kiritimati"),
    ("LANG", "tr_TR.UTF-8"),
    ("LC_ALL", "tr_TR.UTF-8"),
    ("USER", "eve"),
    ("LOGNAME", "eve"),
    ("SOURCE_DATE_EPOCH", "1"),
];

/// Where the other build goes.
pub struct Variation {
    /// Its store.
    pub store: PathBuf,
    /// A copy of the lock: what that build records in its lock is not this build's to record.
    pub lock: PathBuf,
    /// Where its artifacts go.
    pub out: PathBuf,
    directory: PathBuf,
}

/// The argv of a program that builds the same recipe with the lock and the output directory of a variation, from
/// another working directory: one processor, `BuildOptions::variation`, and traces of the machine only told.
pub type SecondBuild<'a> = dyn Fn(&Variation) -> Result<Vec<OsString>, OpsError> + 'a;

/// What came of it.
pub(super) struct Second {
    /// Its store.
    pub store: Store,
    /// Its results.
    pub realized: Realized,
}

impl Variation {
    /// The places below `place`, at which nothing is made yet.
    pub fn at(place: &Path) -> Variation {
        let directory = place.join("another directory");
        Variation {
            store: place.join("store"),
            lock: directory.join("copy.lock"),
            out: directory.join("out"),
            directory,
        }
    }

    /// Below `place`, with a copy of the lock.
    pub(super) fn new(place: &Path, lock: &Path) -> Result<Variation, OpsError> {
        let variation = Variation::at(place);
        fs::create_dir_all(&variation.directory)?;
        let text = fs::read(lock, super::load::LOCK_LIMIT)?;
        fs::write_atomically(&variation.lock, &text)?;
        Ok(variation)
    }
}

/// Builds there. That bits differ from the lock's is no failure here: the comparison says it better.
pub(super) fn build(session: &Session<'_>, variation: &Variation, again: &SecondBuild<'_>) -> Result<(), OpsError> {
    let host = may_rename();
    let mut command = Command::new(if host { "unshare" } else { "/bin/sh" });
    if host {
        command.args(["--uts", "/bin/sh"]).env("KILN_HOSTNAME", NAME);
    } else {
        session.notice(Notice::SameHostName);
    }
    command.args(["-c", SHELL, "sh"]).args(again(variation)?);
    command.current_dir(&variation.directory).env("KILN_STORE", &variation.store).env("HOME", &variation.directory);
    // The user's mirrors are still theirs.
    if let Some(directory) = config_directory(session) {
        command.env("XDG_CONFIG_HOME", directory);
    }
    command.envs(ENVIRONMENT).stdout(std::process::Stdio::null());
    let status = finish(fs::context("start", Path::new("/bin/sh"), command.spawn())?)?;
    match status.code().and_then(ErrorClass::of_exit_code) {
        _ if status.success() => Ok(()),
        // The bits differ from the lock's. What ended for another reason, before anything was built, delivered nothing.
        Some(ErrorClass::Mismatch) if variation.out.join(manifest::FILE).is_file() => Ok(()),
        Some(ErrorClass::Interrupted) => Err(OpsError::Interrupted),
        _ => Err(OpsError::SecondBuild(status)),
    }
}

/// Waits for the end of the second build, which an interrupt of this process interrupts as well: only Ctrl-C reaches
/// both of them, and what is sent to this process alone must not leave the other behind.
fn finish(mut child: Child) -> Result<ExitStatus, OpsError> {
    let program = Path::new("/bin/sh");
    let mut told = false;
    loop {
        if let Some(status) = fs::context("wait for", program, child.try_wait())? {
            return if told { Err(OpsError::Interrupted) } else { Ok(status) };
        }
        if !told && interrupt::flag().load(Ordering::Relaxed) {
            told = true;
            // It was not waited for yet, so its number is nobody else's.
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn config_directory(session: &Session<'_>) -> Option<PathBuf> {
    let variable = |name| session.world.env(name).map(PathBuf::from);
    variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")))
}

/// Whether a namespace with another host name can be had.
fn may_rename() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--uts", "/bin/sh", "-c", "echo x >/proc/sys/kernel/hostname"]);
    probe.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write, stdin};
    use std::process::Stdio;

    use super::*;
    use crate::exec::interrupt::{Interruptible, RunningWork};
    use crate::world::{RealWorld, World};

    const PARENT: &str = "KILN_TEST_PARENT";

    /// Not a test by itself: the process that the next test interrupts, while a second build runs.
    #[test]
    fn parent() {
        if RealWorld::default().env(PARENT).is_none() {
            return;
        }
        let _running = Interruptible::start(RunningWork::SecondBuild);
        let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        println!("\nchild {}", child.id());
        std::thread::spawn(|| {
            stdin().lines().next();
            interrupt::stop();
        });
        assert!(matches!(finish(child), Err(OpsError::Interrupted)));
    }

    #[test]
    fn an_interrupt_ends_the_second_build() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "ops::variation::tests::parent"]).env(PARENT, "1");
        let mut parent = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(parent.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut children = lines.filter_map(|line| line.strip_prefix("child ").map(str::to_owned));
        let child = children.next().unwrap();
        assert!(Path::new("/proc").join(&child).exists());
        parent.stdin.take().unwrap().write_all(b"stop\n").unwrap();
        assert!(parent.wait().unwrap().success());
        assert!(!Path::new("/proc").join(&child).exists(), "the second build lives on");
    }
}
