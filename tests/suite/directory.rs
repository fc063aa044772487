//! Directories that somebody sends: `kiln verify DIR` and `kiln run DIR` name what is wrong, end soon, and touch nothing
//! that is not theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kiln::base::Digest;
use kiln::deliver::check::{CheckOptions, Checked, Difference, check};
use kiln::deliver::launch::{LaunchFile, script};
use kiln::deliver::manifest::{DeliveredFile, FORMAT, Manifest};
use kiln::machine::argv::Place;
use kiln::store::{Output as Made, Store};

use super::launch::launch_of;
use super::live::{Scratch, fail_with, kiln};
use super::machine_support::machine;

/// The tiny machine of a directory.
fn launch() -> LaunchFile {
    launch_of(&machine("forward ssh = 2222\n append = [\"quiet\"]"), &BTreeMap::new())
}

/// The files of a whole build of one machine.
pub(super) fn files() -> Vec<(String, Vec<u8>)> {
    with_launch(&launch())
}

fn with_launch(launch: &LaunchFile) -> Vec<(String, Vec<u8>)> {
    let own = [("launch.json", launch.json()), ("launch.sh", script(launch, None))];
    let built = [("disk.qcow2", "disk"), ("initrd.img", "initrd"), ("vmlinuz", "kernel")];
    let own = own.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes()));
    own.chain(built.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))).collect()
}

/// A manifest to match.
pub(super) fn manifest(files: &[(String, Vec<u8>)]) -> Manifest {
    let artifact = |bytes: &[u8]| DeliveredFile { size: bytes.len() as u64, sha256: Digest::of(bytes) };
    Manifest {
        format: FORMAT,
        recipe: "tiny".to_owned(),
        output_version: kiln::lock::OUTPUT,
        lock: Digest::of(b"lock"),
        artifacts: files.iter().map(|(name, bytes)| (name.clone(), artifact(bytes))).collect(),
        steps: BTreeMap::from([("tools qemu".to_owned(), Digest::of(b"step"))]),
        incremental: BTreeSet::new(),
        built_qemu: BTreeMap::new(),
        local: BTreeMap::new(),
        qemu: BTreeMap::from([("m".to_owned(), "tools qemu".to_owned())]),
        images: BTreeMap::new(),
        kernels: BTreeMap::new(),
        warnings: BTreeMap::new(),
    }
}

fn put(at: &Path, files: &[(String, Vec<u8>)], manifest: &Manifest) {
    for (name, bytes) in files {
        let path = at.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::write(at.join("manifest.json"), manifest.write()).unwrap();
}

/// A whole build at a place that need not exist; its files.
pub(super) fn deliver(at: &Path) -> Vec<(String, Vec<u8>)> {
    let files = files();
    put(at, &files, &manifest(&files));
    files
}

/// A directory that has been tampered with, and a canary beside it.
struct Sent {
    scratch: Scratch,
    at: PathBuf,
    canary: PathBuf,
}

const SECRET: &str = "what nobody outside may see";

impl Sent {
    fn new(name: &str) -> Sent {
        let scratch = Scratch::new(&format!("sent-{name}"));
        let (at, canary) = (scratch.path("result"), scratch.path("canary"));
        deliver(&at);
        std::fs::write(&canary, SECRET).unwrap();
        Sent { scratch, at, canary }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.at.join(name)
    }

    /// Puts something else in the place of a file.
    fn replace(&self, name: &str, make: impl FnOnce(&Path)) {
        std::fs::remove_file(self.path(name)).unwrap();
        make(&self.path(name));
    }

    fn checked(&self) -> Checked {
        check(&self.at, &CheckOptions { remembered: None, told: &|_, _| {} }).unwrap()
    }

    fn differences(&self) -> Vec<Difference> {
        self.checked().differences
    }

    /// What a verb says of it, within half a minute; the canary is neither shown nor changed.
    fn say(&self, verb: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.arg("30").arg(env!("CARGO_BIN_EXE_kiln")).args(verb).arg(&self.at);
        let output = command.env("KILN_STORE", self.scratch.path("store")).output().unwrap();
        assert_ne!(output.status.code(), Some(124), "{verb:?} hangs");
        for stream in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(stream);
            let secret = Digest::of(SECRET.as_bytes()).to_string();
            assert!(!text.contains(SECRET) && !text.contains(&secret), "{text}");
            assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
        }
        assert_eq!(std::fs::read_to_string(&self.canary).unwrap(), SECRET);
        output
    }

    /// Both verbs end with 3 and this line.
    fn refused(&self, line: &str) {
        for verb in ["verify", "run"] {
            let output = self.say(&[verb]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(3), "{verb}: {said}");
            assert!(said.lines().any(|found| found.trim() == line), "{verb}: `{line}` in\n{said}");
            assert!(
                !said.lines().any(|found| found.trim().starts_with("5 files")) && output.stdout.is_empty(),
                "{said}"
            );
        }
    }
}

fn pipe(at: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
}

#[test]
fn a_whole_directory_is_good_and_its_qemu_must_be_at_hand() {
    let sent = Sent::new("whole");
    let output = sent.say(&["verify"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "5 files verified\n");
    let said = fail_with(kiln(&sent.scratch.path("store")).arg("run").arg(&sent.at), 4);
    assert!(said.contains("the QEMU of machine m is not in this store"), "{said}");
    // What `kiln test` leaves is no difference; a file of that name is.
    std::fs::create_dir_all(sent.path("log")).unwrap();
    std::fs::write(sent.path("log/m.console.log"), "").unwrap();
    assert_eq!(sent.differences(), []);
}

#[test]
fn pipes_links_devices_and_directories_in_the_place_of_a_file_are_named() {
    let pipes = Sent::new("pipe");
    pipes.replace("vmlinuz", pipe);
    pipes.refused("vmlinuz: it is a named pipe, not a file");
    let launch = Sent::new("pipe-launch");
    launch.replace("launch.json", pipe);
    launch.refused("launch.json: it is a named pipe, not a file");
    let manifest = Sent::new("pipe-manifest");
    manifest.replace("manifest.json", pipe);
    manifest.refused("manifest.json: it is a named pipe, not a file");
    for (name, target) in [("disk.qcow2", "/dev/zero"), ("manifest.json", "/dev/zero"), ("launch.json", "/etc/passwd")]
    {
        let links = Sent::new(&format!("link-{name}"));
        links.replace(name, |at| symlink(target, at).unwrap());
        links.refused(&format!("{name}: it is a symbolic link, not a file"));
    }
    let canary = Sent::new("canary");
    canary.replace("initrd.img", |at| symlink(&canary.canary, at).unwrap());
    canary.refused("initrd.img: it is a symbolic link, not a file");
    let directory = Sent::new("directory");
    directory.replace("disk.qcow2", |at| std::fs::create_dir(at).unwrap());
    directory.refused("disk.qcow2: it is a directory, not a file");
}

#[test]
fn a_link_in_the_place_of_a_machines_directory_is_named() {
    let sent = Sent::new("directories");
    let elsewhere = sent.scratch.path("elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    let files: Vec<_> = files()
        .into_iter()
        .flat_map(|(name, bytes)| ["m", "n"].map(|at| (format!("{at}/{name}"), bytes.clone())))
        .collect();
    let mut manifest = manifest(&files);
    manifest.qemu.insert("n".to_owned(), "tools qemu".to_owned());
    files
        .iter()
        .filter(|(name, _)| !name.contains('/'))
        .for_each(|(name, _)| drop(std::fs::remove_file(sent.path(name))));
    std::fs::remove_dir_all(&sent.at).unwrap();
    put(&sent.at, &files, &manifest);
    let machine = |found: &str, expected: &str| Difference::Machine {
        file: "n/launch.json".into(),
        found: found.into(),
        expected: expected.into(),
    };
    assert_eq!(sent.differences(), [machine("m", "n")], "the second one says it is the first");
    std::fs::rename(sent.path("m"), elsewhere.join("m")).unwrap();
    symlink(elsewhere.join("m"), sent.path("m")).unwrap();
    sent.refused("m: it is a symbolic link, not a file");
    sent.refused("m/disk.qcow2: it is missing");
}

#[test]
fn other_bytes_more_bytes_and_fewer_are_named_without_reading_further() {
    let sent = Sent::new("bytes");
    std::fs::write(sent.path("disk.qcow2"), "dusk").unwrap();
    sent.refused(&format!("disk.qcow2: has digest {}, expected {}", Digest::of(b"dusk"), Digest::of(b"disk")));
    // A hole without end would be read for years.
    std::fs::File::create(sent.path("disk.qcow2")).unwrap().set_len(1 << 40).unwrap();
    sent.refused(&format!("disk.qcow2: has {} bytes, expected 4", 1u64 << 40));
    std::fs::remove_file(sent.path("disk.qcow2")).unwrap();
    sent.refused("disk.qcow2: it is missing");
    assert_eq!(sent.differences(), [Difference::Missing { file: "disk.qcow2".into() }]);
}

#[test]
fn files_that_no_build_left_are_named_and_cannot_forge_a_line() {
    let sent = Sent::new("extra");
    std::fs::write(sent.path("evil"), "").unwrap();
    sent.refused("evil: not listed in the manifest");
    std::fs::write(sent.path("a\n5 files verified\u{1b}[2J"), "").unwrap();
    std::fs::create_dir_all(sent.path("deep/er")).unwrap();
    sent.refused("a␊5 files verified␛[2J: not listed in the manifest");
    sent.refused("deep: not listed in the manifest");
    symlink("/", sent.path("log")).unwrap();
    sent.refused("log: not listed in the manifest");
    (0..500).for_each(|number| std::fs::write(sent.path(&format!("x{number}")), "").unwrap());
    let found = sent.differences();
    assert_eq!(found.last(), Some(&Difference::ManyExtra { told: 100 }));
    assert_eq!(found.len(), 101);
}

#[test]
fn a_manifest_that_lists_too_little_is_no_build() {
    let sent = Sent::new("empty");
    let empty = Manifest { qemu: BTreeMap::new(), ..manifest(&[]) };
    std::fs::write(sent.path("manifest.json"), empty.write()).unwrap();
    sent.refused("manifest.json: it lists no machine and no image, so the build is incomplete");
    sent.refused("launch.sh: not listed in the manifest");
    std::fs::write(sent.path("manifest.json"), manifest(&[]).write()).unwrap();
    sent.refused("launch.json: every build has this file, but the manifest does not list it");
    for lacking in ["launch.json", "launch.sh", "disk.qcow2", "vmlinuz", "initrd.img"] {
        let files: Vec<_> = files().into_iter().filter(|(name, _)| name != lacking).collect();
        std::fs::write(sent.path("manifest.json"), manifest(&files).write()).unwrap();
        sent.refused(&format!("{lacking}: every build has this file, but the manifest does not list it"));
    }
    std::fs::write(sent.path("manifest.json"), "{}").unwrap();
    let said = String::from_utf8(sent.say(&["verify"]).stderr).unwrap();
    assert!(said.contains("manifest.json: invalid manifest: missing field"), "{said}");
    std::fs::write(sent.path("manifest.json"), vec![b' '; 5 << 20]).unwrap();
    sent.refused("manifest.json: it is larger than 4194304 bytes");
}

#[test]
fn names_of_a_manifest_cannot_lead_away_or_forge_a_line() {
    let sent = Sent::new("names");
    for name in ["../canary", "/etc/passwd", "a\n5 files verified", "\u{1b}]0;x\u{7}", "m/../../canary"] {
        let mut files = files();
        files.push((name.to_owned(), SECRET.as_bytes().to_vec()));
        std::fs::write(sent.path("manifest.json"), manifest(&files).write()).unwrap();
        let shown = kiln::base::Foreign(name);
        sent.refused(&format!("manifest.json: `{shown}` is not a valid name of a file or a machine"));
        let mut machines = manifest(&self::files());
        machines.qemu.insert(name.to_owned(), "tools qemu".to_owned());
        std::fs::write(sent.path("manifest.json"), machines.write()).unwrap();
        sent.refused(&format!("manifest.json: `{shown}` is not a valid name of a file or a machine"));
    }
}

#[test]
fn a_changed_launch_file_is_named_even_when_its_manifest_is_made_to_match() {
    let sent = Sent::new("launch");
    let mut other = launch();
    other.artifacts.get_mut(&Place::Disk).unwrap().sha256 = Digest::of(b"another disk");
    std::fs::write(sent.path("launch.json"), other.json()).unwrap();
    assert!(matches!(&sent.differences()[..], [Difference::Digest { file, .. }] if file == "launch.json"));
    let matching = |text: &str| {
        let mut files = files();
        files[0].1 = text.as_bytes().to_vec();
        put(&sent.at, &files, &manifest(&files));
    };
    matching(&other.json());
    sent.refused("launch.json: its size or digest of disk.qcow2 does not match the manifest");
    let mut other = launch();
    other.artifacts.get_mut(&Place::Kernel).unwrap().file = "evil".into();
    matching(&other.json());
    sent.refused("evil: every build has this file, but the manifest does not list it");
    let mut other = launch();
    other.description.machine.name = "another".into();
    matching(&other.json());
    sent.refused("launch.json: it belongs to machine another, expected m");
    matching(r#"{ "format": 1, "machine": "m", "argv": ["-netdev", "bridge,id=x,helper=/kiln/artifacts/evil"] }"#);
    let said = String::from_utf8(sent.say(&["run"]).stderr).unwrap();
    assert!(
        said.contains("launch.json: launch.json has format 1") && said.contains("run `kiln build` again"),
        "{said}"
    );
    matching(&launch().json().replace("\"max\"", "\"max,x=y -chardev socket\""));
    sent.refused(
        "launch.json: launch.json describes a machine that no recipe could: `max,x=y -chardev socket` is not a CPU \
         model with flags",
    );
    matching(&" ".repeat(2 << 20));
    sent.refused("launch.json: it is larger than 1048576 bytes");
}

#[test]
fn all_differences_are_told_and_programs_get_them_typed() {
    let sent = Sent::new("json");
    std::fs::write(sent.path("disk.qcow2"), "dusk").unwrap();
    std::fs::write(sent.path("extra"), "").unwrap();
    std::fs::remove_file(sent.path("vmlinuz")).unwrap();
    sent.replace("initrd.img", pipe);
    let output = sent.say(&["verify", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let kinds: Vec<&str> =
        report["differences"].as_array().unwrap().iter().map(|one| one["difference"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["digest", "not-a-file", "missing", "extra"]);
    assert_eq!(
        report["differences"][1],
        serde_json::json!({ "difference": "not-a-file", "file": "initrd.img", "found": "pipe" })
    );
    assert_eq!(report["wrong"].as_array().unwrap().len(), 4);
}

#[test]
fn a_printed_command_is_written_from_the_description() {
    let sent = Sent::new("print");
    let said = String::from_utf8(sent.say(&["run", "--print=argv"]).stdout).unwrap();
    let fill = |place: Place| match place {
        Place::Accel => "tcg".to_owned(),
        place => launch().artifacts.get(&place).map_or(place.name().to_owned(), |artifact| artifact.file.clone()),
    };
    let words: String = launch().description.argv(|_| ()).words(&fill).iter().map(|word| format!("{word}\n")).collect();
    assert_eq!(said, format!("qemu-system-x86_64\n{words}"));
    assert!(said.contains("hostfwd=tcp:127.0.0.1:2222-:22") && said.contains("spawn=deny"), "{said}");
    std::fs::write(sent.path("disk.qcow2"), "dusk").unwrap();
    let output = sent.say(&["run", "--print=argv"]);
    assert!(output.status.code() == Some(3) && output.stdout.is_empty());
}

#[test]
fn a_file_that_the_store_remembers_is_read_again_once_it_has_changed() {
    let sent = Sent::new("remembered");
    let store = Store::open(&sent.scratch.path("store")).unwrap();
    let options = CheckOptions { remembered: Some(&store), told: &|_, _| {} };
    for _ in 0..2 {
        let found = check(&sent.at, &options).unwrap();
        assert!(found.differences.is_empty());
        assert_eq!(found.machines["m"].states.len(), 3);
    }
    std::fs::write(sent.path("disk.qcow2"), "dusk").unwrap();
    let found = check(&sent.at, &options).unwrap().differences;
    assert!(matches!(&found[..], [Difference::Digest { file, .. }] if file == "disk.qcow2"), "{found:?}");
}

#[test]
fn the_bytes_that_were_compared_are_those_of_the_firmwares_variables() {
    let sent = Sent::new("variables");
    let uefi = machine("firmware = uefi\n boot = [\"ovmf\", \"systemd-boot-efi\"]");
    let launch = launch_of(&uefi, &BTreeMap::new());
    let mut files = with_launch(&launch);
    files.extend([("ovmf-code.fd", "code"), ("ovmf-vars.fd", "vars")].map(|(a, b)| (a.to_owned(), b.into())));
    put(&sent.at, &files, &manifest(&files));
    let found = sent.checked();
    assert!(found.differences.is_empty(), "{:?}", found.differences);
    assert_eq!(found.machines["m"].variables.as_deref(), Some(&b"vars"[..]));
    sent.replace("ovmf-vars.fd", |at| symlink("/etc/shadow", at).unwrap());
    sent.refused("ovmf-vars.fd: it is a symbolic link, not a file");
}

#[test]
fn a_tree_without_a_qemu_of_its_own_is_not_run() {
    let sent = Sent::new("tree");
    {
        let store = Store::open(&sent.scratch.path("store")).unwrap();
        let tree = store.scratch("tree").unwrap().join("root");
        std::fs::create_dir_all(tree.join("usr/bin")).unwrap();
        symlink("/bin/sh", tree.join("usr/bin/qemu-system-x86_64")).unwrap();
        let made = store.import_tree(&tree).unwrap();
        assert!(matches!(made, Made::Tree { .. }));
        store.put_result(&Digest::of(b"step"), &BTreeMap::from([("tree".to_owned(), made)])).unwrap();
    }
    let output = sent.say(&["run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("has no /usr/bin/qemu-system-x86_64"), "{said}");
}

/// A sparse file of terabytes costs nothing to make, and hours to read.
#[test]
fn what_would_be_read_for_hours_is_named_at_once() {
    let sent = Sent::new("hours");
    let size = 8u64 << 40;
    std::fs::File::create(sent.path("disk.qcow2")).unwrap().set_len(size).unwrap();
    let mut large = manifest(&files());
    large.artifacts.get_mut("disk.qcow2").unwrap().size = size;
    std::fs::write(sent.path("manifest.json"), large.write()).unwrap();
    sent.refused(&format!("manifest.json: it gives disk.qcow2 a size of {size} bytes (limit {})", 256u64 << 30));
    let mut many = manifest(&files());
    many.qemu.extend((0..300).map(|number| (format!("m{number}"), "tools qemu".to_owned())));
    std::fs::write(sent.path("manifest.json"), many.write()).unwrap();
    sent.refused("manifest.json: it lists 301 machines (limit 256)");
    let mut many = manifest(&files());
    let one = many.artifacts["disk.qcow2"];
    many.artifacts.extend((0..5000).map(|number| (format!("f{number}"), one)));
    std::fs::write(sent.path("manifest.json"), many.write()).unwrap();
    sent.refused("manifest.json: it lists 5005 files (limit 4096)");
}

#[test]
fn variables_that_are_too_large_to_be_kept_are_not_started_from() {
    let sent = Sent::new("large-variables");
    let variables = vec![0; (1 << 20) + 1];
    let mut launch = launch_of(&machine("firmware = uefi\n boot = [\"ovmf\", \"systemd-boot-efi\"]"), &BTreeMap::new());
    let listed = launch.artifacts.get_mut(&Place::FirmwareVars).unwrap();
    (listed.size, listed.sha256) = (variables.len() as u64, Digest::of(&variables));
    let mut files = with_launch(&launch);
    files.extend([("ovmf-code.fd".to_owned(), b"code".to_vec()), ("ovmf-vars.fd".to_owned(), variables)]);
    put(&sent.at, &files, &manifest(&files));
    sent.refused("launch.json: the firmware variables have more than 1048576 bytes");
}

/// Whoever starts it may be root, and the host's own services are looked for at such ports.
#[test]
fn a_directory_does_not_choose_a_privileged_port_of_the_host() {
    let sent = Sent::new("port");
    let files = with_launch(&launch_of(&machine("forward http = 80"), &BTreeMap::new()));
    put(&sent.at, &files, &manifest(&files));
    sent.refused(
        "launch.json: launch.json forwards host port 80, but a result directory may only use ports from 1024 on",
    );
}

#[test]
fn what_only_a_recipe_can_be_told_is_refused() {
    let sent = Sent::new("options");
    let refused = |words: &[&str], line: &str| {
        let output = sent.say(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(line), "{words:?}: {said}");
    };
    let of_recipes = [["--set", "size=1GiB"], ["--lock", "other.lock"]];
    for option in of_recipes {
        for verb in [&["verify"][..], &["run"], &["run", "--print"]] {
            refused(&[verb, &option].concat(), &format!("{} has no effect on the result directory", option[0]));
        }
    }
    for option in [&["--source", "mine=."][..], &["--no-cache"], &["--incremental"], &["--allow-leaks"]] {
        refused(&[&["run"], option].concat(), &format!("{} has no effect on the result directory", option[0]));
    }
    refused(&["run", "--print", "--keep", "kept"], "cannot be used with");
}
