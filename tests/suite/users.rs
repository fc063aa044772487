//! Numbers of users: the first build finds them, the lock keeps them, every later build gives them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::live::{Scratch, fail_with, kiln, live, succeed};
use super::tree::{self, Node};

const RECIPE: &str = r#"
import "lib/debian-13.kiln"
kernel stock { package = package "linux-image-cloud-amd64" }
image small {
  size = 1GiB
  tools = image-tools
  packages = ["libcap2-bin", "mtr-tiny", "openssh-server"]
  user "me" { }
}
machine m { kernel = stock image = small qemu = qemu-11 cpus = 1 memory = 512MiB }
"#;

struct Project {
    scratch: Scratch,
    recipe: PathBuf,
}

impl Project {
    fn kiln(&self, words: &[&str]) -> Command {
        let mut command = kiln(&self.scratch.path("store"));
        command.arg(words[0]).arg(&self.recipe).args(&words[1..]).arg("--lock").arg(self.scratch.path("lock"));
        command
    }

    fn build(&self) -> Command {
        let mut command = self.kiln(&["build"]);
        command.arg("--out").arg(self.scratch.path("out"));
        command
    }

    fn lock(&self) -> kiln::lock::Lock {
        kiln::lock::read(&std::fs::read_to_string(self.scratch.path("lock")).unwrap()).unwrap()
    }

    /// Changes the table, and forgets what came out under the old one.
    fn edit(&self, change: impl FnOnce(&mut kiln::lock::LockedImage)) {
        let mut lock = self.lock();
        change(lock.images.get_mut("small").unwrap());
        lock.outputs.clear();
        std::fs::write(self.scratch.path("lock"), kiln::lock::write(&lock)).unwrap();
    }

    fn tree(&self) -> std::collections::BTreeMap<String, Node> {
        let digest = self.lock().outputs["small/root.tar"].file.sha256.hex();
        tree::read(&self.scratch.path("store/cas").join(digest))
    }
}

#[test]
fn the_lock_numbers_users_and_groups() {
    if !live("an image whose users are numbered by its lock") {
        return;
    }
    let scratch = Scratch::new("users");
    let recipe = scratch.path("users.kiln");
    std::fs::write(&recipe, RECIPE).unwrap();
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/lib");
    succeed(Command::new("cp").arg("-r").arg(library).arg(scratch.path("lib")));
    let project = Project { scratch, recipe };
    succeed(&mut project.kiln(&["lock"]));
    assert!(project.lock().images["small"].open);
    succeed(&mut project.build());
    let first = project.lock();
    let (users, groups) = (&first.images["small"].users, &first.images["small"].groups);
    assert!(!first.images["small"].open && users.contains_key("sshd") && users["me"] == 1000);
    let text = String::from_utf8(succeed(&mut project.build()).stderr).unwrap();
    assert!(!text.contains("running"), "the table that was found made a step run again:\n{text}");
    assert_eq!(project.lock(), first);
    a_root_that_is_told_the_numbers_is_the_same(&project, &first);
    numbers_of_the_table_win(&project, groups["_ssh"]);
    who_is_not_in_the_table_fails(&project);
    capabilities_reach_the_disk(&project);
}

/// The result of the first build stands for that of the second: here the second really runs.
fn a_root_that_is_told_the_numbers_is_the_same(project: &Project, first: &kiln::lock::Lock) {
    succeed(project.build().arg("--no-cache"));
    assert_eq!(&project.lock(), first);
}

fn numbers_of_the_table_win(project: &Project, old: u32) {
    assert_ne!(old, 123);
    project.edit(|table| {
        table.users.insert("sshd".to_owned(), 124);
        table.groups.insert("_ssh".to_owned(), 123);
    });
    succeed(&mut project.build());
    let tree = project.tree();
    let line = |file: &str, name: &str| {
        let text = String::from_utf8(tree[file].content.clone()).unwrap();
        text.lines().find(|line| line.starts_with(name)).unwrap().to_owned()
    };
    assert!(line("etc/passwd", "sshd:").starts_with("sshd:x:124:65534:"));
    assert!(line("etc/group", "_ssh:").starts_with("_ssh:x:123:"));
    // A change of owner takes the bit that makes it run as that group away.
    let agent = &tree["usr/bin/ssh-agent"];
    assert_eq!((agent.mode, agent.uid, agent.gid), (0o2755, 0, 123));
    assert!(tree.values().all(|node| node.gid != u64::from(old)), "something was left to the old number");
}

fn who_is_not_in_the_table_fails(project: &Project) {
    project.edit(|table| _ = table.users.remove("sshd"));
    let text = fail_with(&mut project.build(), 1);
    for words in ["openssh-server", "the user sshd", "kiln lock --update openssh-server"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    succeed(&mut project.kiln(&["lock", "--update", "openssh-server"]));
    assert!(project.lock().images["small"].open);
    succeed(&mut project.build());
    let table = &project.lock().images["small"];
    assert!(!table.open && table.users.contains_key("sshd") && table.groups["_ssh"] == 123);
}

/// Its script lets mtr open raw sockets: the tar has it, and so has the file system that mke2fs made of it.
fn capabilities_reach_the_disk(project: &Project) {
    let capability =
        project.tree()["usr/bin/mtr-packet"].capability.clone().expect("mtr-packet has no capability in the tar");
    if !super::live::judge("debugfs") || !super::live::judge("qemu-img") {
        return;
    }
    let raw = project.scratch.path("disk.raw");
    let disk = project.scratch.path("out/disk.qcow2");
    succeed(Command::new("qemu-img").args(["convert", "-O", "raw"]).arg(disk).arg(&raw));
    let value = project.scratch.path("value");
    let request = format!("ea_get -f {} /usr/bin/mtr-packet security.capability", value.display());
    succeed(Command::new("debugfs").args(["-R", &request]).arg(&raw));
    assert_eq!(std::fs::read(value).unwrap(), capability);
}
