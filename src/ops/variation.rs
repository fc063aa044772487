//! A build in a world that differs on purpose: what must not matter does not matter there.
//!
//! The program that the caller names is started with another store, working directory, home, user, language, time zone, umask and number of
//! processors; as root, where `unshare` is installed, with another host name too. Its steps see another wall clock, and
//! directories in another order.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::OpsError;
use super::event::Notice;
use super::session::Session;
use crate::deliver::manifest;
use crate::exec::Realized;
use crate::store::Store;
use crate::world::fs;

/// Runs its arguments under another umask, and another host name where that is allowed. The name is written, not set
/// with a program, which may not be there.
const SHELL: &str =
    "if [ -n \"$KILN_HOSTNAME\" ]; then echo \"$KILN_HOSTNAME\" >/proc/sys/kernel/hostname || exit 1; fi
unset KILN_HOSTNAME; umask 077; exec \"$@\"";

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
    let status = fs::context("start", Path::new("/bin/sh"), command.status())?;
    match status.code() {
        Some(0) => Ok(()),
        // The bits differ from the lock's. What ended for another reason, before anything was built, delivered nothing.
        Some(3) if variation.out.join(manifest::FILE).is_file() => Ok(()),
        Some(130) | None => Err(OpsError::Interrupted),
        Some(code) => Err(OpsError::SecondBuild(code)),
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
