//! `--share NAME=DIR`: a directory of the user's in the sandbox of a machine, whose QEMU here is the shell of this host; and
//! what the command line refuses.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kiln::exec::sandbox::{
    self, DirectoryAccess, DirectoryIdentity, HostDirectory, Mount, Privileges, Root, SandboxError, SandboxIds, Spec,
    Streams,
};

use super::failure_support::{Lab, refused};
use super::live::Scratch;
use super::skip::skip;

/// A directory with a file in it, a secret beside it, and a machine that sees the directory.
struct Shared {
    scratch: Scratch,
    spec: Spec,
}

impl Shared {
    fn new(name: &str, access: DirectoryAccess) -> Shared {
        sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
        let scratch = Scratch::new(name);
        for directory in ["root/usr", "given"] {
            std::fs::create_dir_all(scratch.path(directory)).unwrap();
        }
        for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
            symlink(target, scratch.path("root").join(link)).unwrap();
        }
        std::fs::write(scratch.path("given/in"), "from the host\n").unwrap();
        std::fs::write(scratch.path("secret"), "secret\n").unwrap();
        let source = scratch.path("given").canonicalize().unwrap();
        let identity = DirectoryIdentity::of(&source.metadata().unwrap());
        let directory = HostDirectory { source, identity, target: "/kiln/share/given".into(), access };
        let spec = Spec {
            root: Root::ReadOnly(scratch.path("root")),
            mounts: vec![Mount { source: "/usr".into(), target: "/usr".into(), readonly: true }],
            directories: vec![directory],
            ids: SandboxIds::Single,
            privileges: Privileges::None,
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin".to_owned()), ("LC_ALL".to_owned(), "C".to_owned())]),
            argv: Vec::new(),
            hostname: sandbox::HOST_NAME.to_owned(),
            grace: std::time::Duration::ZERO,
            cwd: PathBuf::from("/tmp"),
        };
        Shared { scratch, spec }
    }

    fn given(&self) -> PathBuf {
        self.scratch.path("given")
    }

    /// What a script prints that has a machine's place; `None`, said aloud, where this host allows no sandbox.
    fn script(&self, script: &str) -> Option<Result<String, String>> {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let streams = Streams { stdin: Stdio::null(), stdout: Stdio::piped(), stderr: Stdio::inherit() };
        let mut running = match sandbox::spawn(&Spec { argv, ..self.spec.clone() }, streams) {
            Ok(running) => running,
            Err(error @ SandboxError::NoUserNamespace { .. }) => {
                skip(error);
                return None;
            }
            Err(error) => return Some(Err(error.to_string())),
        };
        let mut said = String::new();
        running.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        running.wait().unwrap();
        Some(Ok(said))
    }
}

#[test]
fn what_a_machine_writes_belongs_to_the_owner_of_the_directory() {
    let shared = Shared::new("share-owner", DirectoryAccess::Writable);
    // Of root, somebody else's directory: a machine of root's is that somebody, and no root.
    if rustix::process::getuid().is_root() {
        for path in [shared.given(), shared.given().join("in")] {
            std::os::unix::fs::chown(path, Some(4321), Some(4322)).unwrap();
        }
    }
    let before = shared.given().metadata().unwrap();
    let script = "cd /kiln/share/given && cat in && echo out >out && mkdir d && echo x >d/x && chmod 640 out && stat -c '%u:%g' in out";
    let Some(said) = shared.script(script) else { return };
    assert_eq!(said.unwrap(), "from the host\n0:0\n0:0\n");
    let owner = |path: &Path| path.metadata().map(|data| (data.uid(), data.gid())).unwrap();
    for file in ["", "in", "out", "d", "d/x"] {
        assert_eq!(owner(&shared.given().join(file)), (before.uid(), before.gid()), "{file}");
    }
    assert_eq!(std::fs::read_to_string(shared.given().join("out")).unwrap(), "out\n");
    assert_eq!(shared.given().join("out").metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_machine_leaves_no_program_that_runs_as_the_owner_and_no_device() {
    let shared = Shared::new("share-set-id", DirectoryAccess::Writable);
    let script = "cd /kiln/share/given && cp /bin/true t && for m in 4755 2755 6755; do chmod $m t && echo set; done; \
                  install -m 4755 /bin/true u; mkdir -m 2775 d; mkfifo p; mknod c c 1 3; chown 7 t && echo given; \
                  chmod 1755 t && stat -c %a t";
    let Some(said) = shared.script(script) else { return };
    assert_eq!(said.unwrap(), "1755\n");
    for entry in std::fs::read_dir(shared.given()).unwrap() {
        let data = entry.unwrap().metadata().unwrap();
        assert!(data.mode() & 0o6000 == 0 && (data.is_file() || data.is_dir()), "{data:?}");
    }
}

#[test]
fn links_that_a_machine_makes_lead_nowhere_on_the_host() {
    let shared = Shared::new("share-links", DirectoryAccess::Writable);
    let secret = shared.scratch.path("secret");
    symlink(&secret, shared.given().join("host-link")).unwrap();
    symlink("../secret", shared.given().join("host-up")).unwrap();
    let script = format!(
        "cd /kiln/share/given && ln -s {secret} link && ln -s ../secret up && ln -s / root && \
         cat link up host-link host-up ../secret root{secret}; ls root/kiln; cat ../../../etc/passwd; ln {secret} hard; \
         readlink host-up",
        secret = secret.display()
    );
    let Some(said) = shared.script(&script) else { return };
    assert_eq!(said.unwrap(), "share\n../secret\n");
}

#[test]
fn what_is_read_only_is_so_by_the_kernel() {
    let shared = Shared::new("share-read-only", DirectoryAccess::ReadOnly);
    let script = "cd /kiln/share/given && cat in; echo x >new; echo x >>in; rm in; chmod 777 in; touch in; mv in out; ls; \
                  mount -o remount,rw . 2>/dev/null && echo remounted";
    let Some(said) = shared.script(script) else { return };
    assert_eq!(said.unwrap(), "from the host\nin\n");
    assert_eq!(std::fs::read_to_string(shared.given().join("in")).unwrap(), "from the host\n");
}

#[test]
fn a_directory_that_is_replaced_or_gone_is_not_shown() {
    let shared = Shared::new("share-replaced", DirectoryAccess::Writable);
    let moved = shared.scratch.path("moved");
    std::fs::rename(shared.given(), &moved).unwrap();
    let Some(said) = shared.script("ls /kiln/share/given") else { return };
    assert!(said.unwrap_err().contains("does not exist or is not accessible"));
    std::fs::create_dir(shared.given()).unwrap();
    let said = shared.script("ls /kiln/share/given").unwrap().unwrap_err();
    assert!(said.contains("another directory has taken its place"), "{said}");
    std::fs::remove_dir(shared.given()).unwrap();
    symlink("/etc", shared.given()).unwrap();
    let said = shared.script("ls /kiln/share/given").unwrap().unwrap_err();
    // A link leads to another directory, or, once the host is out of sight, nowhere.
    assert!(said.contains("another directory") || said.contains("does not exist"), "{said}");
    std::fs::remove_file(shared.given()).unwrap();
    std::fs::rename(&moved, shared.given()).unwrap();
    assert_eq!(shared.script("ls /kiln/share/given").unwrap().unwrap(), "in\n");
}

#[test]
fn the_command_line_refuses_what_cannot_be_shared_before_anything_is_built() {
    let lab = Lab::new("share-refused");
    for verb in ["run", "test"] {
        for (words, said) in [
            (&["--share", "code"][..], "expected NAME=DIR or NAME=DIR:ro, such as code=../linux"),
            (&["--share", "../up=."], "`../up` is not a name of a share"),
            (&["--share", "a=missing"], "--share a: missing: No such file"),
            (&["--share", "a=tiny.kiln:ro"], "--share a: tiny.kiln: it is not a directory"),
            (&["--share", "a=."], "the guest could write to "),
            (&["--share", "a=/tmp"], "(kiln's store)"),
            (&["--share", "a=/:ro"], "has sockets of the host's services"),
            (&["--share", "a=.:ro", "--share", "a=.:ro"], "`a` is given more than once"),
        ] {
            let output = lab.kiln().args([verb, "tiny.kiln"]).args(words).output().unwrap();
            refused(&output, 2, &[said]);
        }
        assert!(!lab.directory.join("result").exists());
    }
}

#[test]
fn a_printed_command_is_not_asked_for_what_only_a_start_or_a_build_does() {
    let print = |words: &[&str]| {
        let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
        kiln.current_dir(env!("CARGO_MANIFEST_DIR")).args(["run", "recipes/cxl-quick.kiln", "--print"]).args(words);
        kiln.output().unwrap()
    };
    for words in [
        &["--share", "a=.:ro"][..],
        &["--no-cache"],
        &["--incremental"],
        &["--allow-leaks"],
        &["--jobs", "2"],
        &["--limit", "memory=1GiB"],
    ] {
        refused(&print(words), 2, &[words[0], "cannot be used with"]);
    }
    assert!(print(&["--offline"]).status.success(), "a printed command needs no network");
}
