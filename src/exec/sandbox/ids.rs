//! User ids inside a sandbox: which of the caller's ids they are outside, and how the kernel is told.
//!
//! Of a normal user, 0 inside is the caller, so that what the sandbox leaves behind belongs to the caller; with a range,
//! 1 to 65535 are subordinate ids, from `/etc/subuid` by `newuidmap`.
//!
//! Of root, all ids inside are of a range that nobody uses: what gets out of a sandbox is no root of the host, and neither
//! is a set-uid file that it leaves. Only where root may not do that, as in a container that takes CAP_SYS_ADMIN from it or
//! has no ids to give away, 0 inside is that root.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustix::thread::CapabilitySet;

use super::{SandboxError, SandboxIds};
use crate::world::fs;

/// Ids 1 to 65535.
const RANGE: u32 = 65_535;
/// Where root's sandboxes have their ids, 0 included: systemd's "Users, Groups, UIDs and GIDs on systemd Systems" lists
/// 1879048192 and up as unassigned.
const ROOT_BASE: u32 = 0x7000_0000;
/// What root needs to give a sandbox other ids: mount before it parts from them, write id maps, change owners, and what
/// belongs to them.
const NEEDED: [CapabilitySet; 6] = [
    CapabilitySet::SYS_ADMIN,
    CapabilitySet::SETUID,
    CapabilitySet::SETGID,
    CapabilitySet::CHOWN,
    CapabilitySet::FOWNER,
    CapabilitySet::DAC_OVERRIDE,
];
/// No file of this kind is larger.
const LIMIT: u64 = 1 << 20;

/// Writes the single map of the process itself, which has just left its user namespace.
pub(super) fn map_self(uid: u32, gid: u32) -> Result<(), SandboxError> {
    write(Path::new("/proc/self/setgroups"), "deny")?;
    write(Path::new("/proc/self/uid_map"), &format!("0 {uid} 1\n"))?;
    write(Path::new("/proc/self/gid_map"), &format!("0 {gid} 1\n"))
}

/// Who 0 inside a sandbox is outside, when it is not the caller: for root, an id that nobody uses.
pub fn builder() -> Option<u32> {
    static FOUND: OnceLock<Option<u32>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let held = rustix::thread::capabilities(None).map(|sets| sets.effective).unwrap_or(CapabilitySet::empty());
        let able = rustix::process::getuid().is_root() && NEEDED.iter().all(|needed| held.contains(*needed));
        let base = |file: &str| pick_base(&read(Path::new(file)).ok()?, RANGE + 1);
        // One number for both: it is one owner.
        let (user, group) = (base("/proc/self/uid_map")?, base("/proc/self/gid_map")?);
        (able && user == group).then_some(user)
    })
}

/// Gives a file or directory, and what lies directly in it, to the owner of a sandbox that is to write it.
pub(super) fn give(path: &Path, owner: u32) -> std::io::Result<()> {
    let data = path.symlink_metadata()?;
    if data.file_type().is_char_device() {
        return Ok(());
    }
    let own = |path: &Path| {
        let owned = path.symlink_metadata().and_then(|data| {
            if data.uid() == owner { Ok(()) } else { std::os::unix::fs::lchown(path, Some(owner), Some(owner)) }
        });
        match owned {
            // Another sandbox with the same directory may remove its own files at any time.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            owned => owned,
        }
    };
    own(path)?;
    if data.is_dir() {
        std::fs::read_dir(path)?.try_for_each(|entry| own(&entry?.path()))?;
    }
    Ok(())
}

/// Gives another process, which has just left its user namespace, its ids: 0 as `owner` says, and perhaps a range.
pub(super) fn map(pid: u32, (wanted, owner): (SandboxIds, Option<u32>)) -> Result<(), SandboxError> {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    if uid == 0 {
        let proc = Path::new("/proc").join(pid.to_string());
        for (file, own) in [("uid_map", uid), ("gid_map", gid)] {
            let text = match (owner, wanted) {
                (Some(owner), SandboxIds::Range) => format!("0 {owner} {}\n", RANGE + 1),
                (Some(owner), _) => format!("0 {owner} 1\n"),
                (None, _) => format!("0 {own} 1\n1 {} {RANGE}\n", root_base(&Path::new("/proc/self").join(file))?),
            };
            write(&proc.join(file), &text)?;
        }
        return Ok(());
    }
    let user = user_name(uid);
    help("newuidmap", pid, uid, subordinate("/etc/subuid", &user, uid)?)?;
    help("newgidmap", pid, gid, subordinate("/etc/subgid", &user, uid)?)
}

/// Gives another process of root's, which has just left its user namespace, one id of the file system for each of a user and
/// a group: outside of it both are `outside`.
pub(super) fn map_one(pid: u32, (user, group): (u32, u32), outside: u32) -> Result<(), SandboxError> {
    let proc = Path::new("/proc").join(pid.to_string());
    write(&proc.join("uid_map"), &format!("{user} {outside} 1\n"))?;
    write(&proc.join("gid_map"), &format!("{group} {outside} 1\n"))
}

/// Whether the caller could have a range: the facts for `kiln doctor`, without making a namespace.
pub fn range_possible() -> Result<(), SandboxError> {
    let uid = rustix::process::getuid().as_raw();
    if uid == 0 {
        return root_base(Path::new("/proc/self/uid_map")).map(drop);
    }
    let user = user_name(uid);
    subordinate("/etc/subuid", &user, uid)?;
    subordinate("/etc/subgid", &user, uid)?;
    ["newuidmap", "newgidmap"].into_iter().try_for_each(|helper| find_helper(helper).map(drop))
}

/// Root's range, within what its own namespace knows.
fn root_base(own_map: &Path) -> Result<u32, SandboxError> {
    let text = read(own_map)?;
    pick_base(&text, RANGE)
        .ok_or_else(|| SandboxError::NarrowIdMap { map: text.split_whitespace().collect::<Vec<_>>().join(" ") })
}

/// The first of so many ids: [`ROOT_BASE`] when it is mapped, else at the upper end of the largest mapped range.
fn pick_base(own_map: &str, wanted: u32) -> Option<u32> {
    let ranges: Vec<(u64, u64)> = own_map
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().map(|word| word.parse::<u64>().ok());
            let (first, _, count) = (words.next()??, words.next()??, words.next()??);
            Some((first, first + count))
        })
        .collect();
    let (base, range) = (u64::from(ROOT_BASE), u64::from(wanted));
    if ranges.iter().any(|(first, end)| *first <= base && base + range <= *end) {
        return Some(ROOT_BASE);
    }
    let (first, end) = *ranges.iter().max_by_key(|(first, end)| end - first)?;
    // 0 is the container's own root.
    (end - first.max(1) >= range).then(|| u32::try_from(end - range).ok())?
}

/// The start of the user's range in `/etc/subuid` or `/etc/subgid` (see `subuid(5)`).
fn subordinate(file: &str, user: &str, uid: u32) -> Result<u32, SandboxError> {
    let text = if Path::new(file).exists() { read(Path::new(file))? } else { String::new() };
    find_range(&text, user, uid).ok_or_else(|| SandboxError::NoIdRange {
        user: user.to_owned(),
        file: file.to_owned(),
        needed: RANGE,
    })
}

fn find_range(text: &str, user: &str, uid: u32) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let (first, count) = (fields.next()?.parse::<u32>().ok()?, fields.next()?.trim().parse::<u32>().ok()?);
        ((owner == user || owner == uid.to_string()) && count >= RANGE).then_some(first)
    })
}

/// From `/etc/passwd`; the number when it is not there.
fn user_name(uid: u32) -> String {
    let passwd = read(Path::new("/etc/passwd")).unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2)?.parse() == Ok(uid)).then(|| fields[0].to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

/// These two are setuid (or carry capabilities), so only the system's own directories are looked at, not `PATH`.
fn find_helper(helper: &str) -> Result<std::path::PathBuf, SandboxError> {
    let places = ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"];
    places
        .iter()
        .map(|place| Path::new(place).join(helper))
        .find(|path| path.exists())
        .ok_or_else(|| SandboxError::NoHelper { helper: helper.to_owned() })
}

fn help(helper: &str, pid: u32, own: u32, first: u32) -> Result<(), SandboxError> {
    let numbers = [pid, 0, own, 1, 1, first, RANGE].map(|number| number.to_string());
    let output = Command::new(find_helper(helper)?)
        .args(numbers)
        .env_clear()
        .stdin(Stdio::null())
        // A Ctrl-C ends kiln first, and not half of what kiln waits for.
        .process_group(0)
        .output()
        .map_err(|error| SandboxError::HelperRefused { helper: helper.to_owned(), reason: error.to_string() })?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(SandboxError::HelperRefused { helper: helper.to_owned(), reason })
}

fn read(path: &Path) -> Result<String, SandboxError> {
    let bytes = fs::read(path, LIMIT).map_err(|error| SandboxError::setup("read an id map", error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Id maps take exactly one `write`.
fn write(path: &Path, text: &str) -> Result<(), SandboxError> {
    let what = || format!("write {text:?} to {}", path.display());
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty());
    let file = file.map_err(|error| SandboxError::setup(what(), error))?;
    rustix::io::write(file, text.as_bytes()).map(drop).map_err(|error| SandboxError::setup(what(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_found_by_name_and_by_number() {
        let text = "other:1:65536\nme:100000:65536\n1001:300000:65535\nshort:5:100\n";
        assert_eq!(find_range(text, "me", 1000), Some(100_000));
        assert_eq!(find_range(text, "you", 1001), Some(300_000));
        assert_eq!(find_range(text, "short", 7), None);
        assert_eq!(find_range("me:x:65536\nme\n", "me", 1000), None);
    }

    #[test]
    fn root_takes_what_its_own_namespace_has() {
        let all = RANGE + 1;
        assert_eq!(pick_base("0 0 4294967295\n", all), Some(ROOT_BASE));
        assert_eq!(pick_base("0 1000 1\n1 100000 65536\n", all), Some(1));
        assert_eq!(pick_base("0 1000 1\n", all), None);
        assert_eq!(pick_base("0 100000 65536\n", all), None);
        assert_eq!(pick_base("0 100000 65536\n", RANGE), Some(1));
        assert_eq!(pick_base("", all), None);
    }
}
