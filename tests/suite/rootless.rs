//! A normal user: with a range of ids the same bits as root, without one an error that says what to do.

use std::path::Path;
use std::process::{Command, Output};

use super::live::{QUICK, Quick, Scratch, judge, kiln, live, quick, succeed};
use super::normal_user::NormalUser;
use super::skip::skip;

/// What builds may start besides kiln: the only programs with more rights than their caller.
const HELPERS: [&str; 2] = ["newuidmap", "newgidmap"];

impl NormalUser {
    /// kiln as this user, where no program has more rights than its caller except [`HELPERS`], and none is found by name.
    fn kiln(&self) -> Command {
        let mut script = String::from("set -e\n");
        for helper in HELPERS {
            // A mount of its own keeps the set-uid bit when the file system around it loses all of them.
            script.push_str(&format!("mount --bind /usr/bin/{helper} /usr/bin/{helper}\n"));
        }
        script.push_str("mount -o remount,bind,nosuid /\n");
        script.push_str("exec setpriv --reuid $USER --regid $USER --init-groups env -i PATH=/nonexistent \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
        command.arg(format!("HOME={}", self.home.display())).arg(self.home.join("kiln"));
        command.current_dir(self.home.join("project")).env("USER", &self.name);
        command
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_normal_user_gets_the_bits_of_root() {
    let tools = ["useradd", "usermod", "userdel", "setpriv", "unshare", "newuidmap", "newgidmap"];
    if !live("a build by a normal user") || !tools.into_iter().all(judge) {
        return;
    }
    if !rustix::process::getuid().is_root() {
        return skip("only root makes users; the other live tests are builds by a normal user");
    }
    let Quick { lock, store, out, .. } = quick();
    let user = NormalUser::new("test");
    furnish(&user, lock, store);
    let lock = user.home.join("quick.lock");
    let build = || {
        let mut command = user.kiln();
        command.args(["build", QUICK, "--offline", "--out", "out", "--lock"]).arg(&lock);
        command
    };

    let refused = build().output().unwrap();
    let text = said(&refused);
    assert_eq!(refused.status.code(), Some(4), "{text}");
    for words in ["/etc/subuid", "usermod --add-subuids", "kiln doctor"] {
        assert!(text.contains(words), "{text}");
    }
    let doctor = user.kiln().arg("doctor").output().unwrap();
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(doctor.status.code(), Some(4), "{text}");
    assert!(text.contains("MISSING  user ids") && text.contains("usermod"), "{text}");

    user.give_range("524288-589823");
    succeed(user.kiln().arg("doctor"));
    let output = succeed(&mut build());
    println!("{}", said(&output));
    assert!(said(&output).contains("root cxl-quick: running"), "the root was not built");
    same_bits(out, &user);
    let left = kiln::world::fs::names(&user.home.join(".cache/kiln/tmp")).unwrap();
    assert_eq!(left, ["door"], "files of subordinate ids stayed behind");
}

/// A recipe with a kernel of a few minutes, named as if it stood among the others.
const COMPILED: &str = "recipes/compiled.kiln";

#[test]
fn a_compiled_kernel_is_the_same_in_the_second_build_of_verify_and_by_a_normal_user() {
    let tools = ["useradd", "usermod", "userdel", "setpriv", "unshare", "newuidmap", "newgidmap"];
    if !live("three compilations of a small kernel: root, verify --rebuild, a normal user") {
        return;
    }
    if std::env::var_os("KILN_ALL").is_none() {
        return println!("skipped without KILN_ALL=1");
    }
    let scratch = Scratch::new("compiled");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    succeed(Command::new("mkdir").arg("-p").arg(scratch.path("recipes")));
    succeed(Command::new("cp").arg("-r").arg(root.join("recipes/lib")).arg(scratch.path("recipes")));
    std::fs::copy(root.join("tests/fixtures/kernel/compiled.kiln"), scratch.path(COMPILED)).unwrap();
    let [lock, store, out] = ["quick.lock", "store", "out"].map(|name| scratch.path(name));
    let kiln = |command: &str| {
        let mut kiln = kiln(&store);
        kiln.args([command, COMPILED, "--lock"]).arg(&lock).current_dir(scratch.path(""));
        kiln
    };
    succeed(&mut kiln("lock"));
    succeed(kiln("build").arg("--out").arg(&out));
    let verified = succeed(kiln("verify").arg("--rebuild"));
    println!("{}", said(&verified));
    assert!(said(&verified).contains("kernel-build tiny: running"), "the kernel was not built a second time");
    if !tools.into_iter().all(judge) || !rustix::process::getuid().is_root() {
        return skip("the build by a normal user, whom only root can make");
    }
    let user = NormalUser::new("test");
    furnish(&user, &lock, &store);
    std::fs::copy(scratch.path(COMPILED), user.home.join("project").join(COMPILED)).unwrap();
    user.give_range("524288-589823");
    let build = succeed(
        user.kiln().args(["build", COMPILED, "--offline", "--out", "out", "--lock"]).arg(user.home.join("quick.lock")),
    );
    assert!(said(&build).contains("kernel-build tiny: running"), "the kernel was not built");
    same_bits(&out, &user);
}

/// What the user built in the project is what root built into `out`.
fn same_bits(out: &Path, user: &NormalUser) {
    let manifest = |directory: &Path| std::fs::read_to_string(directory.join("manifest.json")).unwrap();
    assert_eq!(manifest(out), manifest(&user.home.join("project/out")), "a normal user gets other bits than root");
}

/// kiln itself, the recipe, the lock, and everything fetched: by links where that is possible. Nothing that was built.
fn furnish(user: &NormalUser, lock: &Path, store: &Path) {
    let project = user.home.join("project");
    let cas = user.home.join(".cache/kiln/cas");
    std::fs::create_dir_all(cas.parent().unwrap()).unwrap();
    std::fs::create_dir_all(&project).unwrap();
    let copy = |from: &Path, to: &Path| succeed(Command::new("cp").arg("-r").arg(from).arg(to));
    copy(Path::new(env!("CARGO_BIN_EXE_kiln")), &user.home.join("kiln"));
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes"), &project);
    copy(lock, &user.home.join("quick.lock"));
    let linked = Command::new("cp").arg("-rl").arg(store.join("cas")).arg(&cas).output().unwrap();
    if !linked.status.success() {
        // Another file system.
        copy(&store.join("cas/."), &cas);
    }
    // Not what is linked: its owner is the other store's.
    let owner = format!("{0}:{0}", user.name);
    let mut own = Command::new("find");
    succeed(
        own.arg(&user.home)
            .args(["(", "-links", "1", "-o", "-type", "d", ")"])
            .args(["-exec", "chown", "-h", &owner, "{}", "+"]),
    );
}
