//! The page about developing a kernel, by doing what it says: every command of it, on a tree of Debian's Linux.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use kiln::ops::load;
use kiln::store::Store;
use kiln::world::RealWorld;

use super::kernel::source_of;
use super::live::{SELDOM, Scratch, has_its_turn, judge, kiln, live, succeed};

/// How long a machine may take to say a line.
const PATIENCE: Duration = Duration::from_secs(300);

/// Blocks of a page, by language.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (language, body) = after.split_once('\n').unwrap();
        let (block, next) = body.split_once("\n```").unwrap();
        blocks.push((language, block));
        rest = next;
    }
    blocks
}

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/development.md")).unwrap()
}

/// Where the page begins: an empty directory, with a tree of Linux and kiln's own beside it.
struct Lab {
    scratch: Scratch,
    home: PathBuf,
}

impl Lab {
    fn new() -> Lab {
        let scratch = Scratch::new("development");
        let home = scratch.path("home");
        std::fs::create_dir_all(&home).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_MANIFEST_DIR"), scratch.path("kiln")).unwrap();
        tree(&scratch);
        Lab { scratch, home }
    }

    /// A command of the page, with the kiln under test.
    fn command(&self, text: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_kiln")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-eu", "-c", text]).current_dir(&self.home);
        command.env("KILN_STORE", self.scratch.path("store")).env("PATH", path);
        command
    }

    /// Starts a machine, and waits for a line that it or kiln says. What the page boots does not end by itself.
    fn started(&self, text: &str, wanted: &str) -> Child {
        let mut command = self.command(&format!("exec {text} 2>&1"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n');
        let (say, heard) = mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
        let mut all = String::new();
        while !all.contains(wanted) {
            let line = heard.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no `{wanted}` in\n{all}"));
            all.push_str(&String::from_utf8_lossy(&line));
            all.push('\n');
        }
        // Whoever hears nothing more must not fill the pipe.
        std::thread::spawn(move || heard.iter().for_each(drop));
        child
    }
}

/// Unpacks Debian's Linux to where the page has a tree of one's own.
fn tree(scratch: &Scratch) {
    let store = scratch.path("store");
    let recipe = scratch.recipe("source.kiln", SOURCE);
    let lock = scratch.path("source.lock");
    succeed(kiln(&store).arg("lock").arg(&recipe).arg("--lock").arg(&lock));
    succeed(kiln(&store).args(["verify", "--inputs"]).arg(&recipe).arg("--lock").arg(&lock));
    let locked =
        load::read_lock(&RealWorld::default(), &lock).unwrap_or_else(|_| panic!("an unreadable lock")).unwrap();
    let package = locked.sets.values().flatten().find(|package| package.name == "linux-source-6.12").unwrap();
    let tarball = scratch.path("linux.tar.xz");
    std::fs::write(&tarball, source_of(&Store::open(&store).unwrap(), &package.file.sha256)).unwrap();
    let linux = scratch.path("linux");
    std::fs::create_dir_all(&linux).unwrap();
    succeed(Command::new("tar").args(["-x", "--strip-components=1", "-C"]).arg(&linux).arg("-f").arg(&tarball));
}

const SOURCE: &str = r#"
import "lib/debian-13.kiln"
kernel k { source = package "linux-source-6.12" base = "tinyconfig" build = kernel-build }
machine m { kernel = k image = debian-13 qemu = qemu-11 }
"#;

#[test]
fn the_page_about_development_is_true() {
    if !live("development: every command of the page, three compilations of a small kernel, gdb")
        || !has_its_turn("development", &SELDOM)
        || !judge("gdb")
        || !judge("xz")
    {
        return;
    }
    let page = page();
    let lab = Lab::new();
    let mut stub: Option<Child> = None;
    for (language, text) in blocks(&page) {
        match language {
            "kiln" => std::fs::write(lab.home.join("recipes/mine.kiln"), text).unwrap(),
            _ if text.starts_with("kiln run") && text.contains("--gdb") => {
                let port = std::net::TcpListener::bind("127.0.0.1:1234");
                assert!(port.is_ok(), "another program has the port that the page uses");
                drop(port);
                stub = Some(lab.started(text, "gdb stub on 127.0.0.1:1234; the guest waits for `continue`"));
            }
            _ if text.starts_with("kiln run") => {
                let mut machine = lab.started(text, "Linux patched version");
                machine.kill().unwrap();
                machine.wait().unwrap();
            }
            _ if text.starts_with("gdb") => {
                let said = succeed(&mut lab.command(&text.replacen("gdb", "gdb -batch -nx", 1)));
                let said = String::from_utf8_lossy(&said.stdout).into_owned();
                for words in ["Breakpoint 1, start_kernel", "init/main.c"] {
                    assert!(said.contains(words), "{words}: {said}");
                }
                // Of the variable, and of the kernel's own command.
                let versions: Vec<&str> = said.lines().filter(|line| line.contains("Linux patched version")).collect();
                let printed = versions.iter().filter(|line| line.starts_with("$1 = ")).count();
                assert!(printed == 1 && versions.iter().any(|line| line.starts_with("Linux patched")), "{said}");
                let mut machine = stub.take().unwrap();
                machine.kill().unwrap();
                machine.wait().unwrap();
            }
            _ => {
                let done = succeed(&mut lab.command(text));
                let said = String::from_utf8_lossy(&done.stderr).into_owned();
                assert!(!said.contains("different output"), "an incremental build has other bits: {said}");
            }
        }
    }
}

#[test]
fn the_page_about_development_has_its_commands_in_blocks() {
    let page = page();
    let blocks = blocks(&page);
    assert_eq!(blocks.iter().filter(|(language, _)| *language == "kiln").count(), 1);
    for word in ["kiln lock", "kiln build", "kiln run", "gdb "] {
        assert!(blocks.iter().any(|(language, text)| *language == "sh" && text.contains(word)), "{word}");
    }
}
