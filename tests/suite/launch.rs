//! `launch.json` reads back and refuses what no recipe could say; `launch.sh` does what it says, in a real shell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use kiln::base::Digest;
use kiln::deliver::launch::{LaunchArtifact, LaunchError, LaunchFile, script};
use kiln::machine::argv::Place;
use kiln::recipe::machine::Machine;
use serde_json::Value;

use super::machine_support::{described, every, fixtures, golden, machine, read, recipes};

const BODY: &str = "append = [\"quote='$HOME'\"]\n disk data { size = 8MiB }\n\
    cxl { bridge b { port p { expander e { persistent = 256MiB } } }\n window w { targets = [b] size = 256MiB } }";

fn artifact(file: &str, bytes: &[u8]) -> LaunchArtifact {
    LaunchArtifact { file: file.into(), size: bytes.len() as u64, sha256: Digest::of(bytes) }
}

/// How a machine among others is launched, from files with these contents.
pub(super) fn launch_of(machine: &Machine, machines: &BTreeMap<String, Machine>) -> LaunchFile {
    use kiln::recipe::machine::Firmware;
    let mut artifacts = BTreeMap::from([
        (Place::Kernel, artifact("vmlinuz", b"kernel")),
        (Place::Initrd, artifact("initrd.img", b"initrd")),
        (Place::Disk, artifact("disk.qcow2", b"disk")),
    ]);
    if machine.firmware.value == Firmware::Uefi {
        artifacts.insert(Place::FirmwareCode, artifact("ovmf-code.fd", b"code"));
        artifacts.insert(Place::FirmwareVars, artifact("ovmf-vars.fd", b"vars"));
    }
    LaunchFile { description: described(machine, machines, "11.1.3"), artifacts }
}

pub(super) fn launch_file() -> LaunchFile {
    launch_of(&machine(BODY), &BTreeMap::new())
}

fn argv(file: &LaunchFile) -> Vec<String> {
    file.description.argv(|_| ()).template()
}

/// Every machine of the fixtures and of the recipes with a lock, ready to be launched.
fn everywhere() -> Vec<(String, LaunchFile)> {
    let fixtures = every("good").into_iter().flat_map(|(stem, text)| {
        let machines: BTreeMap<_, _> = read(&text).machines.into_iter().map(|one| (one.name.clone(), one)).collect();
        machines.values().map(|one| (stem.clone(), launch_of(one, &machines))).collect::<Vec<_>>()
    });
    let locked = recipes().into_iter().flat_map(|(stem, recipe, lock)| {
        let one = |machine: &Machine| {
            let mut file = launch_of(machine, &recipe.machines);
            file.description = kiln::ops::machines::description(&recipe, &lock, machine).unwrap();
            if !file.description.initrd {
                file.artifacts.remove(&Place::Initrd);
            }
            (stem.clone(), file)
        };
        recipe.machines.values().map(one).collect::<Vec<_>>()
    });
    fixtures.chain(locked).collect()
}

#[test]
fn json_reads_back_to_the_same_argv_whatever_the_machine() {
    let mut machines = 0;
    for (stem, file) in everywhere() {
        let text = file.json();
        let again = LaunchFile::read(text.as_bytes()).unwrap_or_else(|error| panic!("{stem}: {error}\n{text}"));
        assert_eq!(argv(&again), argv(&file), "{stem}");
        assert_eq!(again.json(), text, "{stem}");
        machines += 1;
    }
    assert!(machines > 30, "{machines}");
}

#[test]
fn the_script_and_the_json_are_golden() {
    let file = launch_file();
    golden(&fixtures("launch").join("launch.json"), &file.json());
    golden(&fixtures("launch").join("launch.sh"), &script(&file, None));
}

#[test]
fn firmware_stands_beside_the_script_and_its_variables_are_copied() {
    let file = launch_of(&machine("firmware = uefi\n boot = [\"ovmf\", \"systemd-boot-efi\"]"), &BTreeMap::new());
    let text = script(&file, None);
    for part in
        ["ovmf-code.fd\n", "firmware_code=./ovmf-code.fd", "cat <\"$firmware_vars\" >\"$run/vars\"", "kernel=./vmlinuz"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("-append \"") && !text.contains("-initrd"), "{text}");
    let mut without = file;
    without.artifacts.remove(&Place::FirmwareCode);
    assert_eq!(LaunchFile::read(without.json().as_bytes()), Err(LaunchError::Unfilled("firmware-code")));
}

#[test]
fn an_argv_that_a_directory_brings_along_is_refused_with_the_way_out() {
    let old = r#"{ "format": 1, "machine": "m", "qemu": "11.1.3", "machine_type": "pc-q35-11.1", "artifacts": [],
        "empty": [], "argv": ["-netdev", "bridge,id=x,br=br0,helper=/kiln/artifacts/evil"] }"#;
    let error = LaunchFile::read(old.as_bytes()).unwrap_err();
    assert_eq!(error, LaunchError::Format(1));
    assert!(error.to_string().contains("run `kiln build` again"), "{error}");
    let smuggled = launch_file().json().replacen('{', "{ \"argv\": [\"-netdev\", \"bridge,helper=/evil\"],", 1);
    let error = LaunchFile::read(smuggled.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("unknown field `argv`"), "{error}");
}

#[test]
fn hostile_launch_files_are_refused() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut file: Value = serde_json::from_str(&launch_file().json()).unwrap();
        change(&mut file);
        LaunchFile::read(file.to_string().as_bytes()).unwrap_err()
    };
    let name = |text: &str| LaunchError::Name(text.to_owned());
    let kernel = |text: &'static str| move |file: &mut Value| file["artifacts"]["kernel"]["file"] = text.into();
    assert_eq!(with(&kernel("../vmlinuz")), name("../vmlinuz"));
    assert_eq!(with(&kernel("-rf")), name("-rf"));
    assert_eq!(with(&|file| file["machine"]["name"] = "$(id)".into()), name("$(id)"));
    assert_eq!(with(&|file| file["qemu"] = "11.1;id".into()), name("11.1;id"));
    assert_eq!(with(&|file| file["artifacts"]["run"] = file["artifacts"]["kernel"].clone()), LaunchError::Place("run"));
    assert_eq!(
        with(&|file| drop(file["artifacts"].as_object_mut().unwrap().remove("disk"))),
        LaunchError::Unfilled("disk")
    );
    assert!(matches!(LaunchFile::read(b"{}"), Err(LaunchError::Json(_))));
    let machine = |change: &dyn Fn(&mut Value), part: &str| match with(change) {
        LaunchError::Machine(words) => assert!(words.contains(part), "{part}: {words}"),
        other => panic!("{part}: {other}"),
    };
    machine(&|file| file["machine"]["disks"][0]["name"] = "a;b".into(), "expected a name");
    machine(&|file| file["machine"]["disks"][0]["size"] = 1.into(), "invalid size");
    machine(&|file| file["machine"]["cpu"] = "max,x=/y".into(), "not a CPU model");
    machine(&|file| file["machine"]["cpus"] = 100_000.into(), "out of range");
    machine(&|file| file["machine"]["append"][0] = "a\nb".into(), "printable");
    machine(&|file| file["machine"]["forwards"] = serde_json::json!([{ "guest": 22, "host": 0 }]), "a TCP port");
    machine(&|file| file["machine"]["joins"] = serde_json::json!([{ "network": "n" }]), "no address on the network");
    machine(&|file| file["machine"]["cxl"]["windows"][0]["targets"][0] = "nowhere".into(), "unknown host bridge");
    machine(&|file| file["machine"]["cxl"]["bridges"][0]["name"] = "data".into(), "duplicate device");
    for lost in ["name", "cpus", "memory", "cpu", "type", "firmware", "user-network", "bounce", "rng"] {
        let error = with(&|file| drop(file["machine"].as_object_mut().unwrap().remove(lost)));
        assert!(matches!(&error, LaunchError::Json(words) if words.contains("missing field")), "{lost}: {error}");
    }
}

/// Machines are compared with each other, and ports below 1024 are the host's own.
#[test]
fn what_is_too_much_and_what_is_the_hosts_is_refused_before_it_is_judged() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut file: Value = serde_json::from_str(&launch_file().json()).unwrap();
        change(&mut file);
        LaunchFile::read(file.to_string().as_bytes())
    };
    let network = |number: u32, members: u32| {
        let member = |member: u32| (format!("m{member}"), format!("10.{number}.0.{}", member + 1).into());
        let mut all: serde_json::Map<String, Value> = (1..members).map(member).collect();
        all.insert("m".to_owned(), format!("10.{number}.0.200").into());
        serde_json::json!({ "name": format!("n{number}"), "subnet": format!("10.{number}.0.0/24"), "members": all })
    };
    let networks = |count: u32, members: u32| {
        with(&|file| {
            file["networks"] = (0..count).map(|number| network(number, members)).collect();
            file["machine"]["joins"] =
                (0..count).map(|number| serde_json::json!({ "network": format!("n{number}") })).collect();
        })
    };
    networks(4, 6).unwrap();
    let many = |what, found, most| Err(LaunchError::Many { what, found, most });
    assert_eq!(networks(1, 65), many("machines on a network", 65, 64));
    assert_eq!(networks(5, 2), many("networks", 5, 4));
    assert_eq!(networks(200, 2), many("networks", 200, 4));
    let forward = |host: u16| {
        with(&|file| file["machine"]["forwards"] = serde_json::json!([{ "guest": 22, "host": host }])).map(drop)
    };
    for host in [1, 22, 80, 443, 1023] {
        assert_eq!(forward(host), Err(LaunchError::Port(host)));
    }
    assert_eq!(forward(1024), Ok(()));
    assert!(LaunchError::Port(80).to_string().contains("host port 80"));
}

/// Words that would start a program, read a file or listen, were they taken for options.
const SMUGGLED: [&str; 14] = [
    ",helper=/kiln/artifacts/evil",
    "x,script=/kiln/artifacts/evil",
    "bridge,id=x,br=br0,helper=/evil",
    "tcp:0.0.0.0:22-:22,hostfwd=tcp:0.0.0.0:1-:1",
    "max -chardev socket,id=x,host=0.0.0.0,port=1,server=on",
    "-plugin",
    "/etc/shadow",
    "../../etc/shadow",
    "nbd://127.0.0.1:1/x",
    "a b",
    "${run}/x",
    "$(id)",
    "\u{1b}[2J",
    "",
];

/// Every place of a text or a number in a JSON value, as a pointer (RFC 6901).
fn leaves(value: &Value, at: &str, found: &mut Vec<(String, bool)>) {
    match value {
        Value::String(_) | Value::Number(_) => found.push((at.to_owned(), value.is_string())),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| leaves(item, &format!("{at}/{i}"), found)),
        Value::Object(fields) => fields.iter().for_each(|(name, item)| leaves(item, &format!("{at}/{name}"), found)),
        _ => {}
    }
}

/// Every field with a text, or with a number, of every machine; three of each kind of field.
fn fields(is_text: bool) -> Vec<(String, Value, String)> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut found = Vec::new();
    for (stem, file) in everywhere() {
        let good: Value = serde_json::from_str(&file.json()).unwrap();
        let mut all = Vec::new();
        leaves(&good, "", &mut all);
        for (place, _) in all.into_iter().filter(|(_, text)| *text == is_text) {
            let kind = place.split('/').filter(|part| part.parse::<u32>().is_err()).collect::<Vec<_>>().join("/");
            let times = seen.entry(kind).or_default();
            *times += 1;
            if *times <= 3 {
                found.push((stem.clone(), good.clone(), place));
            }
        }
    }
    found
}

/// The words of an argv that QEMU reads as lists of properties, each as its flag and the names in it, numbers aside.
/// What follows `-append` and `-smbios` is for the guest, and `-cpu` has flags of its own.
fn shape(argv: &[String]) -> BTreeSet<String> {
    let mut shape = BTreeSet::new();
    let mut words = argv.iter();
    while let Some(flag) = words.next() {
        assert!(flag.starts_with('-'), "{flag} is a word that no flag stands before: {argv:?}");
        if ["-nodefaults", "-no-user-config", "-S"].contains(&flag.as_str()) {
            shape.insert(flag.clone());
            continue;
        }
        let value = words.next().unwrap();
        let of_guest = ["-append", "-cpu", "-name"].contains(&flag.as_str());
        let value = if of_guest { String::new() } else { value.replace(",,", ";") };
        for part in value.split(',') {
            let name = part.split('=').next().unwrap();
            let name: String = name.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            shape.insert(format!("{flag} {}", name.replace("00", "0").replace("00", "0")));
        }
    }
    shape
}

#[test]
fn nothing_that_is_smuggled_into_a_text_gives_an_argv_that_no_recipe_gives() {
    let legal: BTreeSet<String> = everywhere().iter().flat_map(|(_, file)| shape(&argv(file))).collect();
    let (mut refused, mut taken) = (0, 0);
    for (stem, good, place) in fields(true) {
        for smuggled in SMUGGLED {
            let mut bad = good.clone();
            *bad.pointer_mut(&place).unwrap() = smuggled.into();
            let Ok(read) = LaunchFile::read(bad.to_string().as_bytes()) else {
                refused += 1;
                continue;
            };
            taken += 1;
            assert!(place.starts_with("/machine/append/"), "{stem}: {place} takes `{smuggled}`");
            let words = argv(&read);
            let foreign: Vec<_> = shape(&words).difference(&legal).cloned().collect();
            assert!(foreign.is_empty(), "{stem}: `{smuggled}` at {place} gives {foreign:?}");
            for word in &words {
                let opens = ["0.0.0.0", "helper=", "script="].iter().any(|part| word.contains(part));
                let for_guest = word.starts_with("root=") || word.starts_with("type=11,");
                assert!(!opens || for_guest, "{stem}: {word}");
            }
        }
    }
    assert!(refused > 500 && taken > 0, "{refused} {taken}");
}

#[test]
fn no_number_makes_the_reader_panic_or_the_argv_foreign() {
    let legal: BTreeSet<String> = everywhere().iter().flat_map(|(_, file)| shape(&argv(file))).collect();
    let extremes = [0, 1, 2, 31, 32, 255, 256, 65_535, 65_536, 1 << 28, 1 << 32, 1 << 40, i64::MAX as u64, u64::MAX];
    for (stem, good, place) in fields(false) {
        for number in extremes {
            let mut bad = good.clone();
            *bad.pointer_mut(&place).unwrap() = number.into();
            let Ok(read) = LaunchFile::read(bad.to_string().as_bytes()) else { continue };
            let foreign: Vec<_> = shape(&argv(&read)).difference(&legal).cloned().collect();
            assert!(foreign.is_empty(), "{stem}: {number} at {place} gives {foreign:?}");
        }
    }
}

/// A result directory with a QEMU that writes its words, one a line, into `said`.
pub(super) struct Bench(pub(super) std::path::PathBuf);

impl Bench {
    pub(super) fn new(name: &str) -> Bench {
        let directory = std::env::temp_dir().join(format!("kiln-launch-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let put = |file: &str, text: &str| std::fs::write(directory.join(file), text).unwrap();
        put("vmlinuz", "kernel");
        put("initrd.img", "initrd");
        put("disk.qcow2", "disk");
        put("launch.sh", &script(&launch_file(), None));
        super::executable::write(
            &directory.join("qemu"),
            "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'QEMU emulator version 11.1.3 (Debian)'; exit; }\n\
             case \"$1 $2\" in '-machine help') cat boards; exit;; *,help) cat help; exit;; esac\n\
             printf '%s\\n' \"$@\" > said\nls \"$TMPDIR\" > files\nexit 7\n",
        );
        Bench(directory)
    }

    pub(super) fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new("sh");
        command.arg(self.0.join("launch.sh")).args(arguments).current_dir("/").env("KILN_ACCEL", "tcg");
        command.env("KILN_QEMU", self.0.join("qemu")).envs(variables.iter().copied()).output().unwrap()
    }

    pub(super) fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_script_runs_qemu_with_the_words_of_the_argv() {
    let bench = Bench::new("runs");
    let output = bench.run(&[], &[]);
    assert_eq!(output.status.code(), Some(7), "QEMU's own code: {}", error(&output));
    let said: Vec<String> = bench.file("said").lines().map(str::to_owned).collect();
    let run = said.iter().find_map(|word| word.strip_prefix("id=").or(word.split("mem-path=").nth(1))).unwrap();
    let run = run.split("/e.persistent").next().unwrap().to_owned();
    let fill = |place: Place| match place {
        Place::Kernel => "./vmlinuz".to_owned(),
        Place::Initrd => "./initrd.img".to_owned(),
        Place::Disk => "./disk.qcow2".to_owned(),
        Place::Accel => "tcg".to_owned(),
        _ => run.clone(),
    };
    assert_eq!(said, launch_file().description.argv(|_| ()).words(&fill));
    assert_eq!(bench.file("files"), "data.disk\n", "the empty disk was there");
    assert!(!Path::new(&run).exists(), "the directory of the run is gone");
}

#[test]
fn the_script_refuses_changed_files_other_versions_and_odd_arguments() {
    let bench = Bench::new("refuses");
    for odd in [&["--halp"][..], &["-S"], &["--print", "x"]] {
        let output = bench.run(odd, &[]);
        assert!(output.status.code() == Some(2) && error(&output).contains("unknown argument"), "{}", error(&output));
    }
    assert_eq!(bench.run(&[], &[("KILN_ACCEL", "xen")]).status.code(), Some(2));
    let comma = bench.run(&[], &[("KILN_SHARED", "/a,b")]);
    assert_eq!(comma.status.code(), Some(4), "{}", error(&comma));
    let absent = bench.run(&[], &[("KILN_QEMU", "/nonexistent/qemu")]);
    assert!(absent.status.code() == Some(4) && error(&absent).contains("is missing"), "{}", error(&absent));
    let old = bench.file("qemu").replace("11.1.3", "10.0.13");
    std::fs::write(bench.0.join("qemu"), old).unwrap();
    let other = bench.run(&[], &[]);
    assert!(other.status.code() == Some(4) && error(&other).contains("locked with 11.1.3"), "{}", error(&other));
    std::fs::write(bench.0.join("disk.qcow2"), "dusk").unwrap();
    let changed = bench.run(&[], &[]);
    assert!(changed.status.code() == Some(3) && error(&changed).contains("disk.qcow2"), "{}", error(&changed));
}

#[test]
fn the_printed_command_is_the_one_that_runs() {
    let bench = Bench::new("prints");
    let output = bench.run(&["--print"], &[]);
    assert!(output.status.success(), "{}", error(&output));
    assert!(!bench.0.join("said").exists(), "nothing ran");
    let printed = String::from_utf8(output.stdout).unwrap();
    // The printed text is a command: run it, and the words arrive whole.
    let directory = bench.0.to_str().unwrap();
    let status =
        Command::new("sh").args(["-c", &printed]).current_dir(directory).env("TMPDIR", directory).status().unwrap();
    assert_eq!(status.code(), Some(7));
    let line = "root=/dev/vda rw console=ttyS0 rcupdate.rcu_expedited=1 cryptomgr.notests=1 quote='$HOME'";
    assert!(bench.file("said").lines().any(|word| word == line));
}

#[test]
fn the_script_explains_itself_and_passes_options_on() {
    let bench = Bench::new("explains");
    let help = bench.run(&["--help"], &[]);
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success() && text.contains("./launch.sh -- WORDS") && text.contains("Exit codes"), "{text}");
    assert!(!text.contains('#') && !text.contains("set -eu"), "{text}");
    let output = bench.run(&["--", "-device", "usb kbd,x='$HOME'", "--print"], &[]);
    assert_eq!(output.status.code(), Some(7), "{}", error(&output));
    let said = bench.file("said");
    assert!(said.ends_with("-device\nusb kbd,x='$HOME'\n--print\n"), "{said}");
    let printed = String::from_utf8(bench.run(&["--print", "--", "-S"], &[]).stdout).unwrap();
    assert!(printed.trim_end().ends_with("'-S'") || printed.trim_end().ends_with("-S"), "{printed}");
}
