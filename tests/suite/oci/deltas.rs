//! Deltas of disks: whoever has the disk that was pushed before fetches little more than what changed, and whatever is wrong with a delta
//! costs the chunks.

use kiln::base::Digest;
use serde_json::{Value, json};

use super::chunks::{BLOCK, disk};
use super::{Lab, noise, succeed, text};

const DELTA: &str = "application/vnd.kiln.delta.v1";
const TO: &str = "dev.kiln.delta.to";
const FROM: &str = "dev.kiln.delta.from";

/// The disk with another file of 800 bytes.
fn one_file(seed: u64) -> Vec<u8> {
    let mut disk = disk();
    disk[900 * BLOCK..900 * BLOCK + 800].copy_from_slice(&noise(seed, 800));
    disk
}

impl Lab {
    /// The store has the first disk, and has pushed both.
    fn with_delta(name: &str, lists_referrers: bool) -> Lab {
        let lab = Lab::new(name, 10);
        lab.registry.state.lock().unwrap().referrers = lists_referrers;
        lab.deliver_disk(&disk());
        assert_eq!(lab.pushed("v1")["deltas"], 0);
        succeed(&mut lab.kiln(&["pull", &lab.reference(), "-o", "first"]));
        lab.deliver_disk(&one_file(7));
        assert_eq!(lab.pushed("v1")["deltas"], 1);
        lab.registry.behave();
        lab
    }

    fn pushed(&self, tag: &str) -> Value {
        let reference = self.registry.reference(&format!("team/tiny:{tag}"));
        let output = self.kiln(&["push", "build", &reference, "--json"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// How many bytes of the disk a pull fetches, and what it says besides.
    fn fetches(&self, tag: &str) -> (u64, String) {
        self.forget_update();
        self.registry.behave();
        let reference = self.registry.reference(&format!("team/tiny:{tag}"));
        let output = self.kiln(&["pull", &reference, "-o", "out", "--json"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert!(self.image("out") == self.image("build"));
        let pulled: Value = serde_json::from_slice(&output.stdout).unwrap();
        (pulled["rebuilt"][0]["fetched"].as_u64().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// The manifest of the only delta, by its digest.
    fn delta(&self) -> (String, Value) {
        let manifests = self.registry.state.lock().unwrap().manifests.clone();
        let parsed = manifests.into_iter().map(|(name, (_, text))| (name, serde_json::from_slice::<Value>(&text)));
        let mut found = parsed
            .filter_map(|(name, manifest)| Some((name, manifest.ok()?)))
            .filter(|(name, manifest)| name.starts_with("sha256:") && manifest["artifactType"] == DELTA);
        let delta = found.next().expect("a delta was pushed");
        assert!(found.next().is_none());
        delta
    }

    /// Puts another delta in the place of the only one.
    fn forge(&self, change: impl FnOnce(&mut Value)) {
        let (name, mut manifest) = self.delta();
        change(&mut manifest);
        let text = manifest.to_string();
        let mut state = self.registry.state.lock().unwrap();
        let (kind, _) = state.manifests.remove(&name).unwrap();
        state.manifests.insert(format!("sha256:{}", Digest::of(text.as_bytes())), (kind, text.into_bytes()));
    }
}

#[test]
fn a_changed_file_costs_little_more_than_its_own_bytes() {
    for lists_referrers in [true, false] {
        let lab = Lab::with_delta(if lists_referrers { "delta" } else { "delta-fallback" }, lists_referrers);
        let (fetched, said) = lab.fetches("v1");
        assert!(fetched < 800 * 13 / 10, "{fetched}");
        assert_eq!((lab.ranges().0, lab.of_index().0, said.contains("warning")), (0, 0, false), "{said}");
        let left = std::fs::read_dir(lab.path("store/part")).unwrap().count();
        assert_eq!(left, 0, "nothing is left of the rebuilding");
        succeed(&mut lab.kiln(&["verify", "out"]));
        // The same again is the same artifact; under another tag, there is a delta from what was pushed last.
        assert_eq!(lab.pushed("v1")["digest"], lab.pushed("v1")["digest"]);
        lab.deliver_disk(&one_file(8));
        assert!(lab.pushed("v2")["deltas"].as_u64() > Some(0));
        assert!(lab.fetches("v2").0 < 800 * 13 / 10);
    }
}

#[test]
fn a_store_without_the_earlier_disk_asks_for_no_delta() {
    let lab = Lab::with_delta("delta-other", true);
    let blob = lab.delta().1["layers"][0]["digest"].as_str().unwrap().to_owned();
    lab.empty_store();
    lab.registry.behave();
    let output = lab.pull();
    assert!(output.status.success(), "{}", text(&output));
    assert!(lab.image("out") == lab.image("build"));
    assert!(lab.registry.asked(&format!("GET /v2/team/tiny/blobs/{blob}")).is_empty());
}

#[test]
fn what_is_wrong_with_a_delta_costs_the_chunks() {
    let lab = Lab::with_delta("delta-forged", true);
    let (_, good) = lab.delta();
    let blob = lab.registry.state.lock().unwrap().blobs[good["layers"][0]["digest"].as_str().unwrap()].clone();
    let with = |bytes: Vec<u8>| {
        let (digest, size) = (lab.registry.add_blob(&bytes), bytes.len());
        move |delta: &mut Value| {
            (delta["layers"][0]["digest"], delta["layers"][0]["size"]) = (json!(digest), json!(size));
        }
    };
    let changed = |place: usize| {
        let mut bytes = blob.clone();
        bytes[place] ^= 1;
        bytes
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("it is of another format", changed(12)),
        ("it is of another format", Vec::new()),
        ("another version of kiln", changed(b"kiln delta 1\n".len() + 5)),
        // A disk of another size.
        ("its steps are those of no disk", changed(b"kiln delta 1\n".len() + 3)),
        ("a delta to it is of no use", changed(blob.len() - 20)),
        ("a delta to it is of no use", blob[..blob.len() / 2].to_vec()),
    ];
    for (words, bytes) in cases {
        lab.forge(with(bytes));
        let (fetched, said) = lab.fetches("v1");
        assert!(said.contains(words) && fetched > 2000, "{words}: {fetched} {said}");
        lab.forge(|delta| *delta = good.clone());
    }
    let huge = |delta: &mut Value| delta["layers"][0]["size"] = json!(1u64 << 40);
    let other_subject = |delta: &mut Value| {
        let layer = delta["layers"][0].clone();
        delta["layers"] = json!([layer, layer]);
    };
    for (change, words) in
        [(&huge as &dyn Fn(&mut Value), "larger than the image"), (&other_subject, "exactly one file")]
    {
        lab.forge(change);
        let (fetched, said) = lab.fetches("v1");
        assert!(said.contains(words) && fetched > 2000, "{words}: {fetched} {said}");
        lab.forge(|delta| *delta = good.clone());
    }
    // One to or from another disk is not looked at.
    for name in [TO, FROM] {
        lab.forge(|delta| delta["annotations"][name] = json!("0".repeat(64)));
        let (fetched, said) = lab.fetches("v1");
        assert!(fetched > 2000 && !said.contains("warning"), "{said}");
        lab.forge(|delta| *delta = good.clone());
    }
    assert!(lab.fetches("v1").0 < 800 * 13 / 10);
}
