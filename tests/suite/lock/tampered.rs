//! A lock that somebody changed by hand, or merged: every changed byte of it is found, offline. Without its checksum, as older
//! locks are, what is left to other checks is known line by line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kiln::debian::archive::ArchiveRef;
use kiln::lock::{Lock, read, satisfies, write};
use kiln::ops::lock::agrees;
use kiln::recipe::{self, Recipe};
use kiln::world::RealWorld;
use regex::Regex;

use crate::suite::live::{Scratch, fail_with, kiln, succeed};

/// What no cross-check finds in a lock without a checksum, and what finds it later. Sections and keys; `*` is a name.
const LEFT_TO_OTHERS: [(&str, &str); 14] = [
    ("archives.*.date", "of all but the newest archive: `kiln lock`, when it asks that archive"),
    ("archives.*.indexes.*.sha256", "the same"),
    ("archives.*.indexes.*.size", "the same"),
    ("archives.*.indexes.name", "the same"),
    ("archives.*.inrelease", "the same"),
    ("archives.*.signed-by", "the same"),
    ("archives.*.snapshot", "whoever asks the snapshot service: it is another moment there"),
    ("archives.*.valid-until", "nobody: it was judged while locking"),
    ("kernels.*.config", "the next build, which finds another `.config`"),
    ("machines.*.asked", "the next build, which asks QEMU"),
    ("outputs.*.sha256", "the next build: not the bits of the lock"),
    ("outputs.*.size", "the same"),
    ("outputs.name", "the same: an artifact of that name does not come out"),
    ("sets.*.packages.path", "whoever fetches it: it is not there"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn recipe() -> Recipe {
    let path = root().join("recipes/cxl-quick.kiln");
    recipe::check(&RealWorld::default(), &path, &[]).unwrap_or_else(|_| panic!("mistakes")).reachable()
}

/// The committed lock, as it is written now.
fn lock() -> Lock {
    read(&std::fs::read_to_string(root().join("lockfiles/cxl-quick.lock")).unwrap()).unwrap()
}

/// A value (or a quoted key) of a line: where it is, and what it is one of.
struct Value {
    kind: String,
    at: std::ops::Range<usize>,
}

/// Every value of a lock.
fn values(text: &str) -> Vec<Value> {
    let token = Regex::new(r#"(?:([\w-]+) = )?(?:"((?:[^"\\]|\\.)+)"|\b(\d+|true)\b)"#).unwrap();
    let name = Regex::new(r#"^\[(\w+)\.("[^"]*"|[\w-]+)"#).unwrap();
    let (mut values, mut section, mut list, mut start) = (Vec::new(), String::new(), String::new(), 0);
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_end();
        if trimmed.starts_with('[') {
            section = name.replace(trimmed, "[$1.*").trim_matches(['[', ']']).to_owned() + ".";
        } else if let Some(key) = trimmed.strip_suffix(" = [") {
            list = key.to_owned();
        } else if !trimmed.starts_with('#') {
            let quoted_key = trimmed.starts_with('"');
            let inline = trimmed.split_once(" = [").map(|(key, _)| key);
            for found in token.captures_iter(trimmed) {
                let value = found.get(2).or(found.get(3)).unwrap();
                let key = match found.get(1) {
                    Some(key) if trimmed.starts_with("  {") => format!("{list}.{}", key.as_str()),
                    Some(key) if quoted_key => format!("*.{}", key.as_str()),
                    Some(key) => key.as_str().to_owned(),
                    None if quoted_key && value.start() == 1 => "name".to_owned(),
                    None if quoted_key => "value".to_owned(),
                    None => inline.unwrap_or(&list).to_owned(),
                };
                values.push(Value { kind: format!("{section}{key}"), at: start + value.start()..start + value.end() });
            }
        }
        start += line.len();
    }
    values
}

/// The text with one byte of a value changed to another that could stand there: its last digit or nibble, or a letter.
fn changed(text: &str, value: &Value) -> String {
    let is = |kind: fn(&u8) -> bool| value.at.clone().rev().find(|at| kind(&text.as_bytes()[*at]));
    let at = is(u8::is_ascii_digit).or_else(|| is(u8::is_ascii_alphanumeric)).unwrap_or(value.at.start);
    let other = match text.as_bytes()[at] {
        b'0'..=b'8' | b'a'..=b'e' | b'A'..=b'E' => text.as_bytes()[at] + 1,
        b'9' => b'8',
        b'f' | b'F' => text.as_bytes()[at] - 1,
        b'z' | b'Z' => text.as_bytes()[at] - 1,
        b'g'..=b'y' | b'G'..=b'Y' => text.as_bytes()[at] + 1,
        _ => b'x',
    };
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = other;
    String::from_utf8(bytes).unwrap()
}

/// Carries out a check of many values on all processors.
fn each<'a>(values: &'a [Value], check: impl Fn(&Value) -> bool + Sync) -> Vec<&'a Value> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        let parts = values.chunks(values.len().div_ceil(threads).max(1));
        let check = &check;
        let one = |part: &'a [Value]| scope.spawn(move || part.iter().filter(|value| check(value)).collect::<Vec<_>>());
        let threads: Vec<_> = parts.map(one).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_changed_byte_of_any_value_is_found_by_reading() {
    let text = write(&lock());
    read(&text).unwrap();
    let values = values(&text);
    let kinds: BTreeSet<&str> = values.iter().map(|value| value.kind.as_str()).collect();
    for kind in
        ["checksum", "archives.*.snapshot", "archives.*.indexes.*.sha256", "sets.*.packages.path", "sets.*.configure"]
    {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
    assert!(values.len() > 1500, "{} values", values.len());
    // Of a package's seven values two or three, in each line others.
    let mut number = 0;
    let mut values = values;
    values.retain(|value| {
        number += 1;
        !value.kind.contains(".packages.") || number % 3 == 0
    });
    let missed = each(&values, |value| read(&changed(&text, value)).is_ok());
    let missed: Vec<_> = missed.iter().map(|value| (&value.kind, &text[value.at.clone()])).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn without_a_checksum_all_but_a_few_kinds_of_lines_are_found() {
    let sealed = write(&lock());
    let text: String = sealed.split_inclusive('\n').filter(|line| !line.starts_with("checksum = ")).collect();
    assert_eq!(read(&text).unwrap(), lock(), "a lock without a checksum is no longer read");
    let recipe = recipe();
    let good =
        |text: &str| read(text).is_ok_and(|lock| satisfies(&recipe, &lock).is_ok() && agrees(&recipe, &lock).is_ok());
    assert!(good(&text));
    // Of packages and their order a few stand for all.
    let mut seen = std::collections::BTreeMap::new();
    let mut some = values(&text);
    some.retain(|value| {
        let seen = seen.entry(value.kind.clone()).or_insert(0);
        *seen += 1;
        !value.kind.starts_with("sets.") || *seen <= 3
    });
    let missed: BTreeSet<&str> =
        each(&some, |value| good(&changed(&text, value))).iter().map(|v| v.kind.as_str()).collect();
    let excused: BTreeSet<&str> = LEFT_TO_OTHERS.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(missed, excused, "left: what is not found; right: what is said to be left to others");
}

fn check(scratch: &Scratch, text: &str) -> (std::process::Command, PathBuf) {
    let path = scratch.path("cxl-quick.lock");
    std::fs::write(&path, text).unwrap();
    let mut command = kiln(&scratch.path("store"));
    command.args(["lock", "recipes/cxl-quick.kiln", "--lock"]).arg(&path);
    (command, path)
}

#[test]
fn a_changed_lock_is_refused_and_made_good_with_what_it_pins() {
    let scratch = Scratch::new("tampered");
    let good = write(&lock());
    succeed(check(&scratch, &good).0.arg("--check"));
    // Merged by hand: a number of a user that nobody's other line contradicts.
    let merged = good.replacen("\"root\" = 0\n", "\"root\" = 0\n\"somebody\" = 900\n", 1);
    let said = fail_with(check(&scratch, &merged).0.arg("--check"), 1);
    assert!(said.contains("the checksum does not match"), "{said}");
    let said = fail_with(
        kiln(&scratch.path("store")).args(["plan", "recipes/cxl-quick.kiln", "--lock"]).arg(check(&scratch, &merged).1),
        1,
    );
    assert!(said.contains("Run `kiln lock` to keep its pins"), "{said}");
    // Nothing is missing, so that no server is asked; the hand's change counts.
    let (mut command, path) = check(&scratch, &merged);
    let output = succeed(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("was edited or merged; its pins are kept"), "{said}");
    let mended = std::fs::read_to_string(&path).unwrap();
    assert!(mended.contains("\"somebody\" = 900\n"), "{mended}");
    succeed(check(&scratch, &mended).0.arg("--check"));
    // A lock of an older kiln gets its checksum with the next writing.
    let old: String = good.split_inclusive('\n').filter(|line| !line.starts_with("checksum = ")).collect();
    succeed(check(&scratch, &old).0.arg("--check"));
    let (mut command, path) = check(&scratch, &old);
    succeed(&mut command);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), good);
}

#[test]
fn an_archive_that_is_not_the_recipes_is_named() {
    let scratch = Scratch::new("tampered-archive");
    let mut lock = lock();
    lock.archives.get_mut(&ArchiveRef::current("trixie-security")).unwrap().repository = "debian".to_owned();
    let said = fail_with(check(&scratch, &write(&lock)).0.arg("--check"), 1);
    let words = "archive `trixie-security` has the repository `debian-security` in the recipe, `debian` in the lock";
    assert!(said.contains(words), "{said}");
}
