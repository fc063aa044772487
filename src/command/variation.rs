//! A build in a world that differs on purpose: what must not matter does not matter there.
//!
//! Kiln starts itself again with another store, working directory, home, user, language, time zone, umask and number of
//! processors; as root, where `unshare` is installed, with another host name too. Its steps see another wall clock, and
//! directories in another order.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::failure::Failure;
use crate::cli::RecipeArgs;
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
    lock: PathBuf,
    directory: PathBuf,
}

/// What came of it.
pub struct Second {
    /// Its store.
    pub store: Store,
    /// Its results.
    pub realized: Realized,
}

impl Variation {
    /// Below `place`, with a copy of the lock: what a build records in its lock is not this build's to record.
    pub fn new(place: &Path, lock: &Path) -> Result<Variation, Failure> {
        let directory = place.join("another directory");
        fs::create_dir_all(&directory).map_err(Failure::world)?;
        let copy = directory.join("copy.lock");
        let text = fs::read(lock, super::load::LOCK_LIMIT).map_err(Failure::world)?;
        fs::write_atomically(&copy, &text).map_err(Failure::world)?;
        Ok(Variation { store: place.join("store"), lock: copy, directory })
    }
}

/// Builds there. That bits differ from the lock's is no failure here: the comparison says it better.
pub fn build(variation: &Variation, args: &RecipeArgs) -> Result<(), Failure> {
    let this = fs::context("find", Path::new("/proc/self/exe"), std::env::current_exe()).map_err(Failure::world)?;
    let recipe = fs::context("resolve", &args.recipe, args.recipe.canonicalize()).map_err(Failure::world)?;
    let host = may_rename();
    let mut command = Command::new(if host { "unshare" } else { "/bin/sh" });
    if host {
        command.args(["--uts", "/bin/sh"]).env("KILN_HOSTNAME", NAME);
    } else {
        crate::tell!("second build: same host name (another one needs root and unshare)");
    }
    command.args(["-c", SHELL, "sh"]).arg(this).arg("build").arg(recipe).args([
        "--jobs",
        "1",
        "--allow-leaks",
        "--vary",
        "--lock",
    ]);
    command.arg(&variation.lock).arg("--out").arg(variation.directory.join("out"));
    for (name, value) in &args.set {
        command.arg("--set").arg(format!("{name}={value}"));
    }
    command.current_dir(&variation.directory).env("KILN_STORE", &variation.store).env("HOME", &variation.directory);
    // The user's mirrors are still theirs.
    if let Some(directory) = config_directory() {
        command.env("XDG_CONFIG_HOME", directory);
    }
    command.envs(ENVIRONMENT).stdout(std::process::Stdio::null());
    let status = fs::context("start", Path::new("/bin/sh"), command.status()).map_err(Failure::world)?;
    match status.code() {
        Some(0 | 3) => Ok(()),
        Some(130) | None => Err(Failure::Interrupted),
        Some(code) => Err(Failure::World(format!("the second build failed with exit code {code}; see above"))),
    }
}

fn config_directory() -> Option<PathBuf> {
    let world = crate::world::RealWorld::default();
    let variable = |name| crate::world::World::env(&world, name).map(PathBuf::from);
    variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")))
}

/// Whether a namespace with another host name can be had.
fn may_rename() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--uts", "/bin/sh", "-c", "echo x >/proc/sys/kernel/hostname"]);
    probe.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
