//! Runs a program of the image in the image, in a sandbox within the step's own user namespace.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use crate::base::Timestamp;
use crate::exec::log::shortened;
use crate::exec::sandbox::{self, Mount, Privileges, SandboxIds, Spec};
use crate::exec::tree::{HostPath, RootError};
use crate::exec::variation;

/// Lines of a failed program that an error shows.
const TAIL: usize = 30;

/// What maintainer scripts see: nothing of the builder's machine, and every switch for "nobody is there to ask".
const ENVIRONMENT: [(&str, &str); 13] = [
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ("DEBCONF_NOWARNINGS", "yes"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("HOME", "/nonexistent"),
    // Kernel packages ask it before they build an initramfs; kiln writes its own.
    ("INITRD", "No"),
    ("LC_ALL", "C.UTF-8"),
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("PERL_HASH_SEED", "0"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PYTHONHASHSEED", "0"),
    ("SYSTEMD_OFFLINE", "1"),
    ("TERM", "dumb"),
    ("TZ", "UTC"),
];

/// Runs images' programs and keeps their last lines for errors.
pub(crate) struct Runner<'a> {
    pub(crate) root: &'a HostPath,
    /// The name of the machine that programs see.
    pub(crate) hostname: &'a str,
    pub(crate) epoch: Timestamp,
    /// Files and directories of the host, and where they are to be seen.
    pub(crate) mounts: Vec<(PathBuf, String)>,
    /// A library that programs are to load.
    pub(crate) variation: Option<&'a Path>,
    /// Hears what belongs into the step's log.
    pub(crate) log: &'a (dyn Fn(&str) + Sync),
}

impl Runner<'_> {
    /// Runs a shell script; `what` says in errors what it was for. Every line goes to `heard`, too.
    pub(crate) fn script(
        &self,
        what: &'static str,
        script: &str,
        heard: &mut dyn FnMut(&str),
    ) -> Result<(), RootError> {
        let mut env: BTreeMap<String, String> =
            ENVIRONMENT.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        env.insert("SOURCE_DATE_EPOCH".to_owned(), self.epoch.0.to_string());
        let mount = |(source, target): &(PathBuf, String)| Mount {
            source: source.clone(),
            target: PathBuf::from(target),
            readonly: true,
        };
        let mut spec = Spec {
            root: self.root.writable(),
            mounts: self.mounts.iter().map(mount).collect(),
            ids: SandboxIds::Inherit,
            privileges: Privileges::Build,
            directories: Vec::new(),
            hostname: self.hostname.to_owned(),
            grace: std::time::Duration::ZERO,
            env,
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            cwd: PathBuf::from("/"),
        };
        if let Some(library) = self.variation {
            variation::preload(&mut spec, library);
        }
        let mut tail: VecDeque<String> = VecDeque::new();
        let status = sandbox::run(&spec, &mut |line| {
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(shortened(line));
            heard(line);
        })?;
        if status.success() {
            return Ok(());
        }
        let tail: Vec<String> = tail.into();
        Err(RootError::Program { what, status: status.to_string(), tail: tail.join("\n"), packages: Vec::new() })
    }
}
