//! Locks made from tiny signed archives: what is pinned, what moves, what is refused.

mod kept;
mod layouts;
mod refused;
mod solve;
mod tampered;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use kiln::base::{Digest, Timestamp};
use kiln::debian::archive::ArchiveRef;
use kiln::debian::mirror::Mirrors;
use kiln::debian::solve::Why;
use kiln::lock::resolve::{
    DirectoryCache, IndexCache, NoCache, Progress, ResolveContext, ResolveError, Update, resolve,
};
use kiln::lock::{Lock, diff, read, satisfies, settle, write};
use kiln::recipe::Recipe;
use kiln::world::memory::MemoryWorld;
use kiln::world::{RealWorld, World};

use super::archive_support::{Fault, Package, Server, TinyArchive, now, recipe, set};

/// Resolves with a cache and collects warnings.
pub(crate) fn resolved(
    world: &dyn World,
    cache: &dyn IndexCache,
    recipe: &Recipe,
    (previous, update): (Option<&Lock>, &Update),
) -> Result<Lock, ResolveError> {
    let mirrors = Mirrors::of(world)?;
    let context = ResolveContext { world, cache, mirrors: &mirrors, listener: &|_| {} };
    resolve(&context, recipe, previous, update)
}

pub(crate) fn lock(archives: &[&TinyArchive], recipe: &Recipe) -> Result<Lock, ResolveError> {
    again(archives, recipe, None, &Update::Keep)
}

fn again(
    archives: &[&TinyArchive],
    recipe: &Recipe,
    previous: Option<&Lock>,
    update: &Update,
) -> Result<Lock, ResolveError> {
    let mut world = MemoryWorld::default();
    archives.iter().for_each(|archive| archive.publish(&mut world));
    resolved(&world, &NoCache, recipe, (previous, update))
}

pub(crate) fn versions(lock: &Lock, set: &str) -> BTreeMap<String, String> {
    lock.sets[set].iter().map(|package| (package.name.clone(), package.version.clone())).collect()
}

fn shown(lock: &Lock, set: &str) -> String {
    versions(lock, set).iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ")
}

fn first() -> TinyArchive {
    TinyArchive::new("trixie")
        .package(Package::new("nginx", "1.0").depends("libc6 (>= 2), nginx-common (= 1.0)"))
        .package(Package::new("nginx-common", "1.0").architecture("all"))
        .package(Package::new("libc6", "2.41"))
        .package(Package::new("curl", "8.0").depends("libc6"))
}

/// The same suite a day later.
fn second() -> TinyArchive {
    TinyArchive::new("trixie")
        .dated(Timestamp(first().date.0 + 600))
        .package(Package::new("nginx", "1.1").depends("libc6 (>= 2), nginx-common (= 1.1)"))
        .package(Package::new("nginx-common", "1.1").architecture("all"))
        .package(Package::new("libc6", "2.42"))
        .package(Package::new("curl", "8.1").depends("libc6"))
}

fn nginx(archive: &TinyArchive) -> Recipe {
    recipe(&[archive], vec![set("web", &["trixie"], &["nginx"])])
}

fn with_curl(archive: &TinyArchive) -> Recipe {
    recipe(&[archive], vec![set("web", &["trixie"], &["nginx", "curl"])])
}

#[test]
fn a_lock_pins_archives_packages_and_the_epoch() {
    let archive = first();
    let recipe = nginx(&archive);
    let lock = lock(&[&archive], &recipe).unwrap();
    assert_eq!(shown(&lock, "web"), "libc6 2.41, nginx 1.0, nginx-common 1.0");
    let order: Vec<&str> = lock.sets["web"].iter().map(|package| package.name.as_str()).collect();
    assert_eq!(order, ["libc6", "nginx-common", "nginx"]);
    let package = lock.sets["web"].iter().find(|package| package.name == "nginx").unwrap();
    let deb = archive.packages[0].build();
    assert_eq!((package.file.size, package.file.sha256), (deb.len() as u64, Digest::of(&deb)));
    assert_eq!(package.why, Why::Requested);
    let locked = &lock.archives[&ArchiveRef::current("trixie")];
    assert_eq!(locked.signed_by, [archive.key.fingerprint()]);
    assert_eq!((locked.date, lock.epoch), (archive.date, archive.date));
    assert_eq!(locked.snapshot, archive.date);
    assert!(locked.indexes.contains_key("main/binary-amd64/Packages.xz"));
    satisfies(&recipe, &lock).unwrap();
    let text = write(&lock);
    assert_eq!(read(&text).unwrap(), lock);
    assert!(!text.contains("mirror.example"), "a mirror's address is in the lock");
}

#[test]
fn nothing_is_asked_for_when_everything_is_pinned() {
    let archive = first();
    let lock = lock(&[&archive], &nginx(&archive)).unwrap();
    let unplugged = MemoryWorld::default();
    let kept = resolved(&unplugged, &NoCache, &nginx(&archive), (Some(&lock), &Update::Keep)).unwrap();
    assert_eq!(write(&kept), write(&lock));
}

#[test]
fn what_is_pinned_stays_and_what_is_missing_is_added() {
    let before = lock(&[&first()], &nginx(&first())).unwrap();
    let mut both = second();
    both.packages.extend(first().packages);
    let after = again(&[&both], &with_curl(&both), Some(&before), &Update::Keep).unwrap();
    assert_eq!(shown(&after, "web"), "curl 8.1, libc6 2.41, nginx 1.0, nginx-common 1.0");
    assert_eq!(diff(&before, &after).last().unwrap().to_string(), "web: + curl 8.1");
}

#[test]
fn an_update_moves_everything_or_what_is_named_and_what_that_forces() {
    let before = lock(&[&first()], &with_curl(&first())).unwrap();
    let mut both = second();
    both.packages.extend(first().packages);
    let all = again(&[&both], &with_curl(&both), Some(&before), &Update::All).unwrap();
    assert_eq!(shown(&all, "web"), "curl 8.1, libc6 2.42, nginx 1.1, nginx-common 1.1");
    let some = Update::Some(BTreeSet::from(["nginx".to_owned()]));
    let some = again(&[&both], &with_curl(&both), Some(&before), &some).unwrap();
    assert_eq!(shown(&some, "web"), "curl 8.0, libc6 2.41, nginx 1.1, nginx-common 1.1");
    let none = Update::Some(BTreeSet::from(["ngnix".to_owned()]));
    let error = again(&[&both], &with_curl(&both), Some(&before), &none).unwrap_err();
    assert!(matches!(error, ResolveError::NotLocked { name, .. } if name == "ngnix"));
}

#[test]
fn a_package_that_left_its_archive_keeps_its_entry_under_the_archive_as_it_was() {
    // Made once each: they are dated by the clock.
    let (first, second) = (first(), second());
    let before = lock(&[&first], &nginx(&first)).unwrap();
    let after = again(&[&second], &with_curl(&second), Some(&before), &Update::Keep).unwrap();
    assert_eq!(shown(&after, "web"), "curl 8.1, libc6 2.41, nginx 1.0, nginx-common 1.0");
    let (earlier, current) = (ArchiveRef::earlier("trixie", first.date), ArchiveRef::current("trixie"));
    let archives: BTreeMap<&str, &ArchiveRef> =
        after.sets["web"].iter().map(|package| (package.name.as_str(), &package.archive)).collect();
    assert_eq!((archives["nginx"], archives["curl"]), (&earlier, &current));
    assert_eq!(after.archives[&earlier], before.archives[&current]);
    assert_eq!(read(&write(&after)).unwrap(), after);
    // And the next time nothing moves, with the network or without.
    let kept = again(&[&second], &with_curl(&second), Some(&after), &Update::Keep).unwrap();
    assert_eq!(write(&kept), write(&after));
    let moved = again(&[&second], &with_curl(&second), Some(&after), &Update::All).unwrap();
    assert_eq!(shown(&moved, "web"), "curl 8.1, libc6 2.42, nginx 1.1, nginx-common 1.1");
    assert!(!moved.archives.contains_key(&earlier));
}

#[test]
fn dropping_a_request_drops_what_only_it_needed() {
    let before = lock(&[&first()], &with_curl(&first())).unwrap();
    let archive = first();
    let recipe = recipe(&[&archive], vec![set("web", &["trixie"], &["curl"])]);
    let after = again(&[&archive], &recipe, Some(&before), &Update::Keep).unwrap();
    assert_eq!(shown(&after, "web"), "curl 8.0, libc6 2.41");
}

#[test]
fn a_real_server_is_asked_by_hash_and_the_cache_saves_the_second_time() {
    let archive = first();
    let server = Server::start(&[&archive]);
    let directory = std::env::temp_dir().join(format!("kiln-lock-cache-{}", std::process::id()));
    let cache = DirectoryCache::new(&directory);
    let mut mirrors = Mirrors::default();
    mirrors.add("test", &server.url()).unwrap();
    let world = RealWorld::default();
    let heard = Mutex::new(Vec::new());
    let listener = |progress| heard.lock().unwrap().push(progress);
    let context = ResolveContext { world: &world, cache: &cache, mirrors: &mirrors, listener: &listener };
    let lock = resolve(&context, &nginx(&archive), None, &Update::Keep).unwrap();
    let log = server.log();
    assert!(log.iter().any(|line| line.contains("/by-hash/SHA256/")), "{log:?}");
    assert!(heard.lock().unwrap().contains(&Progress::Solving { set: "web".to_owned() }));
    let again = resolve(&context, &nginx(&archive), None, &Update::Keep).unwrap();
    assert_eq!(write(&again), write(&lock));
    let asked: Vec<String> = server.log().split_off(log.len());
    assert!(asked.iter().all(|line| line.contains("/InRelease")), "{asked:?}");
    // A damaged cache entry is a miss.
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let again = resolve(&context, &nginx(&archive), None, &Update::Keep).unwrap();
    assert_eq!(write(&again), write(&lock));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_mirror_without_by_hash_or_with_a_broken_one_is_asked_by_name() {
    let archive = first();
    let server = Server::start(&[&archive]);
    let hash = Digest::of(&archive.files()["dists/trixie/main/binary-amd64/Packages.xz"]).hex();
    server.fault(&hash, Fault::Missing);
    let mut mirrors = Mirrors::default();
    mirrors.add("test", &server.url()).unwrap();
    let context =
        ResolveContext { world: &RealWorld::default(), cache: &NoCache, mirrors: &mirrors, listener: &|_| {} };
    resolve(&context, &nginx(&archive), None, &Update::Keep).unwrap();
    assert!(server.log().iter().any(|line| line.contains("/Packages.xz")));
}

#[test]
fn a_lock_of_another_recipe_says_what_differs() {
    let archive = first();
    let lock = lock(&[&archive], &nginx(&archive)).unwrap();
    let mismatches = satisfies(&with_curl(&archive), &lock).unwrap_err();
    assert_eq!(mismatches[0].to_string(), "recipe `test.kiln` has changed");
    assert!(lock.archives[&ArchiveRef::current("trixie")].date < now());
}

/// Git merged two locks of one recipe: one branch updated all packages, the other one asks for another package.
#[test]
fn a_merged_lock_keeps_what_both_sides_pin_and_resolves_the_rest() {
    let (old, mut new) = (first().package(Package::new("same", "1")), second().package(Package::new("same", "1")));
    let ours = lock(&[&old], &recipe(&[&old], vec![set("web", &["trixie"], &["nginx", "same", "curl"])])).unwrap();
    let theirs = lock(&[&new], &recipe(&[&new], vec![set("web", &["trixie"], &["nginx", "same"])])).unwrap();
    new.packages.push(Package::new("same", "2"));
    let merged = recipe(&[&new], vec![set("web", &["trixie"], &["nginx", "same", "curl"])]);
    let text = format!("<<<<<<< ours\n{}=======\n{}>>>>>>> theirs\n", write(&ours), write(&theirs));
    let (previous, settled) = settle(&text).unwrap();
    assert_eq!((settled.agreed, settled.one_sided), (1, 1), "same; curl: {settled:?}");
    let contested: Vec<&str> = settled.contested.iter().map(|pin| pin.what.as_str()).collect();
    assert_eq!(contested, ["web: libc6", "web: nginx", "web: nginx-common"]);
    let after = again(&[&new], &merged, Some(&previous), &Update::Keep).unwrap();
    assert_eq!(shown(&after, "web"), "curl 8.0, libc6 2.42, nginx 1.1, nginx-common 1.1, same 1");
    satisfies(&merged, &after).unwrap();
    assert_eq!(read(&write(&after)).unwrap(), after);
}
