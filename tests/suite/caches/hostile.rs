//! Directories that somebody else has prepared: whatever is in a cache, the build ends well with the same bits, says in one or two
//! lines what is wrong, and leaves a sound store.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Lab, ran, taken};

/// What somebody does to a cache, and what is said to it; nothing where that is no reason for a word.
type Attack = (&'static str, &'static str, fn(&Lab));

fn each(lab: &Lab, part: &str, change: &dyn Fn(&Path)) {
    lab.files(part).iter().for_each(|file| change(file));
}

/// Puts something else where a file was.
fn instead(lab: &Lab, part: &str, make: &dyn Fn(&Path)) {
    each(lab, part, &|file| {
        std::fs::remove_file(file).unwrap();
        make(file);
    });
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// A result with something of what is signed replaced, and the signature left.
fn edit(lab: &Lab, from: &str, to: &str) {
    each(lab, "results", &|file| {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(file, text.replace(from, to)).unwrap();
    });
}

fn endless(file: &Path) {
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(file).unwrap();
    file.set_len(1 << 40).unwrap();
}

const ATTACKS: [Attack; 19] = [
    ("other-bytes", "bytes), got ", |lab| {
        each(lab, "blobs", &|file| {
            let mut bytes = zstd::decode_all(std::fs::File::open(file).unwrap()).unwrap();
            bytes[0] ^= 1;
            std::fs::write(file, compressed(&bytes)).unwrap();
        });
    }),
    ("one-byte", "not used", |lab| {
        each(lab, "blobs", &|file| {
            let mut bytes = std::fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(file, bytes).unwrap();
        });
    }),
    ("cut", "bytes too early", |lab| {
        each(lab, "blobs", &|file| {
            let bytes = std::fs::read(file).unwrap();
            std::fs::write(file, &bytes[..bytes.len() - 3]).unwrap();
        });
    }),
    ("unsigned", "it is not signed", |lab| {
        each(lab, "results", &|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let mut result: serde_json::Value = serde_json::from_str(&text).unwrap();
            result["signature"] = "".into();
            std::fs::write(file, result.to_string()).unwrap();
        });
    }),
    ("empty", "bytes too early", |lab| each(lab, "blobs", &|file| std::fs::write(file, b"").unwrap())),
    ("no-compression", "cannot be uncompressed", |lab| {
        each(lab, "blobs", &|file| std::fs::write(file, b"kernel, as it is").unwrap());
    }),
    ("bomb", "more bytes than were signed", |lab| {
        each(lab, "blobs", &|file| std::fs::write(file, compressed(&vec![0; 32 << 20])).unwrap());
    }),
    ("frames-without-content", "as much as it may have", |lab| {
        // Skippable frames: they are read, and give nothing.
        let frame = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
        each(lab, "blobs", &|file| std::fs::write(file, frame.repeat(1 << 17)).unwrap());
    }),
    ("endless-blob", "as much as it may have", |lab| each(lab, "blobs", &endless)),
    ("link", "a symbolic link", |lab| instead(lab, "blobs", &|file| symlink("/etc/passwd", file).unwrap())),
    ("pipe", "a named pipe", |lab| {
        instead(lab, "blobs", &|file| {
            assert!(std::process::Command::new("mkfifo").arg(file).status().unwrap().success());
        });
    }),
    ("directory", "a directory", |lab| instead(lab, "blobs", &|file| std::fs::create_dir(file).unwrap())),
    ("nothing", "", |lab| std::fs::remove_dir_all(lab.path("cache/blobs")).unwrap()),
    ("endless-result", "as much as it may have", |lab| each(lab, "results", &endless)),
    ("result-pipe", "a named pipe", |lab| {
        instead(lab, "results", &|file| {
            assert!(std::process::Command::new("mkfifo").arg(file).status().unwrap().success());
        });
    }),
    ("no-result", "not a signed result", |lab| each(lab, "results", &|file| std::fs::write(file, b"{}").unwrap())),
    ("edited", "does not match what it is said to sign", |lab| {
        edit(lab, "\\\"executable\\\": false", "\\\"executable\\\": true")
    }),
    ("parts-is-a-link", "a symbolic link", |lab| {
        std::fs::rename(lab.path("cache/results"), lab.path("elsewhere")).unwrap();
        symlink("../elsewhere", lab.path("cache/results")).unwrap();
    }),
    ("cache-is-a-file", "left alone", |lab| {
        std::fs::remove_dir_all(lab.path("cache")).unwrap();
        std::fs::write(lab.path("cache"), b"x").unwrap();
    }),
];

#[test]
fn a_hostile_cache_costs_a_warning_and_the_step_is_built() {
    let Some(lab) = Lab::with_kernel("hostile") else { return };
    lab.build("store", &[]);
    for (at, (name, words, attack)) in ATTACKS.iter().enumerate() {
        for left in ["cache", "elsewhere"].map(|name| lab.path(name)) {
            let _ = std::fs::remove_dir_all(&left);
            let _ = std::fs::remove_file(&left);
        }
        lab.push("store", &["--cache", "cache"]);
        attack(&lab);
        let store = format!("other-{at}");
        let said = lab.build(&store, &["--cache", "cache"]);
        assert!(ran(&said, "kernel stock") && !taken(&said, "kernel stock"), "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
        let warnings = said.matches("warning: cache ").count();
        assert!(warnings <= 4 && (warnings > 0 || words.is_empty()), "{name}: {said}");
        assert_eq!(lab.built("store"), lab.built(&store), "{name}");
        lab.sound(&store);
    }
}

#[test]
fn a_result_counts_for_its_action_and_its_purpose_alone() {
    let Some(lab) = Lab::with_builds("replayed") else { return };
    lab.build("store", &[]);
    lab.push("store", &["--cache", "cache"]);
    // Every file has the content of another one: good signatures, of something else.
    let files = lab.files("results");
    let contents: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    for (file, content) in files.iter().zip(contents.iter().cycle().skip(1)) {
        std::fs::write(file, content).unwrap();
    }
    let said = lab.build("other", &["--cache", "cache"]);
    assert!(said.contains("the result of another action") && !said.contains("taken from"), "{said}");
    assert!(said.contains("of its files are not what they should be; it is left alone"), "{said}");
    assert_eq!(lab.built("store"), lab.built("other"));

    // A signature over a whole build, in the place of one over a step: alice has made it, for another purpose.
    lab.succeed("store", &["sign", "out-store", "--key", "alice"]);
    let read = |name: &str| std::fs::read_to_string(lab.path("out-store").join(name)).unwrap();
    let forged = serde_json::json!({ "statement": read("signed.json"), "signature": read("signed.json.sig") });
    files.iter().for_each(|file| std::fs::write(file, forged.to_string()).unwrap());
    let said = lab.build("third", &["--cache", "cache"]);
    assert!(said.contains("made for another purpose (its namespace is not `kiln-step`)"), "{said}");
    assert_eq!(lab.built("store"), lab.built("third"));
}

#[test]
fn a_tree_is_checked_file_by_file() {
    let Some(lab) = Lab::with_builds("trees") else { return };
    lab.build("store", &[]);
    lab.push("store", &["--cache", "cache"]);
    let text = std::fs::read_to_string(lab.path("lab.kiln")).unwrap();
    std::fs::write(lab.path("lab.kiln"), text.replace("    cp /kiln/in/parts", "    true\n    cp /kiln/in/parts"))
        .unwrap();
    lab.succeed("store", &["lock", "lab.kiln"]);
    let [tree] = &lab.files("trees")[..] else { panic!("one build leaves a directory") };
    let good = zstd::decode_all(std::fs::File::open(tree).unwrap()).unwrap();
    let mut changed = good.clone();
    changed[0] ^= 1;
    let longer = [&good[..], b"x"].concat();
    for (name, bytes, words) in
        [("changed", &changed[..], "digest"), ("short", &good[1..], "too early"), ("long", &longer, "more bytes")]
    {
        std::fs::write(tree, compressed(bytes)).unwrap();
        let said = lab.build(name, &["--cache", "cache"]);
        assert!(ran(&said, "build first") && said.contains(words), "{name}: {said}");
        lab.sound(name);
    }
}
