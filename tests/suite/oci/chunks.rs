//! Disks whose earlier versions are in the store: only what is new is fetched, the image is the same bit for bit, and whatever is wrong
//! with an index or a registry costs a fetch of the whole file.

use std::process::Output;

use kiln::format::chunks::{ChunkIndex, Extent, IndexHead};
use kiln::format::qcow2::{Qcow2Options, write_qcow2};
use serde_json::{Value, json};

use super::server::Reply;
use super::{Lab, noise, refused, succeed, text};
use crate::suite::patience::until;

pub(super) const BLOCK: usize = 4096;
const HEAD: &str = "dev.kiln.chunks.head";
const CHUNKS: &str = "application/vnd.kiln.chunks.v1";

/// A disk with files and holes, 6 MiB.
pub(super) fn disk() -> Vec<u8> {
    let mut disk = noise(1, 6 << 20);
    disk[1 << 20..2 << 20].fill(0);
    disk
}

/// The same with a longer file in it, so that all behind it moves, and one that is another.
fn updated() -> Vec<u8> {
    let mut disk = disk();
    disk.splice(700 * BLOCK..700 * BLOCK, noise(2, 3 * BLOCK));
    disk[1200 * BLOCK..1201 * BLOCK].copy_from_slice(&noise(3, BLOCK));
    disk.truncate(6 << 20);
    disk
}

impl Lab {
    /// A build whose image is a disk with this content.
    pub(super) fn deliver_disk(&self, raw: &[u8]) {
        std::fs::write(self.path("raw"), raw).unwrap();
        let (from, to) = (std::fs::File::open(self.path("raw")).unwrap(), std::fs::File::create(self.path("image")));
        write_qcow2(&from, to.unwrap(), Qcow2Options::default(), &mut |_, _| {}).unwrap();
        self.deliver_image("build", std::fs::read(self.path("image")).unwrap());
    }

    /// The store has the first disk, the registry both.
    fn with_update(name: &str) -> Lab {
        let lab = Lab::new(name, 10);
        lab.deliver_disk(&disk());
        lab.push();
        succeed(&mut lab.kiln(&["pull", &lab.reference(), "-o", "first"]));
        lab.deliver_disk(&updated());
        // From a store that lacks the first disk, so that there is no delta.
        succeed(lab.kiln(&["push", "build", &lab.reference()]).env("KILN_STORE", lab.path("pushes")));
        lab.registry.behave();
        lab
    }

    /// Requests for ranges of the image, and how many bytes they are in all.
    pub(super) fn ranges(&self) -> (usize, u64) {
        self.parts(&self.blob())
    }

    fn parts(&self, blob: &str) -> (usize, u64) {
        let asked = self.registry.asked(&format!("GET {blob}"));
        let ranges = asked.iter().filter_map(|request| {
            let (from, to) = request.header("range").strip_prefix("bytes=")?.split_once('-')?;
            Some(to.parse::<u64>().ok()? + 1 - from.parse::<u64>().ok()?)
        });
        (asked.len(), ranges.sum())
    }

    /// The store as it was before the update, without what was pulled.
    pub(super) fn forget_update(&self) {
        let _ = std::fs::remove_dir_all(self.path("out"));
        let digest = kiln::base::Digest::of(&self.image("build")).hex();
        let _ = std::fs::remove_file(self.path("store/cas").join(digest));
    }

    pub(super) fn pulls_the_update(&self) -> Output {
        let output = self.pull();
        assert!(output.status.success(), "{}", text(&output));
        assert!(self.image("out") == self.image("build"));
        output
    }

    fn layer(&self) -> Value {
        let manifest = self.registry.manifest("v1");
        let layers = manifest["layers"].as_array().unwrap();
        layers.iter().find(|layer| layer["mediaType"] == CHUNKS).expect("a disk has an index").clone()
    }

    /// How many bytes of the index were asked for, and in how many requests.
    pub(super) fn of_index(&self) -> (usize, u64) {
        self.parts(&format!("/v2/team/tiny/blobs/{}", self.layer()["digest"].as_str().unwrap()))
    }

    /// Puts another index in the place of the pushed one.
    fn forge_index(&self, whole: &Value, index: &[u8]) {
        let digest = self.registry.add_blob(index);
        let mut manifest = whole.clone();
        for layer in manifest["layers"].as_array_mut().unwrap().iter_mut().filter(|it| it["mediaType"] == CHUNKS) {
            (layer["digest"], layer["size"]) = (json!(digest), json!(index.len()));
            let head = IndexHead::read(index).map_or(1, |head| head.length);
            layer["annotations"][HEAD] = json!(head.to_string());
        }
        self.registry.replace("v1", manifest.to_string().as_bytes());
    }
}

#[test]
fn an_update_of_a_disk_is_rebuilt_from_what_is_new_bit_for_bit() {
    let lab = Lab::with_update("chunks");
    let said = text(&lab.pulls_the_update());
    assert!(said.contains("i.tar: ") && said.contains("fetched, the rest is of earlier disks"), "{said}");
    let (requests, bytes) = lab.ranges();
    let size = lab.image("build").len() as u64;
    assert!(requests <= 8 && bytes > 0 && bytes < size / 10, "{requests} requests, {bytes} of {size}");
    let (requests, of_index) = lab.of_index();
    let whole_index = lab.layer()["size"].as_u64().unwrap();
    assert!(requests > 1 && of_index < whole_index, "{requests} requests, {of_index} of {whole_index}");
    succeed(&mut lab.kiln(&["verify", "out"]));
    let left = std::fs::read_dir(lab.path("store/part")).unwrap().count();
    assert_eq!(left, 0, "nothing is left of the rebuilding");
    // What was rebuilt is there, and nothing of it is fetched again.
    lab.registry.behave();
    lab.pulls_the_update();
    assert_eq!(lab.ranges().0, 0);
    // A store without any disk fetches the whole file, and never the index.
    lab.empty_store();
    lab.registry.behave();
    let said = text(&lab.pulls_the_update());
    assert!(!said.contains("earlier disks") && lab.ranges() == (1, 0), "{said}");
    assert!(
        lab.registry.asked(&format!("GET /v2/team/tiny/blobs/{}", lab.layer()["digest"].as_str().unwrap())).is_empty()
    );
}

#[test]
fn the_index_is_the_same_whoever_pushes_and_a_layout_is_read_whole() {
    let lab = Lab::with_update("chunks-layout");
    let before = lab.layer();
    lab.empty_store();
    lab.push();
    assert_eq!(lab.layer(), before);
    succeed(&mut lab.kiln(&["push", "build", "oci:layout"]));
    succeed(&mut lab.kiln(&["pull", "oci:layout", "-o", "out"]));
    assert!(lab.image("out") == lab.image("build"));
}

/// An index that others made may lead to the same image and still not be kiln's own.
#[test]
fn an_index_of_a_registry_is_not_pushed_on() {
    let lab = Lab::with_update("chunks-foreign");
    let (whole, layer) = (lab.registry.manifest("v1"), lab.layer());
    let digest = layer["digest"].as_str().unwrap().to_owned();
    let good = lab.registry.state.lock().unwrap().blobs[&digest].clone();
    let mut index = ChunkIndex::read(&good, lab.image("build").len() as u64).unwrap();
    // The same zeros, told in two pieces.
    let zeros = |extent: &Extent| matches!(extent, Extent::Zeros { blocks } if *blocks > 1);
    let place = index.extents.iter().position(zeros).expect("the disk has a hole");
    let blocks = index.extents[place].blocks() - 1;
    index.extents.splice(place..=place, [Extent::Zeros { blocks: 1 }, Extent::Zeros { blocks }]);
    assert_ne!(index.write(), good);
    lab.forge_index(&whole, &index.write());
    assert_ne!(lab.layer(), layer);
    let said = text(&lab.pulls_the_update());
    assert!(said.contains("the rest is of earlier disks"), "{said}");
    succeed(&mut lab.kiln(&["push", "out", &lab.registry.reference("team/tiny:v2")]));
    assert_eq!(lab.registry.manifest("v2"), whole);
}

#[test]
fn an_index_that_lies_costs_a_fetch_of_the_whole_file() {
    let lab = Lab::with_update("chunks-forged");
    let whole = lab.registry.manifest("v1");
    let digest = lab.layer()["digest"].as_str().unwrap().to_owned();
    let good = lab.registry.state.lock().unwrap().blobs[&digest].clone();
    let changed = |place: usize| {
        let mut index = good.clone();
        index[place] ^= 0x15;
        index
    };
    let head = IndexHead::read(&good).unwrap().length as usize;
    let forgeries: Vec<(&str, Vec<u8>)> = vec![
        ("it is of another format", b"kiln chunks 1".to_vec()),
        ("it is of another format", b"kiln chunks 3\n".to_vec()),
        ("it is of another format", Vec::new()),
        ("has another size than its layer", good[..good.len() - 1].to_vec()),
        ("has another size than its layer", [&good[..], b"x"].concat()),
        ("it has a part by the name of another", changed(head - 1)),
        ("fetched whole", changed(b"kiln chunks 2\n".len())),
        ("fetched whole", changed(good.len() - 5)),
        ("another version of kiln", changed(b"kiln chunks 2\n".len() + 5)),
        ("fetched whole", changed(good.len() / 2)),
    ];
    for (words, index) in forgeries {
        lab.forget_update();
        lab.forge_index(&whole, &index);
        let said = text(&lab.pulls_the_update());
        // A chunk by another name may be of no use and no harm.
        assert!(said.contains(words) || (words == "fetched whole" && said.contains("pulled")), "{words}: {said}");
    }
    // An index that is not what its descriptor says, is too large, or is of no file.
    lab.forget_update();
    lab.forge_index(&whole, &good);
    lab.registry.state.lock().unwrap().blobs.insert(digest.clone(), b"other".to_vec());
    assert!(text(&lab.pulls_the_update()).contains("fetched whole"));
    lab.registry.state.lock().unwrap().blobs.insert(digest, good);
    let forge = |change: &dyn Fn(&mut Value)| {
        let mut manifest = whole.clone();
        let layers = manifest["layers"].as_array_mut().unwrap();
        change(layers.iter_mut().find(|layer| layer["mediaType"] == CHUNKS).unwrap());
        lab.registry.replace("v1", manifest.to_string().as_bytes());
        lab.forget_update();
    };
    // A head of another size than the index has.
    let more = (head + 5).to_string();
    let stated = [("5", "of another format"), ("300", "it ends too early"), (&more, "its head than is stated")];
    for (stated, words) in stated.into_iter().chain([("18446744073709551615", "the rest is of earlier disks")]) {
        forge(&|layer| layer["annotations"][HEAD] = json!(stated));
        let said = text(&lab.pulls_the_update());
        assert!(said.contains(words), "{stated}: {said}");
    }
    // Without the annotation, as others may copy an artifact and as earlier kilns push one, it is read whole.
    forge(&|layer| _ = layer["annotations"].as_object_mut().unwrap().remove(HEAD));
    lab.registry.behave();
    assert!(text(&lab.pulls_the_update()).contains("the rest is of earlier disks"));
    assert_eq!(lab.of_index(), (1, 0));
    forge(&|layer| layer["size"] = json!(1u64 << 40));
    assert!(text(&lab.pulls_the_update()).contains("(limit 33554432)"));
    forge(&|layer| layer["annotations"]["org.opencontainers.image.title"] = json!("../x.chunks"));
    lab.refuses(3, &["an index of chunks `../x.chunks` of no file of its own"]);
    forge(&|layer| layer["annotations"] = json!({}));
    lab.refuses(3, &["of no file of its own"]);
    let mut manifest_twice = whole.clone();
    let index =
        manifest_twice["layers"].as_array().unwrap().iter().find(|it| it["mediaType"] == CHUNKS).unwrap().clone();
    manifest_twice["layers"].as_array_mut().unwrap().push(index);
    lab.registry.replace("v1", manifest_twice.to_string().as_bytes());
    lab.refuses(3, &["it has layer `i.tar.chunks` twice"]);
}

#[test]
fn a_registry_that_serves_no_parts_or_other_ones_is_asked_for_the_whole_file() {
    let lab = Lab::with_update("chunks-ranges");
    let (blob, bytes) = (lab.blob(), lab.image("build"));
    // Of no file: it is the index that is asked for first.
    let whole = lab.registry.state.lock().unwrap().blobs.clone();
    lab.registry.hook(move |request| {
        let digest = request.path.rsplit('/').next().unwrap();
        let ranged = request.method == "GET" && !request.header("range").is_empty();
        ranged.then(|| Reply::new(200).body(&whole[digest][..]))
    });
    assert!(text(&lab.pulls_the_update()).contains("fetched whole"));
    type Answer = fn(&[u8], (usize, usize)) -> Reply;
    let answers: [(&str, Answer); 6] = [
        ("its answer has more than", |all, _| Reply::new(200).body(all)),
        ("http status: 416", |_, _| Reply::new(416)),
        ("http status: 404", |_, _| Reply::new(404)),
        ("bytes of a part of", |all, (from, to)| Reply::new(206).body(&all[from..to])),
        ("has other bytes than its index", |all, (from, to)| {
            let moved = if from > 70_000 { 65_536.min(from) } else { 0 };
            Reply::new(206).body(&all[from - moved..=to - moved])
        }),
        ("its answer has more than", |_, _| Reply { endless: true, ..Reply::new(206).body(vec![0; 1 << 16]) }),
    ];
    for (at, (words, answer)) in answers.into_iter().enumerate() {
        lab.forget_update();
        let (blob, bytes) = (blob.clone(), bytes.clone());
        lab.registry.behave();
        lab.registry.hook(move |request| {
            let (from, to) = request.header("range").strip_prefix("bytes=")?.split_once('-')?;
            let range = (from.parse().ok()?, to.parse().ok()?);
            (request.path == blob && request.method == "GET").then(|| answer(&bytes, range))
        });
        let said = text(&lab.pulls_the_update());
        assert!(said.contains("fetched whole"), "{at}: {said}");
        assert!(said.contains(words) || at == 4, "{at} {words}: {said}");
    }
}

#[test]
fn an_interrupted_update_goes_on_with_the_chunks_that_it_has() {
    let lab = Lab::with_update("chunks-interrupted");
    let blob = lab.blob();
    let mut asked = 0;
    lab.registry.hook(move |request| {
        let is_range = request.path == blob && request.method == "GET";
        asked += usize::from(is_range);
        (is_range && asked > 1).then(|| Reply { stalls_at: Some(1), ..Reply::new(206).body(vec![0; 100]) })
    });
    let mut pull = lab.kiln(&["pull", &lab.reference(), "-o", "out"]);
    let mut child = pull.stderr(std::process::Stdio::piped()).spawn().unwrap();
    until("two ranges are asked for", &mut child, || lab.ranges().0 >= 2);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert!(!lab.path("out").exists());
    lab.registry.behave();
    lab.pulls_the_update();
    // All ranges: how many of them the interrupted pull had left depends on when it was interrupted.
    lab.forget_update();
    lab.registry.behave();
    lab.pulls_the_update();
    let once = lab.ranges().0;

    // As an interrupted pull leaves it: half of the content, and then all of it.
    let name = format!("content of {}", kiln::base::Digest::of(&lab.image("build")));
    let begun = lab.path("store/part").join(kiln::base::Digest::of(name.as_bytes()).hex());
    for (kept, expected) in [(1000 * BLOCK, 1..once), (6 << 20, 0..1)] {
        lab.forget_update();
        lab.registry.behave();
        std::fs::write(&begun, &updated()[..kept]).unwrap();
        lab.pulls_the_update();
        assert!(expected.contains(&lab.ranges().0), "{kept}: {} of {once}", lab.ranges().0);
        assert!(!begun.exists());
    }
}

#[test]
fn two_pulls_at_once_rebuild_once() {
    let lab = Lab::with_update("chunks-at-once");
    let pulls: Vec<_> =
        ["a", "b"].map(|out| lab.kiln(&["pull", &lab.reference(), "-o", out]).spawn().unwrap()).into_iter().collect();
    assert!(pulls.into_iter().all(|mut pull| pull.wait().unwrap().success()));
    assert!(lab.image("a") == lab.image("build") && lab.image("b") == lab.image("build"));
    let once = lab.ranges().0;
    lab.forget_update();
    lab.registry.behave();
    lab.pulls_the_update();
    assert_eq!(lab.ranges().0, once);
}

#[test]
fn a_damaged_disk_of_the_store_harms_no_update() {
    let lab = Lab::with_update("chunks-damaged");
    let digest = kiln::base::Digest::of(&lab.image("first")).hex();
    let path = lab.path("store/cas").join(digest);
    let mut bytes = std::fs::read(&path).unwrap();
    // Of the disk's content, behind the head.
    bytes[200_000..400_000].fill(7);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let said = text(&lab.pulls_the_update());
    assert!(!said.contains("another image"), "{said}");
    refused(&lab.kiln(&["pull", "oci:nothing"]).output().unwrap(), 4, &[]);
}
