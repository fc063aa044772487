//! Archives as others make them: flat ones, signatures in a file of their own, no names, odd entries.

use std::sync::Mutex;

use kiln::base::{Digest, Timestamp};
use kiln::debian::archive::ArchiveRef;
use kiln::debian::mirror::Mirrors;
use kiln::lock::resolve::{NoCache, Progress, ResolveContext, Update, resolve};
use kiln::lock::{Lock, read, satisfies, write};
use kiln::recipe::Recipe;
use kiln::world::memory::MemoryWorld;

use super::super::archive_support::{Package, TestKey, TinyArchive, recipe, set};
use super::{lock, resolved, versions};

/// A stanza of a package that nobody asks for, which apt takes.
const ODD: &str = "Package: unrelated-old\nVersion: 1.0_beta2\nArchitecture: amd64\nFilename: pool/u.deb\nSize: 1\nSHA256: \
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nDescription: an odd version\n\n";

fn archive(suite: &str) -> TinyArchive {
    let tool = Package::new("tool", "1.0").depends("tool-data");
    TinyArchive::new(suite).package(tool).package(Package::new("tool-data", "1.0").architecture("all"))
}

fn asked(archive: &TinyArchive) -> Recipe {
    recipe(&[archive], vec![set("image", &[&archive.name()], &["tool"])])
}

/// The lock, and the warnings on the way.
fn warned(archive: &TinyArchive, recipe: &Recipe) -> (Lock, Vec<String>) {
    let mut world = MemoryWorld::default();
    archive.publish(&mut world);
    let mirrors = Mirrors::of(&world).unwrap();
    let warnings = Mutex::new(Vec::new());
    let listener = |progress: Progress| {
        if let Progress::Warning { message } = progress {
            warnings.lock().unwrap().push(message);
        }
    };
    let context = ResolveContext { world: &world, cache: &NoCache, mirrors: &mirrors, listener: &listener };
    let lock = resolve(&context, recipe, None, &Update::Keep).unwrap();
    (lock, warnings.into_inner().unwrap())
}

#[test]
fn a_flat_repository_is_locked_with_paths_below_its_base() {
    for (suite, path) in [("debian13/", "debian13/tool_1.0_amd64.deb"), ("./", "tool_1.0_amd64.deb")] {
        let archive = archive(suite);
        let recipe = asked(&archive);
        let locked = lock(&[&archive], &recipe).unwrap();
        assert_eq!(versions(&locked, "image").len(), 2, "{suite}");
        let tool = locked.sets["image"].iter().find(|package| package.name == "tool").unwrap();
        assert_eq!(tool.path, path);
        assert!(archive.files().contains_key(path), "{path} is where a mirror has it");
        let text = write(&locked);
        assert_eq!(read(&text).unwrap(), locked);
        satisfies(&recipe, &locked).unwrap();
        assert!(locked.archives.values().next().unwrap().components.is_empty());
    }
}

#[test]
fn release_with_a_signature_of_its_own_is_an_in_release() {
    let archive = archive("trixie").detached();
    let locked = lock(&[&archive], &asked(&archive)).unwrap();
    assert_eq!(locked.archives.values().next().unwrap().signed_by, [archive.key.fingerprint()]);
    // Signed by somebody else, or changed after it was signed, it is refused as ever.
    let stranger = archive.clone().signed_by(&TestKey::new(2));
    let error = lock(&[&stranger], &asked(&archive)).unwrap_err().to_string();
    assert!(error.contains("but the archive lists only"), "{error}");
    let mut world = MemoryWorld::default();
    archive.publish(&mut world);
    let page = world.pages.get_mut(&archive.url("Release")).unwrap();
    *page = String::from_utf8(page.clone()).unwrap().replace("Origin: Test", "Origin: Evil").into_bytes();
    let error = resolved(&world, &NoCache, &asked(&archive), (None, &Update::Keep)).unwrap_err().to_string();
    assert!(error.contains("does not match the text"), "{error}");
    world.pages.remove(&archive.url("Release.gpg"));
    let error = resolved(&world, &NoCache, &asked(&archive), (None, &Update::Keep)).unwrap_err().to_string();
    assert!(error.contains("Release.gpg"), "{error}");
}

#[test]
fn a_lock_does_not_depend_on_where_the_mirror_has_the_signature() {
    // Of one second.
    let inline = archive("trixie");
    let detached = inline.clone().detached();
    let locked = lock(&[&inline], &asked(&inline)).unwrap();
    assert_eq!(write(&lock(&[&detached], &asked(&inline)).unwrap()), write(&locked));
    // Locks used to have the digest of the whole `InRelease`: the same state is recognised all the same.
    let current = ArchiveRef::current("trixie");
    let mut old = locked.clone();
    let pinned = old.archives.get_mut(&current).unwrap();
    pinned.inrelease = Digest::of(&inline.files()["dists/trixie/InRelease"]);
    pinned.snapshot = Timestamp(pinned.snapshot.0 + 60);
    let again = super::again(&[&inline], &asked(&inline), Some(&old), &Update::All).unwrap();
    assert_eq!(again.archives[&current].inrelease, locked.archives[&current].inrelease);
    assert_eq!(
        again.archives[&current].snapshot, old.archives[&current].snapshot,
        "the state is the one that was locked"
    );
}

#[test]
fn an_odd_entry_is_a_warning_until_its_package_is_asked_for() {
    let archive = archive("trixie").odd(ODD);
    let (locked, warnings) = warned(&archive, &asked(&archive));
    assert_eq!(versions(&locked, "image").len(), 2);
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    for word in ["archive `trixie`", "unrelated-old", "1.0_beta2"] {
        assert!(warning.contains(word), "{warning}");
    }
    let recipe = recipe(&[&archive], vec![set("image", &["trixie"], &["unrelated-old"])]);
    let error = lock(&[&archive], &recipe).unwrap_err().to_string();
    assert!(error.contains("unrelated-old") && error.contains("1.0_beta2"), "{error}");
}

#[test]
fn a_release_without_a_name_is_a_warning() {
    let named = archive("trixie");
    let mut world = MemoryWorld::default();
    named.publish(&mut world);
    let text = String::from_utf8(archive("trixie").detached().files()["dists/trixie/Release"].clone()).unwrap();
    let nameless = text.replace("Suite: trixie\nCodename: trixie\n", "");
    assert_ne!(nameless, text);
    world.pages.insert(named.url("InRelease"), named.key.sign(&nameless, named.date).into_bytes());
    let locked = resolved(&world, &NoCache, &asked(&named), (None, &Update::Keep)).unwrap();
    assert_eq!(versions(&locked, "image").len(), 2);
}
