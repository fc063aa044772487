//! `kiln bundle` and `kiln unbundle`: the same file wherever it is made, everything in it checked, and a rebuild or a run
//! without a network at the other end. Bundles that somebody else prepared are refused, and leave nothing.

mod modes;

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiln::format::tar::{TarEntry, TarEntryKind, TarPath, TarReader, TarWriter};

use super::attack::ground::{Ground, Image, run, succeeded};
use super::failure_support::{Lab, archive, refused, text};
use super::skip::skip;

/// Everything that a recipe can bring along, a directory with links and modes among it.
const BRINGING: &str = r#"
import "lib/more.kiln"
param size = 64MiB
packages image-tools { include = ["busybox-static", "e2fsprogs", "kmod", "libarchive13t64"] base = none }
packages qemu-11 { include = ["qemu-system-x86"] base = none }
kernel stock { package = package "linux-image-6.12.1-amd64" }
image tiny {
  size = size
  tools = image-tools
  packages = ["payload"]
  base = essential
  file "/etc/large" { source = file "large.bin" }
  tree "/opt/plain" { source = directory "trees/plain" }
  tree "/opt/exact" { source = directory "trees/exact" modes exact }
}
machine m { kernel = stock image = tiny qemu = qemu-11 cpus = 1 memory = 256MiB }
"#;

/// A project as people have them: `recipes/`, `lockfiles/`, imports, copied files.
fn project(name: &str) -> Lab {
    let lab = Lab::unlocked(name, archive(), |_| String::new());
    let recipes = lab.directory.join("recipes");
    for directory in ["lib", "trees/plain/sub", "trees/exact/closed"] {
        std::fs::create_dir_all(recipes.join(directory)).unwrap();
    }
    std::fs::write(recipes.join("tiny.kiln"), BRINGING).unwrap();
    std::fs::write(recipes.join("lib/more.kiln"), "archive trixie { keys = [file \"archive.asc\"] }\n").unwrap();
    std::fs::rename(lab.directory.join("archive.asc"), recipes.join("lib/archive.asc")).unwrap();
    std::fs::write(recipes.join("large.bin"), vec![7; (1 << 20) + 1]).unwrap();
    std::fs::write(recipes.join("trees/plain/sub/run"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(recipes.join("trees/plain/sub/run"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(recipes.join("trees/plain/sub-file"), "sorts between a directory and what is in it").unwrap();
    std::os::unix::fs::symlink("/usr/lib/os-release", recipes.join("trees/plain/link")).unwrap();
    std::fs::write(recipes.join("trees/exact/secret"), "x").unwrap();
    std::fs::set_permissions(recipes.join("trees/exact/secret"), PermissionsExt::from_mode(0o640)).unwrap();
    std::fs::set_permissions(recipes.join("trees/exact/closed"), PermissionsExt::from_mode(0o711)).unwrap();
    succeed(lab.kiln().args(["lock", "recipes/tiny.kiln", "--set", "size=128MiB"]));
    lab
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    text(&output)
}

/// Kiln with another store and no mirror, as on the machine of somebody else.
fn elsewhere(lab: &Lab, store: &str) -> Command {
    let mut kiln = lab.kiln();
    kiln.env("KILN_STORE", lab.directory.join(store)).env("KILN_MIRROR", "http://127.0.0.1:9");
    kiln
}

/// A bundle of a locked lab.
fn bundle(lab: &Lab, words: &[&str]) -> PathBuf {
    succeed(lab.kiln().args(["bundle", "--force", "-o", "b.tar"]).args(words));
    lab.directory.join("b.tar")
}

#[test]
fn a_bundle_has_the_recipe_the_lock_and_every_input_and_nothing_else_is_needed() {
    let lab = project("bundle");
    let file = bundle(&lab, &["recipes/tiny.kiln", "--set", "size=128MiB"]);
    let said = succeed(elsewhere(&lab, "other").args(["unbundle"]).arg(&file).arg("given/there"));
    assert!(said.contains("next: kiln build given/there/recipes/tiny.kiln --set size=128MiB --offline"), "{said}");
    // The lock is in force, every input is there, and nobody is asked: the mirror does not exist.
    let recipe = ["given/there/recipes/tiny.kiln", "--set", "size=128MiB"];
    succeed(elsewhere(&lab, "other").args(["lock", "--check"]).args(recipe));
    succeed(elsewhere(&lab, "other").args(["verify", "--inputs"]).args(recipe));
    let at = |name: &str| lab.directory.join("given/there/recipes").join(name);
    assert_eq!(at("trees/plain/link").read_link().unwrap(), Path::new("/usr/lib/os-release"));
    let mode = |name: &str| at(name).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("trees/exact/secret"), mode("trees/exact/closed")), (0o640, 0o711));
    assert_eq!(std::fs::read(at("large.bin")).unwrap().len(), (1 << 20) + 1);
    assert!(!lab.directory.join("given").read_dir().unwrap().any(|entry| entry.unwrap().file_name() != "there"));
}

#[test]
fn a_bundle_is_the_same_wherever_whenever_and_from_whatever_it_is_made() {
    let lab = project("bundle-same");
    let first = std::fs::read(bundle(&lab, &["recipes/tiny.kiln", "--set", "size=128MiB"])).unwrap();
    // From what it unpacks to, by another user's settings, out of a store that was filled in another order.
    succeed(elsewhere(&lab, "other").args(["unbundle", "b.tar", "again"]));
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 077; exec \"$0\" bundle again/lockfiles/tiny.lock -o c.tar"]);
    shell.arg(env!("CARGO_BIN_EXE_kiln")).current_dir(&lab.directory).env("TZ", "Asia/Tokyo").env("LC_ALL", "tr_TR");
    shell.env("KILN_STORE", lab.directory.join("other")).env("KILN_MIRROR", "http://127.0.0.1:9");
    succeed(&mut shell);
    let second = std::fs::read(lab.directory.join("c.tar")).unwrap();
    assert!(first == second, "the lock alone names the recipe and its parameters, and gives the same bytes");
    let listed = Command::new("tar").arg("tvf").arg(lab.directory.join("b.tar")).output().unwrap();
    assert!(listed.status.success() && listed.stderr.is_empty(), "GNU tar reads it: {}", text(&listed));
}

#[test]
fn what_the_other_side_has_is_left_out_and_missed_where_it_is_not() {
    let lab = Lab::new("bundle-since");
    let whole = bundle(&lab, &["tiny.kiln"]).metadata().unwrap().len();
    for (other, file) in
        [("b.tar", "from-bundle.tar"), ("tiny.lock", "from-lock.tar"), ("tiny.kiln", "from-recipe.tar")]
    {
        let said = succeed(lab.kiln().args(["bundle", "tiny.kiln", "--since", other, "-o", file]));
        assert!(said.contains("7 files left out"), "{said}");
        assert!(lab.directory.join(file).metadata().unwrap().len() < whole / 20);
        let store = format!("store-of-{file}");
        let output = elsewhere(&lab, &store).args(["unbundle", file, "none"]).output().unwrap();
        refused(&output, 4, &["it lacks 7 files that this store does not have either", "unbundle the other one first"]);
        assert!(!lab.directory.join("none").exists());
        succeed(elsewhere(&lab, &store).args(["unbundle", "b.tar", &format!("first-{store}")]));
        succeed(elsewhere(&lab, &store).args(["unbundle", file, &format!("second-{store}")]));
    }
    for name in ["other.kiln", "other.txt"] {
        std::fs::copy(lab.directory.join("tiny.kiln"), lab.directory.join(name)).unwrap();
    }
    let output = lab.kiln().args(["bundle", "tiny.kiln", "--since", "other.kiln", "-o", "d.tar"]).output().unwrap();
    refused(&output, 1, &["other.lock", "run `kiln lock` to make it"]);
    let output = lab.kiln().args(["bundle", "tiny.kiln", "--since", "other.txt", "-o", "d.tar"]).output().unwrap();
    refused(&output, 2, &["neither a lock, a recipe (.kiln) nor a bundle"]);
    assert!(!lab.directory.join("d.tar").exists());
}

#[test]
fn what_a_bundle_cannot_carry_is_refused_when_it_is_made() {
    let lab = project("bundle-unfit");
    let suid = lab.directory.join("recipes/trees/exact/suid");
    std::fs::write(&suid, "x").unwrap();
    std::fs::set_permissions(&suid, PermissionsExt::from_mode(0o4755)).unwrap();
    succeed(lab.kiln().args(["lock", "recipes/tiny.kiln"]));
    let output = lab.kiln().args(["bundle", "recipes/tiny.kiln", "-o", "b.tar"]).output().unwrap();
    refused(&output, 2, &["recipes/trees/exact/suid", "privileges"]);
    let output = lab.kiln().args(["bundle", "lockfiles/none.lock", "-o", "b.tar"]).output().unwrap();
    refused(&output, 4, &["none.lock"]);
    assert!(!lab.directory.join("b.tar").exists());
}

#[test]
fn a_directory_that_is_there_stays_as_it_is() {
    let lab = Lab::new("bundle-taken");
    bundle(&lab, &["tiny.kiln"]);
    std::fs::create_dir(lab.directory.join("taken")).unwrap();
    std::fs::write(lab.directory.join("taken/mine"), "mine").unwrap();
    std::os::unix::fs::symlink("/tmp", lab.directory.join("link")).unwrap();
    for (place, code) in [("taken", 2), ("link", 2), ("tiny.kiln", 2), (".", 2), ("..", 2)] {
        let output = lab.kiln().args(["unbundle", "b.tar", place]).output().unwrap();
        refused(&output, code, &[]);
    }
    assert_eq!(std::fs::read_dir(lab.directory.join("taken")).unwrap().count(), 1);
    std::fs::create_dir(lab.directory.join("empty")).unwrap();
    succeed(lab.kiln().args(["unbundle", "b.tar", "empty"]));
    succeed(lab.kiln().args(["unbundle", "b.tar"]));
    assert!(lab.directory.join("tiny/recipes/tiny.kiln").exists() && lab.directory.join("tiny/lockfiles").exists());
}

/// A bundle as entries, to be changed and written again by whoever attacks.
struct Forged(BTreeMap<TarPath, (TarEntry, Vec<u8>)>);

impl Forged {
    fn read(file: &Path) -> Forged {
        let mut reader = TarReader::new(std::fs::File::open(file).unwrap());
        let mut entries = BTreeMap::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
            entries.insert(entry.path.clone(), (entry, bytes));
        }
        Forged(entries)
    }

    fn empty() -> Forged {
        Forged(BTreeMap::new())
    }

    fn write(&self, file: &Path) {
        let mut writer = TarWriter::new(std::fs::File::create(file).unwrap());
        self.0.values().for_each(|(entry, bytes)| writer.append(entry, bytes.as_slice()).unwrap());
        writer.finish().unwrap();
    }

    fn put(&mut self, path: &str, kind: TarEntryKind, bytes: &[u8]) -> &mut TarEntry {
        let path = TarPath::new(path).unwrap();
        let mut entry = TarEntry::file(path.clone(), 0o644, 315_532_800, bytes.len() as u64);
        entry.kind = kind;
        &mut self.0.entry(path).insert_entry((entry, bytes.to_vec())).into_mut().0
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> &mut TarEntry {
        self.put(path, TarEntryKind::File, bytes)
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        self.0[&TarPath::new(path).unwrap()].1.clone()
    }

    fn remove(&mut self, path: &str) {
        self.0.remove(&TarPath::new(path).unwrap()).unwrap();
    }

    /// The first of the files that the lock names.
    fn first(&self) -> String {
        let first = self.0.keys().find(|path| path.as_bytes().starts_with(b"files/")).unwrap();
        String::from_utf8_lossy(first.as_bytes()).into_owned()
    }
}

/// A change of a bundle by somebody who means ill, and what is said to it.
type Forgery = (&'static str, &'static str, fn(&mut Forged));

const FORGERIES: [Forgery; 17] = [
    ("one-byte", "its bytes have digest", |bundle| {
        let name = bundle.first();
        let mut bytes = bundle.bytes(&name);
        bytes[0] ^= 1;
        bundle.file(&name, &bytes);
    }),
    ("one-byte-more", "got", |bundle| {
        let name = bundle.first();
        let bytes = [bundle.bytes(&name), vec![0]].concat();
        bundle.file(&name, &bytes);
    }),
    ("foreign-file", "the lock in the bundle does not name it", |bundle| {
        let name = format!("files/{}", kiln::base::Digest::of(b"foreign"));
        bundle.file(&name, b"foreign");
    }),
    ("file-without-digest", "a bundle has no such entry", |bundle| _ = bundle.file("files/none", b"x")),
    ("entry-of-no-bundle", "a bundle has no such entry", |bundle| _ = bundle.file("zz", b"x")),
    ("device", "it is not a regular file", |bundle| {
        let null = kiln::format::tar::Device { major: 1, minor: 3 };
        bundle.put("recipes/null", TarEntryKind::CharDevice(null), b"");
    }),
    ("pipe", "it is not a regular file", |bundle| _ = bundle.put("recipes/pipe", TarEntryKind::Fifo, b"")),
    ("hard-link", "it is not a regular file", |bundle| {
        bundle.put("recipes/x", TarEntryKind::Hardlink(TarPath::new("bundle.json").unwrap()), b"");
    }),
    ("link", "a symbolic link outside of the directories", |bundle| {
        bundle.put("recipes/tiny.kiln", TarEntryKind::Symlink(b"/etc/passwd".to_vec()), b"").mode = 0o777;
    }),
    ("set-user-id", "its mode, owner, time or attributes", |bundle| {
        let bytes = bundle.bytes("recipes/tiny.kiln");
        bundle.file("recipes/tiny.kiln", &bytes).mode = 0o4755;
    }),
    ("owner", "its mode, owner, time or attributes", |bundle| {
        let bytes = bundle.bytes("recipes/tiny.kiln");
        bundle.file("recipes/tiny.kiln", &bytes).uid = 1;
    }),
    ("foreign-recipe", "the lock in the bundle does not name it", |bundle| _ = bundle.file("recipes/.bashrc", b"x")),
    ("other-recipe", "the recipes in it are not those of its lock", |bundle| {
        let bytes = [bundle.bytes("recipes/tiny.kiln"), b"\n".to_vec()].concat();
        bundle.file("recipes/tiny.kiln", &bytes);
    }),
    ("no-recipe", "cannot resolve", |bundle| bundle.remove("recipes/tiny.kiln")),
    ("other-lock", "its bytes have digest", |bundle| {
        let bytes = [bundle.bytes("bundle.lock"), b"\n".to_vec()].concat();
        bundle.file("bundle.lock", &bytes);
    }),
    ("no-lock", "expected `bundle.lock`", |bundle| bundle.remove("bundle.lock")),
    ("recipe-outside", "the lock in the bundle does not name it", |bundle| {
        let text = String::from_utf8(bundle.bytes("bundle.json")).unwrap();
        bundle.file("bundle.json", text.replace("tiny.kiln", "../tiny.kiln").as_bytes());
    }),
];

#[test]
fn a_forged_bundle_is_refused_with_words_and_leaves_nothing() {
    let lab = Lab::new("bundle-forged");
    let file = bundle(&lab, &["tiny.kiln"]);
    let forged = lab.directory.join("forged.tar");
    for (name, words, forge) in FORGERIES {
        let mut bundle = Forged::read(&file);
        forge(&mut bundle);
        bundle.write(&forged);
        let output = elsewhere(&lab, "other").args(["unbundle", "forged.tar", "out"]).output().unwrap();
        let code = if name == "no-recipe" { 4 } else { 3 };
        assert!(text(&output).contains(words), "{name}: {}", text(&output));
        refused(&output, code, &[]);
        nothing_is_left(&lab, name);
    }
    let store = kiln::store::Store::open(&lab.directory.join("other")).unwrap();
    assert_eq!(store.recheck().unwrap().damaged, 0);
    assert!(!store.has(&kiln::base::Digest::of(b"foreign")));
}

fn nothing_is_left(lab: &Lab, name: &str) {
    let left = std::fs::read_dir(&lab.directory).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|entry| entry == "out" || entry.to_string_lossy().starts_with(".kiln-")).collect();
    assert!(left.is_empty(), "{name} left {left:?}");
}

#[test]
fn a_bundle_that_is_cut_or_goes_on_is_refused_wherever_that_happens() {
    let lab = Lab::new("bundle-cut");
    let whole = std::fs::read(bundle(&lab, &["tiny.kiln"])).unwrap();
    let cut = lab.directory.join("cut.tar");
    let lengths = [0, 1, 511, 512, 700, 5_000, whole.len() / 2, whole.len() - 1024, whole.len() - 512, whole.len() - 1];
    for length in lengths {
        std::fs::write(&cut, &whole[..length]).unwrap();
        let output = elsewhere(&lab, "other").args(["unbundle", "cut.tar", "out"]).output().unwrap();
        refused(&output, 3, &["cut.tar: not a whole bundle"]);
        nothing_is_left(&lab, "a cut bundle");
    }
    for more in [&b"x"[..], &[0; 512], &whole] {
        std::fs::write(&cut, &whole).unwrap();
        std::fs::OpenOptions::new().append(true).open(&cut).unwrap().write_all(more).unwrap();
        let output = elsewhere(&lab, "other").args(["unbundle", "cut.tar", "out"]).output().unwrap();
        refused(&output, 3, &["it does not end where its archive ends"]);
        nothing_is_left(&lab, "a longer bundle");
    }
    // What no file of it has, and no digest covers: the end of the first file's last block, and of its header's checksum.
    for (at, words) in [(1023, "padding that is not zeros"), (155, "a header that kiln writes otherwise")] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&cut, &changed).unwrap();
        let output = elsewhere(&lab, "other").args(["unbundle", "cut.tar", "out"]).output().unwrap();
        refused(&output, 3, &[words]);
        nothing_is_left(&lab, "a changed bundle");
    }
    for odd in ["/dev/zero", "/dev/null", "recipes", "."] {
        let output = elsewhere(&lab, "other").args(["unbundle", odd, "out"]).output().unwrap();
        refused(&output, if odd == "recipes" { 4 } else { 2 }, &[]);
    }
}

/// Starts a program in a network namespace in which there is nothing, not even a loopback that is up.
fn alone_in_a_namespace() -> &'static [&'static str] {
    match rustix::process::geteuid().is_root() {
        true => &["unshare", "-n"],
        false => &["unshare", "-rn", "--map-auto"],
    }
}

#[test]
fn the_commands_of_the_page_rebuild_and_run_without_a_network() {
    let ground = Ground::new(&Ground::place("bundle"), Vec::new());
    if let Some(why) = ground.why_not() {
        return skip(why);
    }
    if run(ground.wrapped(alone_in_a_namespace()).arg("--version")).code != Some(0) {
        return skip("no network namespaces");
    }
    ground.recipe("small", &Image::default());
    for directory in ["recipes", "lockfiles", "there"] {
        std::fs::create_dir(ground.path(directory)).unwrap();
    }
    for file in ["small.kiln", "archive.asc"] {
        std::fs::rename(ground.path(file), ground.path("recipes").join(file)).unwrap();
    }
    let here = |words: &[&str]| {
        let mut kiln = ground.kiln();
        kiln.args(words);
        kiln
    };
    let there = |words: &[&str]| {
        let mut kiln = ground.wrapped(alone_in_a_namespace());
        kiln.current_dir(ground.path("there")).env("KILN_STORE", ground.path("store-there")).args(words);
        kiln
    };
    succeeded(here(&["lock", "recipes/small.kiln"]));
    std::fs::copy(ground.path("lockfiles/small.lock"), ground.path("lockfiles/small-old.lock")).unwrap();
    let [sender, receiver, update] = [0, 1, 2].map(page_commands);
    sender.iter().for_each(|words| drop(succeeded(here(&words.iter().map(String::as_str).collect::<Vec<_>>()))));
    for name in ["small.tar", "small-run.tar"] {
        std::fs::copy(ground.path(name), ground.path("there").join(name)).unwrap();
    }
    let said: Vec<String> =
        receiver.iter().map(|words| succeeded(there(&words.iter().map(String::as_str).collect::<Vec<_>>()))).collect();
    assert!(said[0].contains("next: kiln build small/recipes/small.kiln --offline"), "{said:?}");
    assert!(said[2].contains("next: kiln run elsewhere/result/small"), "{said:?}");
    assert!(said[3].contains("QEMU-STARTED"), "the locked QEMU is started: {said:?}");
    let manifest = |at: &str| std::fs::read_to_string(ground.path(at).join("manifest.json")).unwrap();
    assert_eq!(manifest("there/small/out"), manifest("result/small"));
    assert_eq!(manifest("there/elsewhere/result/small"), manifest("result/small"));
    let mode = ground.path("there/elsewhere/result/small/launch.sh").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    succeeded(there(&["verify", "elsewhere/result/small"]));
    succeeded(here(&update[0].iter().map(String::as_str).collect::<Vec<_>>()));
    succeeded(here(&["bundle", "--allow-leaks", "--outputs", "recipes/small.kiln", "-o", "again.tar"]));
    assert!(std::fs::read(ground.path("small-run.tar")).unwrap() == std::fs::read(ground.path("again.tar")).unwrap());
    with_qemu(&ground, &[&here, &there], &manifest);
    forged_outputs(&ground, &|words| {
        let mut kiln = there(words);
        kiln.current_dir(&ground.directory);
        kiln
    });
}

/// A kiln with these words.
type Kiln<'a> = &'a dyn Fn(&[&str]) -> Command;

/// A directory with QEMU in it is the same wherever it is built, whole, and without QEMU again after another build.
fn with_qemu(ground: &Ground, [here, there]: &[Kiln<'_>; 2], manifest: &dyn Fn(&str) -> String) {
    let [build] = &page_commands(3)[..] else { panic!("one command") };
    let words: Vec<&str> = build.iter().map(String::as_str).collect();
    succeeded(here(&words));
    let other = ["build", "--allow-leaks", "--offline", "small/recipes/small.kiln", "--with-qemu", "--out", "complete"];
    succeeded(there(&other));
    assert_eq!(manifest("there/complete"), manifest("small-complete"));
    succeeded(there(&["verify", "complete"]));
    let list = Command::new("tar").arg("-tf").arg(ground.path("small-complete/qemu.tree.tar")).output().unwrap();
    let names = String::from_utf8(list.stdout).unwrap();
    for name in ["qemu-system-x86_64", "usr/bin/qemu-system-x86_64"] {
        assert!(names.lines().any(|line| line == name), "{name} in {names}");
    }
    std::fs::write(ground.path("there/complete/qemu.tree.tar"), "another").unwrap();
    assert_eq!(run(&mut there(&["verify", "complete"])).code, Some(3));
    succeeded(there(&other[..4].iter().chain(&other[5..]).copied().collect::<Vec<_>>()));
    assert!(!ground.path("there/complete/qemu.tree.tar").exists());
}

/// The words of every command in a block of the page; builds of recipes made for attacks have traces of this machine.
pub(super) fn page_commands(block: usize) -> Vec<Vec<String>> {
    let page = include_str!("../../docs/sharing.md");
    let block = page.split("```sh\n").nth(block + 1).unwrap().split("```").next().unwrap();
    let lines = block.lines().map(|line| line.split(" #").next().unwrap()).filter(|line| !line.is_empty());
    let words = lines.map(|line| {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert_eq!(words.remove(0), "kiln", "{line}");
        if ["build", "bundle", "push"].contains(&words[0].as_str()) {
            words.push("--allow-leaks".to_owned());
        }
        words
    });
    words.collect()
}

/// Artifacts of another build, however they are named, are refused.
fn forged_outputs(ground: &Ground, kiln: &dyn Fn(&[&str]) -> Command) {
    let forgeries: [(&str, &str); 3] = [
        ("\"recipe\": \"small\"", "\"recipe\": \"other\""),
        ("\"tools host-tools\": \"", "\"tools host-tools\": \"0000"),
        ("vmlinuz", "vmlinux"),
    ];
    for (from, to) in forgeries {
        let mut bundle = Forged::read(&ground.path("small-run.tar"));
        let text = String::from_utf8(bundle.bytes("bundle.manifest")).unwrap();
        assert!(text.contains(from), "{text}");
        bundle.file("bundle.manifest", text.replacen(from, to, 1).as_bytes());
        bundle.write(&ground.path("forged.tar"));
        let ended = run(&mut kiln(&["unbundle", "forged.tar", "out"]));
        assert_eq!(ended.code, Some(3), "{to}: {}", ended.text());
        assert!(!ground.path("out").exists());
    }
}
