//! Directories that are kept: found again, interrupted, foreign and hostile.

use super::file::FILE;
use super::*;
use crate::guest::launch::tests::launch;

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("kiln-keep-{}-{name}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}

/// A machine with a persistent expander of this size, an empty disk, and a pool that it shares.
fn machine(base: &Path, persistent: u64, serial: u64) -> Launch {
    let expander = format!(
        "\"name\": \"pm\", \"persistent\": {persistent}, \"lsa\": 131072, \"serial\": {serial}, \
         \"back-invalidate\": false, \"flit256\": false"
    );
    let pool = "\"name\": \"sh\", \"volatile\": \"pool\", \"back-invalidate\": false, \"flit256\": false";
    let port = |name: &str, expander: &str| format!("{{ \"name\": \"{name}\", \"expander\": {{ {expander} }} }}");
    let machine = launch(&format!(
        "\"disks\": [{{ \"name\": \"data\", \"size\": 1048576 }}], \"cxl\": {{ \"bridges\": [{{ \"name\": \"b\", \
         \"decoders\": false, \"ports\": [{}, {}] }}] }},",
        port("p0", &expander),
        port("p1", pool)
    ));
    Launch { variables: Some(b"vars".to_vec()), artifacts: built(base), ..machine }
}

/// A directory with a disk, of which nothing but the head is looked at.
fn built(base: &Path) -> PathBuf {
    let path = base.join("built");
    fs::create_dir_all(&path).unwrap();
    let mut head = [0; 512];
    head[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    head[24..32].copy_from_slice(&(1u64 << 20).to_be_bytes());
    fs::write_atomically(&path.join("disk.qcow2"), &head).unwrap();
    path
}

fn all(path: &Path) -> Result<KeepDirectory, GuestError> {
    match Keep::open(path)? {
        Keep::All(directory) => Ok(directory),
        Keep::Disk(_) => panic!("{} is taken for a file", path.display()),
    }
}

#[test]
fn everything_that_lasts_is_kept_and_found_again() {
    let base = scratch("again");
    let path = base.join("kept");
    let of = machine(&base, 268_435_456, 7);
    let first = all(&path).unwrap().files(&of).unwrap();
    assert_eq!(first.own.keys().collect::<Vec<_>>(), ["data.disk", "firmware-vars", "pm.labels", "pm.persistent"]);
    assert_eq!(first.shared.keys().collect::<Vec<_>>(), ["pool.memory"]);
    assert_eq!(fs::metadata(&first.own["pm.persistent"]).unwrap().len(), 268_435_456);
    std::fs::OpenOptions::new()
        .write(true)
        .open(&first.own["pm.labels"])
        .map(|mut file| {
            std::io::Write::write_all(&mut file, b"label").unwrap();
        })
        .unwrap();
    let again = all(&path).unwrap().files(&of).unwrap();
    assert_eq!(again, first);
    assert!(fs::read(&again.own["pm.labels"], 1 << 20).unwrap().starts_with(b"label"));
    fs::remove_tree(&base).unwrap();
}

#[test]
fn what_does_not_fit_is_refused_with_what_differs() {
    let base = scratch("fit");
    let path = base.join("kept");
    all(&path).unwrap().files(&machine(&base, 268_435_456, 7)).unwrap();
    let refused = |launch: &Launch| all(&path).unwrap().files(launch).unwrap_err().to_string();
    let text = refused(&machine(&base, 536_870_912, 7));
    assert!(text.contains("`pm.persistent` has 512MiB now and 256MiB there"), "{text}");
    assert!(refused(&machine(&base, 268_435_456, 8)).contains("expander `pm` has another serial number"));
    assert!(
        refused(&Launch { variables: Some(b"vars".to_vec()), ..launch("") }).contains("it has no `data.disk` any more")
    );
    let rebuilt = Launch { disk: crate::base::Digest::of(b"other"), ..machine(&base, 268_435_456, 7) };
    assert!(refused(&rebuilt).contains("its disk was built anew"));
    fs::remove_file(&path.join("m/pm.labels")).unwrap();
    assert!(refused(&machine(&base, 268_435_456, 7)).contains("pm.labels: it is missing"));
    fs::remove_tree(&base).unwrap();
}

#[test]
fn an_overlay_is_there_before_the_record_says_so_and_missed_from_then_on() {
    let base = scratch("overlay");
    let (path, of) = (base.join("kept"), machine(&base, 268_435_456, 7));
    let record = || String::from_utf8(fs::read(&path.join(FILE), 1 << 20).unwrap()).unwrap();
    // A first run that ends early: its disk cannot be made.
    let bad = Launch { disk_size: Some(512), ..of.clone() };
    assert!(all(&path).unwrap().files(&bad).unwrap_err().to_string().contains("--disk-size 512B"));
    assert!(!record().contains("\"m\""), "{}", record());
    // The next one goes on from there.
    let files = all(&path).unwrap().files(&of).unwrap();
    assert!(record().contains("\"m\"") && files.disk.exists());
    fs::remove_file(&files.disk).unwrap();
    let text = all(&path).unwrap().files(&of).unwrap_err().to_string();
    assert!(text.ends_with("m/disk.qcow2: it is missing, though keep.json names it"), "{text}");
    assert!(!files.disk.exists(), "an empty one in its place would lose what was written");
    fs::remove_tree(&base).unwrap();
}

#[test]
fn two_runs_links_and_directories_of_others_are_refused() {
    let base = scratch("refused");
    let path = base.join("kept");
    let mut held = all(&path).unwrap();
    let said = |path: &Path| all(path).err().expect("an error").to_string();
    assert!(said(&path).contains("another run is using it"));
    held.files(&machine(&base, 268_435_456, 7)).unwrap();
    drop(held);
    let victim = base.join("victim");
    fs::write_atomically(&victim, &[0; 131_072]).unwrap();
    let labels = path.join("m/pm.labels");
    fs::remove_file(&labels).unwrap();
    std::os::unix::fs::symlink(&victim, &labels).unwrap();
    let text = all(&path).unwrap().files(&machine(&base, 268_435_456, 7)).unwrap_err().to_string();
    assert!(text.contains("a symbolic link"), "{text}");
    fs::remove_file(&labels).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &labels, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let text = all(&path).unwrap().files(&machine(&base, 268_435_456, 7)).unwrap_err().to_string();
    assert!(text.contains("a named pipe"), "{text}");
    assert!(said(&base).contains("not empty"), "a directory of somebody else's");
    assert!(fs::metadata(&base.join(".lock")).is_err(), "and nothing is left in it");
    fs::write_atomically(&path.join(FILE), b"{}").unwrap();
    assert!(said(&path).contains("not a record"));
    fs::remove_tree(&base).unwrap();
}

#[test]
fn a_file_keeps_a_disk_and_is_found_from_anywhere() {
    let here = std::env::current_dir().unwrap();
    assert_eq!(absolute("keep.qcow2".as_ref()).unwrap(), here.canonicalize().unwrap().join("keep.qcow2"));
    let error = absolute("nowhere-at-all/keep.qcow2".as_ref()).unwrap_err().to_string();
    assert!(error.contains("nowhere-at-all"), "{error}");
    assert!(absolute("/..".as_ref()).is_ok_and(|root| root == Path::new("/")));
    let base = scratch("file");
    assert!(matches!(Keep::open(&base.join("new.qcow2")), Ok(Keep::Disk(_))));
    assert!(!base.join("new.qcow2").exists());
    crate::guest::launch::lasting_overlay(&Launch { artifacts: built(&base), ..launch("") }, &base.join("old"))
        .unwrap();
    assert!(matches!(Keep::open(&base.join("old")), Ok(Keep::Disk(_))));
    fs::write_atomically(&base.join("other"), b"").unwrap();
    assert!(Keep::open(&base.join("other")).is_err_and(|error| error.to_string().contains("use another file name")));
    fs::remove_tree(&base).unwrap();
}
