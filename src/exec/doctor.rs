//! What this machine allows: namespaces, user ids, KVM that really works, disk space. Facts, each with the way out.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::base::ByteSize;
use crate::exec::sandbox::{self, kvm};

/// A build of a small image wants about this much; a kernel build three times as much.
const RECOMMENDED_FREE_BYTES: u64 = 6 << 30;

/// How much a fact matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// As it should be.
    Good,
    /// Something is slower, or not possible, but builds go on.
    Limited,
    /// Nothing can be built.
    Missing,
}

/// One thing about this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What was looked at.
    pub subject: &'static str,
    pub verdict: Severity,
    /// In words.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Fact {
    /// Whether nothing can be built because of it.
    pub fn stops_builds(&self) -> bool {
        self.verdict == Severity::Missing
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.verdict {
            Severity::Good => "good   ",
            Severity::Limited => "limited",
            Severity::Missing => "MISSING",
        };
        write!(f, "{mark}  {}: {}", self.subject, self.found)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n         {remedy}"),
            None => Ok(()),
        }
    }
}

/// Looks at everything. Each namespace is really made, each guest really run: files under `/proc` are only opinions.
pub fn examine(store: &Path) -> Vec<Fact> {
    vec![namespaces(), id_range(), acceleration(), space(store)]
}

fn namespaces() -> Fact {
    let subject = "namespaces";
    match sandbox::namespaces_possible() {
        Ok(()) => {
            Fact { subject, verdict: Severity::Good, found: "user, mount, pid, net, ipc, uts".to_owned(), remedy: None }
        }
        Err(error) => Fact {
            subject,
            verdict: Severity::Missing,
            found: error.to_string(),
            remedy: Some(
                "allow user namespaces: sysctl user.max_user_namespaces (not 0), kernel.unprivileged_userns_clone=1 \
                 where it exists, kernel.apparmor_restrict_unprivileged_userns=0 where it exists; in a container, \
                 ask for them from its runtime"
                    .to_owned(),
            ),
        },
    }
}

fn id_range() -> Fact {
    let subject = "user ids";
    match sandbox::range_possible() {
        Ok(()) => Fact { subject, verdict: Severity::Good, found: "65536 for images".to_owned(), remedy: None },
        Err(error) => Fact {
            subject,
            verdict: Severity::Missing,
            found: error.to_string(),
            remedy: Some(
                "as root: install uidmap, then `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`"
                    .to_owned(),
            ),
        },
    }
}

fn acceleration() -> Fact {
    let subject = "KVM";
    match kvm::probe() {
        Ok(()) => Fact { subject, verdict: Severity::Good, found: "a guest ran".to_owned(), remedy: None },
        Err(found) => Fact {
            subject,
            verdict: Severity::Limited,
            found,
            remedy: Some(
                "machines are emulated in software, about ten times slower; builds are not affected".to_owned(),
            ),
        },
    }
}

fn space(store: &Path) -> Fact {
    let subject = "disk space";
    let free = match rustix::fs::statvfs(store) {
        Ok(found) => found.f_bavail * found.f_frsize,
        Err(error) => {
            let found = format!("{}: {error}", store.display());
            let remedy = Some("set KILN_STORE to a writable directory".to_owned());
            return Fact { subject, verdict: Severity::Missing, found, remedy };
        }
    };
    let found = format!("{} free at {}", ByteSize(free).rounded(), store.display());
    if free >= RECOMMENDED_FREE_BYTES {
        return Fact { subject, verdict: Severity::Good, found, remedy: None };
    }
    let remedy = Some(
        "an image needs about 6 GiB, a kernel 20 GiB: run `kiln gc`, or set KILN_STORE to another disk".to_owned(),
    );
    Fact { subject, verdict: Severity::Limited, found, remedy }
}
