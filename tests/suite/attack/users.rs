//! Other users of the machine: what they can hold up and what they can read. And all of it again by one of them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::ground::{Ground, Image, program, run, run_within};
use super::tally::{Attack, Front, Tally, say};
use crate::suite::live::{judge, live, succeed};
use crate::suite::normal_user::NormalUser;

pub(super) static FRONT: Front = Front {
    name: "users",
    packages: |_| Vec::new(),
    attacks: &[
        Attack { row: 16, name: "others-hold-locks", run: held_locks },
        Attack { row: 19, name: "others-read-private-files", run: private_files },
    ],
};

/// nobody(65534) holds every lock of the store that it can open.
fn held_locks(ground: &Ground, tally: &mut Tally) {
    if !rustix::process::geteuid().is_root() || !judge("setpriv") || !judge("flock") {
        return tally.skip("only root can be another user, with setpriv and flock");
    }
    ground.lock("held", &Image::default());
    let fetched = run(ground.kiln().args(["verify", "--inputs", "held.kiln"]));
    assert_eq!(fetched.code, Some(0), "{}", fetched.text());
    let mut locks = vec![ground.store().join("tmp/door")];
    locks.extend(std::fs::read_dir(ground.store().join("lock")).unwrap().map(|entry| entry.unwrap().path()));
    for lock in locks {
        let mut holder = Command::new("setpriv");
        holder
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "flock", "-x", "-F"])
            .arg(&lock)
            .args(["sleep", "120"]);
        let mut holder = holder.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let ended = run_within(ground.kiln().args(["verify", "--inputs", "held.kiln"]), Duration::from_secs(60));
        let _ = holder.kill();
        let _ = holder.wait();
        let name = lock.strip_prefix(ground.store()).unwrap().display().to_string();
        tally.case(&name, ended.hung.then(|| format!("everybody waits: {}", ended.text())));
    }
}

/// What is 0600 in an image is in no file that everybody may read.
fn private_files(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let secret = format!("private-{}-of-the-recipe", std::process::id());
    let body = format!("  file \"/root/private\" {{ text = \"{secret}\" mode = 0o600 }}");
    for umask in ["022", "000"] {
        let store = ground.path(&format!("private-{umask}"));
        ground.lock("private", &Image { body: &body, ..Image::default() });
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        let mut kiln = ground.wrapped(&["sh", "-c", &script]);
        let ended = run(kiln.env("KILN_STORE", &store).args(["build", "--allow-leaks", "private.kiln"]));
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let found = readable(&store, &regex::bytes::Regex::new(&secret).unwrap());
        let found = found.map(|path| format!("everybody may read {}", path.display()));
        tally.case(&format!("a file of mode 0600 under umask {umask}"), found);
    }
}

/// A file with this text that everybody has a way to.
fn readable(directory: &Path, text: &regex::bytes::Regex) -> Option<PathBuf> {
    let data = directory.symlink_metadata().ok()?;
    if data.is_file() {
        let open = data.mode() & 0o004 != 0 && text.is_match(&std::fs::read(directory).ok()?);
        return open.then(|| directory.to_owned());
    }
    if !data.is_dir() || data.mode() & 0o001 == 0 {
        return None;
    }
    std::fs::read_dir(directory).ok()?.flatten().find_map(|entry| readable(&entry.path(), text))
}

/// Ways that a normal user tries at least; some are only root's.
const FEWEST: u32 = 800;

/// Every attack once more by a normal user with a range of ids, who is made for it.
#[test]
fn all_of_it_by_a_normal_user() {
    let tools = ["useradd", "usermod", "userdel", "setpriv", "newuidmap", "newgidmap"];
    if !live("attacks by a normal user") {
        return;
    }
    if !rustix::process::geteuid().is_root() || !tools.into_iter().all(judge) {
        return say("skipped: attacks by a normal user, whom only root can make, with the package uidmap");
    }
    let user = NormalUser::new("attacker");
    user.give_range("655360-720895");
    let this = std::env::current_exe().unwrap();
    for (from, to) in [(this, "tests"), (program().into(), "kiln")] {
        std::fs::copy(from, user.home.join(to)).unwrap();
    }
    succeed(Command::new("chown").args(["-R", &user.name]).arg(&user.home));
    let mut again = Command::new("setpriv");
    again.args(["--reuid", &user.name, "--regid", &user.name, "--init-groups", "env", "-i"]);
    again.arg(format!("HOME={}", user.home.display())).arg(format!("TMPDIR={}", user.home.display()));
    again
        .arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin")
        .arg(format!("KILN_TEST_PROGRAM={}", user.home.join("kiln").display()));
    again.args(std::env::var("KILN_ATTACK").map(|name| format!("KILN_ATTACK={name}")));
    again
        .arg(user.home.join("tests"))
        .args(["attack::", "--skip", "normal_user", "--nocapture", "--test-threads=4"])
        .current_dir(&user.home);
    let output = again.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let sums = text.lines().filter(|line| line.starts_with("attacks: ") || line.starts_with("skipped: "));
    sums.for_each(|line| say(&format!("by a normal user: {line}")));
    assert!(output.status.success(), "{text}");
    // Where nothing can be built, everything is skipped and nothing fails: that proves nothing.
    let sum = text.lines().find_map(|line| line.strip_prefix("attacks: ")?.split_once(" tried")?.0.parse::<u32>().ok());
    let one = std::env::var_os("KILN_ATTACK").is_some();
    assert!(one || sum.is_some_and(|tried| tried > FEWEST), "only {sum:?} attacks were tried:\n{text}");
}
