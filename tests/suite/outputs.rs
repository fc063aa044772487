//! Steps that leave what nobody asked for: links to the builder's files, pipes, files with two names or odd rights. Each
//! ends with a clear error or a plain object; nothing outside is read or written, and nothing waits.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kiln::exec::event::StepEvent;
use kiln::exec::{ExecError, ExecOptions, Incremental};
use kiln::plan::{IncrementalRun, Input};
use kiln::store::{Output, Store, StoreError, Taking};
use kiln::world::dir::Dir;

use super::schedule::{Bench, inline, out};
use super::store::scratch;

/// A file and a directory of the builder, which must stay as they are.
struct Canary {
    directory: PathBuf,
}

const SECRET: &str = "the builder's own file, which no step may read or write";

impl Canary {
    fn new(name: &str) -> Canary {
        let directory = scratch(&format!("canary-{name}"));
        std::fs::write(directory.join("secret"), SECRET).unwrap();
        Canary { directory }
    }

    fn file(&self) -> String {
        self.directory.join("secret").display().to_string()
    }

    fn unharmed(&self) {
        assert_eq!(std::fs::read_to_string(self.directory.join("secret")).unwrap(), SECRET);
        assert_eq!(std::fs::read_dir(&self.directory).unwrap().count(), 1);
        assert_eq!(self.directory.join("secret").metadata().unwrap().nlink(), 1);
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        kiln::world::fs::remove_tree(&self.directory).unwrap();
    }
}

/// What a step leaves that is hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    Out,
    Disk,
}

/// What a step that runs this says when it fails.
fn refused(bench: &mut Bench, script: &str, leaves: Leaves) -> String {
    bench.plan.steps.truncate(1);
    bench.plan.artifacts.clear();
    bench.plan.transient.clear();
    let step = bench.step("hostile", script, &[]);
    match leaves {
        Leaves::Disk => _ = bench.convert(step),
        Leaves::Out => bench.deliver(step),
    }
    let error = bench.realize_with(ExecOptions::default()).unwrap_err();
    assert!(matches!(error, ExecError::Step(_)), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("step kernel-build hostile failed: "), "{text}");
    text
}

/// The blob of a step's `out`.
fn blob(bench: &Bench, step: usize) -> PathBuf {
    bench.store.path(&bench.realize().file(&out(step)).sha256).unwrap()
}

#[test]
fn what_is_no_file_is_an_error_that_names_it() {
    let Some(mut bench) = Bench::new("foreign") else { return };
    let canary = Canary::new("foreign");
    let (secret, directory) = (canary.file(), canary.directory.display());
    for (script, words) in [
        (format!("ln -s {secret} out"), "its output out is a symbolic link, not a file or a directory"),
        (format!("ln -s {directory} out"), "its output out is a symbolic link, not a file or a directory"),
        ("ln -s nowhere out".to_owned(), "its output out is a symbolic link"),
        ("mkfifo out".to_owned(), "its output out is a named pipe"),
        ("mkdir out; mkfifo out/pipe".to_owned(), "out/pipe cannot be stored: it is a named pipe"),
        ("mkdir -p out/a; mkfifo 'out/a/b\nerror: forged'".to_owned(), r"out/a/b\nerror: forged cannot be stored"),
        ("mkdir other".to_owned(), "it produced no out"),
        // A hole costs nothing, and would be read for weeks.
        ("truncate -s 7E out || truncate -s 15T out".to_owned(), "(limit 256 GiB)"),
    ] {
        let text = refused(&mut bench, &script, Leaves::Out);
        assert!(text.contains(words), "{script}: {text}");
        assert!(!text.contains(SECRET) && !text.contains("\nerror: forged"), "{text}");
        canary.unharmed();
    }
    // What lies in a directory is looked at, not followed.
    let script = format!("mkdir out; ln -s {secret} out/file; ln -s {directory} out/directory; ln -s / out/root");
    bench.plan.steps.truncate(1);
    let step = bench.step("links", &script, &[]);
    let realized = bench.realize_with(ExecOptions::default()).unwrap();
    let results = bench.store.get_result(&realized.actions["kernel-build links"]).unwrap();
    let Output::Tree { root, .. } = &results["out"] else { panic!("{results:?}") };
    let tree = bench.store.tree(root).unwrap();
    assert_eq!(tree.join("file").read_link().unwrap(), Path::new(&secret));
    assert_eq!(std::fs::read_dir(&tree).unwrap().count(), 3);
    assert_eq!(step, 1);
    canary.unharmed();
}

#[test]
fn a_disk_is_only_made_of_a_file_and_only_where_the_step_never_was() {
    let Some(mut bench) = Bench::new("planted") else { return };
    let canary = Canary::new("planted");
    let secret = canary.file();
    for (script, words) in [
        (format!("ln -s {secret} disk.raw"), "its disk.raw is a symbolic link, not a file"),
        ("mkfifo disk.raw".to_owned(), "its disk.raw is a named pipe, not a file"),
        ("mkdir disk.raw".to_owned(), "its disk.raw is a directory, not a file"),
        ("mkdir other".to_owned(), "it produced no disk.raw"),
    ] {
        let text = refused(&mut bench, &script, Leaves::Disk);
        assert!(text.contains(words), "{script}: {text}");
        canary.unharmed();
    }
    // What lies beside it is nobody's business: the disk is made elsewhere.
    for beside in [
        format!("ln -s {secret} disk.qcow2"),
        format!("ln -s {secret}.new disk.qcow2"),
        "echo y >disk.qcow2".to_owned(),
        "mkdir disk.qcow2".to_owned(),
        "mkfifo disk.qcow2".to_owned(),
    ] {
        bench.plan.steps.truncate(1);
        bench.plan.transient.clear();
        let step = bench.step("hostile", &format!("echo x >disk.raw; {beside}"), &[]);
        let step = bench.convert(step);
        let realized = bench.realize();
        let disk = realized.file(&Input::Output { step, name: "disk.qcow2".to_owned() });
        let bytes = bench.store.read(&disk.sha256, 1 << 20).unwrap();
        assert!(bytes.starts_with(b"QFI\xfb"), "{beside}");
        canary.unharmed();
    }
}

#[test]
fn an_object_has_one_name_one_mode_and_one_owner_whatever_the_step_did() {
    let Some(mut bench) = Bench::new("plain") else { return };
    for (name, script) in [
        ("linked", "echo linked >out; ln out second; ln out third"),
        ("setuid", "echo setuid >out; chmod 6755 out"),
        ("shut", "echo shut >out; chmod 0 out; chmod 0 ."),
        ("sticky", "echo sticky >out; chmod 1777 out ."),
    ] {
        let step = bench.step(name, script, &[]);
        bench.deliver(step);
        let data = blob(&bench, step).metadata().unwrap();
        assert_eq!((data.nlink(), data.mode() & 0o7777, data.mtime()), (1, 0o444, 1), "{name}");
        let owner = kiln::exec::sandbox::builder().unwrap_or_else(|| rustix::process::geteuid().as_raw());
        assert_eq!(data.uid(), owner, "{name}");
        assert_eq!(bench.content(&bench.realize(), step), format!("{name}\n"));
    }
    // One file under two declared names is two objects, or one that nobody else names.
    let step = bench.step("both", "echo both >out; ln out second", &[]);
    bench.plan.steps[step].outputs.push("second".to_owned());
    bench.deliver(step);
    assert_eq!(blob(&bench, step).metadata().unwrap().nlink(), 1);
    // And in a tree.
    let script =
        "mkdir -p out/d; echo x >out/d/a; ln out/d/a out/b; ln out/b outside; chmod 4711 out/b; chmod 0 out/d out";
    bench.step("tree", script, &[]);
    let realized = bench.realize();
    let results = bench.store.get_result(&realized.actions["kernel-build tree"]).unwrap();
    let Output::Tree { root, .. } = &results["out"] else { panic!("{results:?}") };
    let tree = bench.store.tree(root).unwrap();
    for (path, mode) in [("d/a", 0o555), ("b", 0o555), ("d", 0o555), ("", 0o555)] {
        let data = tree.join(path).metadata().unwrap();
        assert_eq!(data.mode() & 0o7777, mode, "{path}");
        assert!(data.is_dir() || data.nlink() == 1, "{path} has another name");
    }
}

#[test]
fn holes_stay_holes_moved_or_copied() {
    let Some(mut bench) = Bench::new("holes") else { return };
    for (name, script) in [
        ("moved", "truncate -s 256M out; echo end >>out"),
        ("copied", "truncate -s 256M out; echo end >>out; ln out second"),
    ] {
        let step = bench.step(name, script, &[]);
        bench.deliver(step);
        let data = blob(&bench, step).metadata().unwrap();
        assert_eq!(data.len(), (256 << 20) + 4);
        assert!(data.blocks() * 512 < 1 << 20, "{name}: {} bytes on disk", data.blocks() * 512);
    }
}

#[test]
fn a_kept_directory_is_no_way_into_the_store() {
    let Some(mut bench) = Bench::new("incremental-hostile") else { return };
    // The first run leaves an output that is also a file of the directory that the next run may write.
    let first = "mkdir tree; echo first >out; ln out tree/same";
    let again = ". /kiln/in/setup";
    let inputs = [("setup", inline(first)), ("config", inline("1"))];
    let step = bench.step("work", again, &inputs);
    bench.deliver(step);
    let overwrite = "chmod 644 tree/same; echo overwritten >tree/same; echo second >out";
    let instead = [("setup".to_owned(), overwrite.as_bytes().to_vec())].into();
    bench
        .plan
        .incremental
        .insert(step, IncrementalRun { directory: "tree".to_owned(), changing: ["config".to_owned()].into(), instead });
    let incremental = ExecOptions { incremental: Incremental::Directories, ..ExecOptions::default() };
    let kept = bench.realize_with(incremental).unwrap();
    let path = bench.store.path(&kept.file(&out(step)).sha256).unwrap();
    bench.plan.steps[step].inputs.insert("config".to_owned(), inline("2"));
    assert_eq!(path.metadata().unwrap().nlink(), 1, "nothing in the kept directory is the blob");
    let next = bench.realize_with(incremental).unwrap();
    // The file lost its other name after it was kept, which makes the directory one that is not trusted.
    assert_eq!(bench.content(&next, step), "first\n");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "first\n");
}

#[test]
fn a_link_in_the_place_of_a_kept_directory_is_not_kept() {
    let Some(mut bench) = Bench::new("incremental-link") else { return };
    let canary = Canary::new("incremental-link");
    let script = format!("echo x >out; ln -s {} tree", canary.directory.display());
    let step = bench.step("work", &script, &[("config", inline("1"))]);
    bench.deliver(step);
    let incremental =
        IncrementalRun { directory: "tree".to_owned(), changing: ["config".to_owned()].into(), instead: [].into() };
    bench.plan.incremental.insert(step, incremental);
    bench.realize_with(ExecOptions { incremental: Incremental::Directories, ..ExecOptions::default() }).unwrap();
    assert_eq!(std::fs::read_dir(bench.store.root().join("incremental")).unwrap().count(), 0);
    let events = bench.heard.events();
    let warned = |event: &StepEvent| matches!(event, StepEvent::Warning { message } if message.contains("cannot be incremental"));
    assert!(events.iter().any(warned), "{events:?}");
    canary.unharmed();
}

#[test]
fn a_log_has_a_bound_and_so_has_a_line() {
    let Some(mut bench) = Bench::new("chatter") else { return };
    let step = bench.step("chatter", "head -c 80M /dev/zero; echo; echo last words; exit 3", &[]);
    bench.deliver(step);
    let error = bench.realize_with(ExecOptions::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("\n  last words\n") && text.contains("\nthe first 64.0 MiB of its log ("), "no end in it");
    assert!(text.len() < 64 << 10, "an error of {} bytes", text.len());
    let ExecError::Step(failed) = error else { panic!("no step") };
    let log = failed.log.unwrap();
    let size = log.path.metadata().unwrap().len();
    assert!((60 << 20..65 << 20).contains(&size) && log.cut.is_some(), "{size}");
    let end = std::fs::read(&log.path).unwrap().split_off(size as usize - 100);
    assert!(String::from_utf8_lossy(&end).contains("the rest of the log was omitted"));
    bench.heard.events();
}

#[test]
fn a_step_that_said_nothing_has_no_log_that_an_error_could_name() {
    let Some(mut bench) = Bench::new("silent") else { return };
    let text = refused(&mut bench, "exit 3", Leaves::Out);
    assert_eq!(text, "step kernel-build hostile failed: exit status: 3");
    assert_eq!(std::fs::read_dir(bench.store.root().join("log")).unwrap().count(), 0);
}

#[test]
fn what_is_made_of_a_private_file_is_private() {
    let Some(mut bench) = Bench::new("private") else { return };
    let (secret, plain) = (b"secret".to_vec(), b"plain".to_vec());
    bench.plan.private.insert(kiln::base::Digest::of(&secret));
    let one = bench.step("one", "cat /kiln/in/x >out", &[("x", Input::Inline(secret.clone())), ("y", inline("y"))]);
    let two = bench.step("two", "mkdir out; cat /kiln/in/x >out/x", &[("x", out(one))]);
    let three = bench.step("three", "cat /kiln/in/x/x /kiln/in/x/x >out", &[("x", out(two))]);
    let other = bench.step("other", "cat /kiln/in/x >out", &[("x", Input::Inline(plain.clone()))]);
    for step in [one, three, other] {
        bench.deliver(step);
    }
    let realized = bench.realize();
    let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    let of = |bytes: &[u8]| mode(bench.store.path(&kiln::base::Digest::of(bytes)).unwrap());
    assert_eq!((of(&secret), of(b"secretsecret"), of(&plain), of(b"y")), (0o400, 0o400, 0o444, 0o444));
    let results = bench.store.get_result(&realized.actions["kernel-build two"]).unwrap();
    let Output::Tree { root, .. } = &results["out"] else { panic!("{results:?}") };
    let tree = bench.store.tree(root).unwrap();
    assert_eq!((mode(tree.clone()), mode(tree.join("x"))), (0o500, 0o400));
    // Nobody opens it again by having the same bytes.
    bench.store.put(&secret).unwrap();
    assert_eq!(of(&secret), 0o400);
    // What was public becomes private when it is found to be.
    bench.store.put_private(&plain).unwrap();
    assert_eq!(of(&plain), 0o400);
    assert!(bench.store.has(&kiln::base::Digest::of(&plain)));
}

#[test]
fn sockets_attributes_and_stopping() {
    let root = scratch("foreign-store");
    let store = Store::open(&root).unwrap();
    let left = store.scratch("left").unwrap();
    let dir = Dir::open(&left).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(left.join("socket")).unwrap();
    let error = store.take(&dir, "socket", Taking::PUBLIC).unwrap_err().to_string();
    assert_eq!(error, "its output socket is a socket, not a file or a directory");

    let (file, tree) = (left.join("file"), left.join("tree"));
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("file"), "in a tree").unwrap();
    std::fs::write(&file, "attributed").unwrap();
    let attach = |path: &Path, name: &str, value: &[u8]| {
        rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).is_ok()
    };
    let mut attached = 0;
    for path in [&file, &tree, &tree.join("file")] {
        attached += u32::from(attach(path, "user.kiln", b"x"));
        // Everything that root may do (capability(7), version 2); only root can give it.
        let capabilities = [2, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0];
        attached += u32::from(attach(path, "security.capability", &capabilities));
    }
    println!("{attached} attributes");
    let Output::File { digest, .. } = store.take(&dir, "file", Taking::PUBLIC).unwrap() else { panic!() };
    let Output::Tree { root: top, .. } = store.take(&dir, "tree", Taking::PUBLIC).unwrap() else { panic!() };
    let (blob, tree) = (store.path(&digest).unwrap(), store.tree(&top).unwrap());
    for path in [blob, tree.join("file"), tree] {
        let mut names = [0; 1000];
        let length = rustix::fs::listxattr(&path, names.as_mut_slice()).unwrap_or(0);
        let names = String::from_utf8_lossy(&names[..length]).into_owned();
        assert!(!names.contains("user.") && !names.contains("capability"), "{names:?}");
    }

    std::fs::write(&file, "stopped").unwrap();
    let stopped = store.take(&dir, "file", Taking { private: false, stop: &|| true });
    assert!(matches!(stopped, Err(StoreError::Interrupted)), "{stopped:?}");
    let error = store.take(&dir, "../left/file", Taking::PUBLIC);
    assert!(error.is_err(), "{error:?}");
    drop(store);
    kiln::world::fs::remove_tree(&root).unwrap();
}
