//! Directories that say that kiln built them: `kiln verify DIR` and `kiln run DIR` believe nothing in them.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kiln::base::Digest;
use serde_json::{Value, json};

use super::canary::Canary;
use super::ground::{Ended, Ground, Image, run_within};
use super::tally::{Attack, Front, Tally};

pub(super) static FRONT: Front = Front {
    name: "directory",
    packages: |_| Vec::new(),
    attacks: &[
        Attack { row: 13, name: "directory-links-and-pipes", run: links_and_pipes },
        Attack { row: 13, name: "directory-manifests", run: manifests },
        Attack { row: 13, name: "directory-forged-lines", run: forged_lines },
        Attack { row: 5, name: "directory-changed-files", run: changed_files },
        Attack { row: 5, name: "directory-smuggled-options", run: smuggled },
        Attack { row: 5, name: "directory-smuggled-strings", run: smuggled_strings },
    ],
};

/// What a start reads, besides the manifest.
const STARTED_FROM: [&str; 4] = ["disk.qcow2", "initrd.img", "launch.json", "vmlinuz"];

/// Long for a directory of a few megabytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A copy of what an honest build delivered.
fn copy(ground: &Ground) -> PathBuf {
    let honest = ground.path("result/delivered");
    if !honest.exists() {
        let ended = ground.build("delivered", &Image::default());
        assert_eq!(ended.code, Some(0), "{}", ended.text());
    }
    let copy = ground.path("received");
    let _ = std::fs::remove_dir_all(&copy);
    assert!(Command::new("cp").arg("-a").args([&honest, &copy]).status().unwrap().success());
    copy
}

fn verify(ground: &Ground, directory: &Path) -> Ended {
    run_within(ground.kiln().arg("verify").arg(directory), PATIENCE)
}

fn start(ground: &Ground, directory: &Path) -> Ended {
    run_within(ground.kiln().args(["run", "--accel", "tcg"]).arg(directory), PATIENCE)
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn write(path: &Path, value: &Value) {
    std::fs::write(path, format!("{value:#}\n")).unwrap();
}

/// Writes the digests of what is there now into the manifest and the launch file: nobody signs them.
fn reseal(directory: &Path) {
    let described = |name: &str| {
        let bytes = std::fs::read(directory.join(name)).ok()?;
        Some((bytes.len(), Digest::of(&bytes).hex()))
    };
    let mut launch = read(&directory.join("launch.json"));
    let entries: Vec<&mut Value> = match &mut launch["artifacts"] {
        Value::Array(entries) => entries.iter_mut().collect(),
        Value::Object(entries) => entries.values_mut().collect(),
        _ => Vec::new(),
    };
    for entry in entries {
        if let Some((size, sha256)) = entry["file"].as_str().and_then(described) {
            (entry["size"], entry["sha256"]) = (json!(size), json!(sha256));
        }
    }
    write(&directory.join("launch.json"), &launch);
    let mut manifest = read(&directory.join("manifest.json"));
    for (name, entry) in manifest["artifacts"].as_object_mut().unwrap() {
        if let Some((size, sha256)) = described(name) {
            *entry = json!({ "size": size, "sha256": sha256 });
        }
    }
    write(&directory.join("manifest.json"), &manifest);
}

/// Whether QEMU was started, in words.
fn started(ended: &Ended) -> Option<String> {
    let text = ended.text();
    let line = text.lines().find(|line| line.contains("QEMU-STARTED"))?;
    Some(format!("QEMU was started: {line}"))
}

fn links_and_pipes(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let canary = ground.canary("artifact");
    for name in ["disk.qcow2", "vmlinuz", "initrd.img", "launch.json", "launch.sh", "manifest.json", "kernel.config"] {
        for kind in ["pipe", "zero", "secret", "own", "hidden", "directory", "socket"] {
            let directory = copy(ground);
            let place = directory.join(name);
            replace(&place, kind, &canary);
            if kind != "pipe" && kind != "zero" && name != "manifest.json" && name != "launch.json" {
                reseal_if_readable(&directory, &place);
            }
            let way = format!("{name} is a {kind}");
            for (verb, ended) in [("verify", verify(ground, &directory)), ("run", start(ground, &directory))] {
                // A start need not look at what it does not use.
                let concerns = verb == "verify" || name == "manifest.json" || STARTED_FROM.contains(&name);
                let good = (ended.code == Some(0) && concerns).then(|| format!("{verb} says that all is good"));
                let secret = Digest::of(&std::fs::read(canary.path().join("id_ed25519")).unwrap()).hex();
                let told =
                    ended.text().contains(&secret).then(|| "it tells the digest of a file of the host".to_owned());
                let began = started(&ended).filter(|_| concerns);
                tally.case(&format!("{verb}: {way}"), ended.broken().or(told).or(began).or(good));
            }
        }
    }
}

/// Puts something else in the place of a file.
fn replace(place: &Path, kind: &str, canary: &Canary) {
    let away = place.with_extension("away");
    std::fs::rename(place, &away).unwrap();
    match kind {
        "pipe" => rustix::fs::mkfifoat(rustix::fs::CWD, place, rustix::fs::Mode::RWXU).unwrap(),
        "zero" => symlink("/dev/zero", place).unwrap(),
        "secret" => symlink(canary.path().join("id_ed25519"), place).unwrap(),
        "own" => return symlink(&away, place).unwrap(),
        "hidden" => {
            return symlink("../received/./".to_owned() + away.file_name().unwrap().to_str().unwrap(), place).unwrap();
        }
        "directory" => std::fs::create_dir(place).unwrap(),
        "socket" => drop(std::os::unix::net::UnixListener::bind(place).unwrap()),
        other => panic!("{other}"),
    }
    std::fs::remove_file(away).unwrap();
}

fn reseal_if_readable(directory: &Path, place: &Path) {
    if place.metadata().is_ok_and(|data| data.is_file()) {
        reseal(directory);
    }
}

/// What it is called, and what is done to a directory.
type Change = (&'static str, fn(&Path));

fn manifests(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let changes: [Change; 7] = [
        ("an empty manifest beside another launch.sh", |at| {
            std::fs::write(at.join("launch.sh"), "#!/bin/sh\n").unwrap();
            set(at, |manifest| manifest["artifacts"] = json!({}));
        }),
        ("a manifest without the disk", |at| {
            set(at, |manifest| _ = manifest["artifacts"].as_object_mut().unwrap().remove("disk.qcow2"))
        }),
        ("a manifest without launch.sh", |at| {
            std::fs::write(at.join("launch.sh"), "#!/bin/sh\n").unwrap();
            set(at, |manifest| _ = manifest["artifacts"].as_object_mut().unwrap().remove("launch.sh"));
        }),
        ("a file that the manifest does not name", |at| std::fs::write(at.join("run-me.sh"), "#!/bin/sh\n").unwrap()),
        ("a hidden file that the manifest does not name", |at| std::fs::write(at.join(".envrc"), "touch x\n").unwrap()),
        ("another disk in launch.json", |at| {
            let path = at.join("launch.json");
            let text = std::fs::read_to_string(&path).unwrap();
            let digest = Digest::of(&std::fs::read(at.join("disk.qcow2")).unwrap()).hex();
            std::fs::write(&path, text.replace(&digest, &"0".repeat(64))).unwrap();
            set(at, |manifest| {
                let bytes = std::fs::read(&path).unwrap();
                manifest["artifacts"]["launch.json"] =
                    json!({ "size": bytes.len(), "sha256": Digest::of(&bytes).hex() });
            });
        }),
        ("a directory that the manifest does not name", |at| {
            std::fs::create_dir(at.join("more")).unwrap();
            std::fs::write(at.join("more/launch.sh"), "#!/bin/sh\n").unwrap();
        }),
    ];
    for (way, change) in changes {
        let directory = copy(ground);
        change(&directory);
        let ended = verify(ground, &directory);
        let good = (ended.code == Some(0)).then(|| format!("it says: {}", ended.text()));
        tally.case(way, ended.broken().or(good));
    }
    let ended = verify(ground, &copy(ground));
    tally.case("an honest directory", (ended.code != Some(0)).then(|| format!("was refused: {}", ended.text())));
}

fn set(directory: &Path, change: impl FnOnce(&mut Value)) {
    let mut manifest = read(&directory.join("manifest.json"));
    change(&mut manifest);
    write(&directory.join("manifest.json"), &manifest);
}

/// What a name says must not look like what kiln says.
fn forged_lines(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    for name in ["x\n6 files verified", "x\r6 files verified\u{1b}[K", "\n\n6 files verified\n"] {
        let directory = copy(ground);
        set(&directory, |manifest| manifest["artifacts"][name] = json!({ "size": 1, "sha256": "0".repeat(64) }));
        let ended = verify(ground, &directory);
        let text = ended.text();
        let forged = text.split(['\n', '\r']).any(|line| line.trim_start().starts_with("6 files verified"));
        let forged = forged.then(|| format!("a line is forged: {text}"));
        let good = (ended.code == Some(0)).then(|| "it says that all is good".to_owned());
        tally.case(&format!("{name:?}"), ended.broken().or(forged).or(good));
    }
}

/// A changed file is found before QEMU sees it, whatever the manifest says, and the honest one starts.
fn changed_files(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let ended = start(ground, &copy(ground));
    tally.case("an honest directory", started(&ended).is_none().then(|| format!("was refused: {}", ended.text())));
    for name in STARTED_FROM {
        let directory = copy(ground);
        let path = directory.join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        // Blanks at the end of a text, another byte in the middle of anything else: both read as well as before.
        if name.starts_with("launch") {
            bytes.push(b'\n')
        } else {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1
        }
        std::fs::write(&path, bytes).unwrap();
        let ended = start(ground, &directory);
        tally.case(name, ended.broken().or(started(&ended)));
    }
}

/// Options of QEMU that start a program, read a file or open a door of the host.
fn smuggled(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    for option in [
        &["-netdev", "bridge,id=x,br=br0,helper=/kiln/artifacts/evil"][..],
        &["-netdev", "tap,id=x,script=/kiln/artifacts/evil"],
        &["-chardev", "socket,id=x,host=0.0.0.0,port=4444,server=on,wait=off"],
        &["-monitor", "tcp:0.0.0.0:4444,server,nowait"],
        &["-netdev", "user,id=x,hostfwd=tcp:0.0.0.0:2222-:22"],
        &["-drive", "file=/etc/shadow,format=raw"],
        &["-fsdev", "local,id=x,path=/,security_model=none"],
        &["-readconfig", "/kiln/artifacts/evil"],
        &["-plugin", "/kiln/artifacts/evil"],
        &["-L", "/kiln/artifacts"],
        &["-incoming", "exec:/kiln/artifacts/evil"],
    ] {
        let directory = copy(ground);
        let mut launch = read(&directory.join("launch.json"));
        let mut words = launch["argv"].as_array().cloned().unwrap_or_default();
        words.extend(option.iter().map(|word| json!(word)));
        launch["argv"] = json!(words);
        write(&directory.join("launch.json"), &launch);
        reseal(&directory);
        let ended = start(ground, &directory);
        let smuggled = started(&ended).filter(|line| line.contains(option[1]));
        tally.case(&option.join(" "), ended.broken().or(smuggled));
    }
}

/// Every text of `launch.json` with more behind it.
fn smuggled_strings(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let honest = read(&copy(ground).join("launch.json"));
    let mut paths = Vec::new();
    strings(&honest, String::new(), &mut paths);
    assert!(paths.len() > 5, "{paths:?}");
    for path in paths {
        for more in
            [",script=/kiln/artifacts/evil", " -smuggled", "\n-smuggled", "${run}/../../smuggled", "/../smuggled"]
        {
            let directory = copy(ground);
            let mut launch = honest.clone();
            let text = launch.pointer_mut(&path).unwrap();
            *text = json!(format!("{}{more}", text.as_str().unwrap()));
            write(&directory.join("launch.json"), &launch);
            reseal(&directory);
            let ended = start(ground, &directory);
            // A comma that QEMU takes for the end of a value is doubled where it is part of one.
            let smuggled =
                started(&ended).filter(|line| line.replace(",,", "").contains(",script=") || line.contains("smuggled"));
            tally.case(&format!("{path} + {more:?}"), ended.broken().or(smuggled));
        }
    }
}

/// Pointers to the texts of a value.
fn strings(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| strings(item, format!("{at}/{n}"), found)),
        Value::Object(items) => items.iter().for_each(|(name, item)| strings(item, format!("{at}/{name}"), found)),
        _ => {}
    }
}
