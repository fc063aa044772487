//! Which disks count as those that a step wrote the last time.

use std::collections::BTreeMap;

use super::*;
use crate::plan::StepKind;
use crate::world::fs;

struct Lab {
    store: Store,
    place: PathBuf,
}

impl Lab {
    fn new(name: &str) -> Lab {
        let place = std::env::temp_dir().join(format!("kiln-earlier-{name}-{}", std::process::id()));
        Lab { store: Store::open(&place.join("store")).unwrap(), place }
    }

    /// A disk in the store, as a step leaves it.
    fn disk(&self, bytes: &[u8]) -> ResultOutputs {
        let digest = self.store.put(bytes).unwrap();
        let output = Output::File { digest, size: bytes.len() as u64, executable: false };
        BTreeMap::from([("disk.qcow2".to_owned(), output)])
    }

    fn found(&self, step: &Step) -> Option<Vec<u8>> {
        find(&self.store, step).map(|path| fs::read(&path, 1 << 20).unwrap())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_tree(&self.place);
    }
}

fn step(name: &str, spec: &str, builtin: Builtin) -> Step {
    Step {
        kind: StepKind::Root(name.to_owned()),
        work: Work::Builtin(builtin),
        inputs: BTreeMap::from([("disk.json".to_owned(), Input::Inline(spec.into()))]),
        outputs: vec!["disk.qcow2".to_owned()],
    }
}

#[test]
fn a_step_finds_what_it_left_last_and_no_other_step_does() {
    let lab = Lab::new("last");
    let ours = step("a", "1", Builtin::Disk);
    assert_eq!(lab.found(&ours), None);
    remember(&lab.store, &ours, &lab.disk(b"first"));
    remember(&lab.store, &ours, &lab.disk(b"second"));
    assert_eq!(lab.found(&ours).unwrap(), b"second");
    let convert = Builtin::Convert { format: DiskFormat::Qcow2 };
    for other in [step("b", "1", Builtin::Disk), step("a", "2", Builtin::Disk), step("b", "1", convert.clone())] {
        assert_eq!(lab.found(&other), None, "{other:?}");
    }
    // What compresses nothing is no disk of that kind.
    for other in [Builtin::Pack, Builtin::Convert { format: DiskFormat::Raw }] {
        let other = step("c", "1", other);
        remember(&lab.store, &other, &lab.disk(b"third"));
        assert_eq!(lab.found(&other), None);
    }
    let converting = step("d", "1", convert);
    remember(&lab.store, &converting, &lab.disk(b"third"));
    assert_eq!(lab.found(&converting).unwrap(), b"third");
}

#[test]
fn a_damaged_disk_and_a_note_of_something_else_are_none() {
    let lab = Lab::new("damaged");
    let ours = step("a", "1", Builtin::Disk);
    remember(&lab.store, &ours, &lab.disk(b"what was written"));
    let path = find(&lab.store, &ours).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write_atomically(&path, b"what was forged!").unwrap();
    assert_eq!(lab.found(&ours), None);
    assert!(!path.exists(), "it is set aside");
    let (name, _) = remembered(&ours).unwrap();
    let missing = Digest::of(b"nowhere").hex();
    for note in ["", "disk", "../../etc/passwd", missing.as_str(), &missing[1..], "\u{fffd}"] {
        lab.store.note(&name, note.as_bytes()).unwrap();
        assert_eq!(lab.found(&ours), None, "{note}");
    }
    lab.store.note(&name, &[0xff; 64]).unwrap();
    assert_eq!(lab.found(&ours), None);
}
