//! What a resolution refuses, and the words it refuses with.

use kiln::base::{Digest, Timestamp};
use kiln::debian::archive::ArchiveRef;
use kiln::debian::mirror::Mirrors;
use kiln::lock::resolve::{NoCache, ResolveContext, ResolveError, Update, resolve};
use kiln::recipe::{Recipe, RecipeFile};
use kiln::world::RealWorld;
use kiln::world::memory::MemoryWorld;
use pgp::crypto::hash::HashAlgorithm;

use super::super::archive_support::{Fault, Server, TestKey, TinyArchive, now};
use super::{again, first, lock, nginx, resolved};

/// The words of the error with which a suite is refused.
fn refusal(archive: &TinyArchive, recipe: &Recipe) -> String {
    lock(&[archive], recipe).unwrap_err().to_string()
}

#[track_caller]
fn says(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "{word:?} is not in:\n{error}");
    }
}

#[test]
fn a_signature_by_a_key_that_is_not_listed() {
    let stranger = TestKey::new(2);
    let archive = first();
    let error = refusal(&archive.clone().signed_by(&stranger), &nginx(&archive));
    says(&error, &["archive `trixie`", &stranger.fingerprint(), &archive.key.fingerprint(), "help:"]);
}

#[test]
fn a_text_that_was_changed_after_signing() {
    let archive = first();
    let mut world = MemoryWorld::default();
    archive.publish(&mut world);
    let page = world.pages.get_mut(&archive.url("InRelease")).unwrap();
    let changed = String::from_utf8(page.clone()).unwrap().replace("Origin: Test", "Origin: Evil");
    *page = changed.into_bytes();
    let error = resolved(&world, &NoCache, &nginx(&archive), (None, &Update::Keep)).unwrap_err().to_string();
    says(&error, &["does not match the text", &archive.key.fingerprint()]);
}

#[test]
fn words_outside_the_signature() {
    let archive = first();
    for (before, after) in [("Origin: Evil\n\n", ""), ("", "Origin: Evil\n")] {
        let mut world = MemoryWorld::default();
        archive.publish(&mut world);
        let page = world.pages.get_mut(&archive.url("InRelease")).unwrap();
        *page = [before.as_bytes(), page, after.as_bytes()].concat();
        let error = resolved(&world, &NoCache, &nginx(&archive), (None, &Update::Keep)).unwrap_err().to_string();
        says(&error, &["not a clearsigned document"]);
    }
}

#[test]
fn no_signature_at_all() {
    let archive = first();
    let mut world = MemoryWorld::default();
    archive.publish(&mut world);
    world.pages.insert(archive.url("InRelease"), b"Suite: trixie\n".to_vec());
    let error = resolved(&world, &NoCache, &nginx(&archive), (None, &Update::Keep)).unwrap_err().to_string();
    says(&error, &["not a clearsigned document"]);
}

#[test]
fn keys_that_ended() {
    let archive = first();
    for (certificate, words) in
        [(archive.key.expired_certificate(), "expired on 2020-12-31"), (archive.key.revoked_certificate(), "revoked")]
    {
        let mut recipe = nginx(&archive);
        *recipe.files.get_mut("keys/trixie.asc").unwrap() = RecipeFile::held(certificate);
        says(&refusal(&archive, &recipe), &[words]);
    }
}

#[test]
fn a_weak_digest() {
    let key = TestKey::rsa(3);
    let recipe = nginx(&first().signed_by(&key));
    lock(&[&first().signed_by(&key)], &recipe).unwrap();
    let weak = first().signed_by(&key.with_hash(HashAlgorithm::Sha224));
    says(&refusal(&weak, &recipe), &["SHA224, which is weaker than SHA-256"]);
}

#[test]
fn a_signature_from_the_future() {
    let archive = first().dated(Timestamp(now().0 + 3 * 86_400));
    says(&refusal(&archive, &nginx(&archive)), &["dated in the future"]);
}

#[test]
fn a_signing_subkey_is_as_good_as_its_primary_key() {
    let mut archive = first();
    archive.key = archive.key.with_subkey();
    let lock = lock(&[&archive], &nginx(&archive)).unwrap();
    assert_eq!(lock.archives[&ArchiveRef::current("trixie")].signed_by, [archive.key.fingerprint()]);
}

/// The answer to a document in the place of the suite's own, of which `kiln lock` is asked.
fn with_document(archive: &TinyArchive, recipe: &Recipe, change: impl Fn(&str) -> String) -> Result<(), String> {
    let mut world = MemoryWorld::default();
    archive.publish(&mut world);
    let page = world.pages.get_mut(&archive.url("InRelease")).unwrap();
    *page = change(std::str::from_utf8(page).unwrap()).into_bytes();
    resolved(&world, &NoCache, recipe, (None, &Update::Keep)).map(drop).map_err(|error| error.to_string())
}

#[test]
fn signatures_are_judged_as_apt_and_gpgv_judge_them() {
    let (archive, stranger) = (first(), TestKey::new(2));
    let recipe = nginx(&archive);
    let signed = |signers: &[(&TestKey, bool)]| {
        let signers: Vec<(TestKey, bool)> = signers.iter().map(|(key, good)| ((*key).clone(), *good)).collect();
        with_document(&archive, &recipe, |document| {
            let text = document.split_once("\n\n").unwrap().1.split("-----BEGIN").next().unwrap().trim_end();
            let changed = format!("{text} ");
            let signers: Vec<(&TestKey, &str)> =
                signers.iter().map(|(key, good)| (key, if *good { text } else { changed.as_str() })).collect();
            TestKey::sign_together(text, &signers, archive.date)
        })
    };
    // Signatures of others say nothing, good or bad; one of a listed key that does not fit says that the text was changed.
    signed(&[(&archive.key, true)]).unwrap();
    signed(&[(&stranger, true), (&archive.key, true)]).unwrap();
    signed(&[(&archive.key, true), (&stranger, false)]).unwrap();
    for order in [[true, false], [false, true]] {
        let error = signed(&order.map(|good| (&archive.key, good))).unwrap_err();
        says(&error, &["does not match the text"]);
    }
    says(&signed(&[(&stranger, true)]).unwrap_err(), &["but the archive lists only"]);
    let mut many = vec![(&stranger, true); 64];
    many.push((&archive.key, true));
    says(&signed(&many).unwrap_err(), &["more than 64 signatures"]);
}

#[test]
fn the_header_that_names_the_digest_is_not_ignored() {
    let archive = first();
    let recipe = nginx(&archive);
    let with =
        |header: &str| with_document(&archive, &recipe, |document| document.replacen("Hash: SHA512\n", header, 1));
    for good in ["Hash: SHA512\n", "Hash: SHA256\nHash: SHA512\n", ""] {
        with(good).unwrap_or_else(|error| panic!("{good:?}: {error}"));
    }
    says(&with("Hash: SHA256\n").unwrap_err(), &["the `Hash` header"]);
    says(&with("Hash: MD4\n").unwrap_err(), &["not a clearsigned document"]);
}

#[test]
fn an_error_about_a_large_document_is_short() {
    let archive = first();
    let recipe = nginx(&archive);
    for odd in [format!("Odd: {}\nHash: SHA512\n", "x".repeat(15 << 20)), "\u{1}Y: z\n".repeat(1 << 20)] {
        let error = with_document(&archive, &recipe, |document| document.replacen("Hash: SHA512\n", &odd, 1));
        let error = error.unwrap_err();
        assert!(error.len() < 2048, "{} bytes", error.len());
        says(&error, &["not a clearsigned document"]);
    }
}

#[test]
fn a_key_file_that_is_none() {
    let archive = first();
    let mut recipe = nginx(&archive);
    *recipe.files.get_mut("keys/trixie.asc").unwrap() = RecipeFile::held(b"not a key".to_vec());
    says(&refusal(&archive, &recipe), &["keys/trixie.asc is not an OpenPGP certificate", "help:"]);
    recipe.archives.get_mut("trixie").unwrap().keys.clear();
    says(&refusal(&archive, &recipe), &["no keys are listed"]);
}

#[test]
fn a_suite_past_its_time_unless_the_recipe_says_otherwise() {
    let old = Timestamp(now().0 - 30 * 86_400);
    let archive = first().dated(old).valid_until(Some(Timestamp(old.0 + 86_400)));
    let mut recipe = nginx(&archive);
    says(&refusal(&archive, &recipe), &["expired on", "check-valid-until = false"]);
    recipe.archives.get_mut("trixie").unwrap().check_valid_until = false;
    lock(&[&archive], &recipe).unwrap();
}

#[test]
fn a_suite_older_than_the_locked_one() {
    let new = first();
    let locked = lock(&[&new], &nginx(&new)).unwrap();
    let old = first().dated(Timestamp(new.date.0 - 86_400));
    let error = again(&[&old], &nginx(&old), Some(&locked), &Update::All).unwrap_err();
    assert!(
        matches!(error, ResolveError::RolledBack { locked, offered, .. } if locked == new.date && offered == old.date)
    );
}

#[test]
fn another_suite_in_its_place() {
    let forky = TinyArchive::new("forky");
    let trixie = first();
    let mut world = MemoryWorld::default();
    forky.publish(&mut world);
    let page = world.pages[&forky.url("InRelease")].clone();
    world.pages.insert(trixie.url("InRelease"), page);
    let error = resolved(&world, &NoCache, &nginx(&trixie), (None, &Update::Keep)).unwrap_err().to_string();
    says(&error, &["is for suite forky, not trixie"]);
}

#[test]
fn an_index_that_is_not_the_signed_one() {
    let archive = first();
    let server = Server::start(&[&archive]);
    let files = archive.files();
    let hash = Digest::of(&files["dists/trixie/main/binary-amd64/Packages.xz"]).hex();
    for (fault, words) in [
        (Fault::Flipped, "its SHA-256 does not match the signed one"),
        (Fault::Truncated(20), "20"),
        (Fault::Endless, "more than the"),
        (Fault::Missing, "404"),
        (Fault::Broken, "500"),
    ] {
        server.fault("Packages.xz", fault);
        server.fault(&hash, fault);
        let mut mirrors = Mirrors::default();
        mirrors.add("test", &server.url()).unwrap();
        let context = ResolveContext {
            world: &Unplugged(RealWorld::default()),
            cache: &NoCache,
            mirrors: &mirrors,
            listener: &|_| {},
        };
        let error = resolve(&context, &nginx(&archive), None, &Update::Keep).unwrap_err();
        let ResolveError::Unreachable { tried, .. } = &error else { panic!("{error}") };
        assert_eq!(tried.len(), 4, "the mirror and the snapshot service, by hash and by name: {error}");
        says(&error.to_string(), &[words, "/by-hash/SHA256/", "/Packages.xz", "KILN_MIRROR"]);
    }
    server.heal();
}

/// The real network of this machine, but only loopback: tests do not bother Debian's snapshot service.
struct Unplugged(RealWorld);

impl kiln::world::World for Unplugged {
    fn trust(&self, _: &mut dyn Iterator<Item = String>) {}

    fn read(&self, path: &std::path::Path, limit: u64) -> Result<Vec<u8>, kiln::world::WorldError> {
        self.0.read(path, limit)
    }

    fn stream(&self, path: &std::path::Path, out: &mut dyn std::io::Write) -> Result<u64, kiln::world::WorldError> {
        self.0.stream(path, out)
    }

    fn exists(&self, path: &std::path::Path) -> bool {
        self.0.exists(path)
    }

    fn canonical(&self, path: &std::path::Path) -> Result<std::path::PathBuf, kiln::world::WorldError> {
        self.0.canonical(path)
    }

    fn directory(&self, path: &std::path::Path) -> Result<kiln::world::dir::Dir, kiln::world::WorldError> {
        self.0.directory(path)
    }

    fn list(&self, path: &std::path::Path) -> Result<Vec<std::path::PathBuf>, kiln::world::WorldError> {
        self.0.list(path)
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn get(&self, request: &kiln::world::HttpRequest<'_>) -> Result<kiln::world::Response, kiln::world::WorldError> {
        if request.url.starts_with("http://127.0.0.1:") {
            return self.0.get(request);
        }
        Err(kiln::world::WorldError::Fetch {
            url: request.url.to_owned(),
            reason: "unplugged".to_owned(),
            missing: false,
        })
    }
}

#[test]
fn an_index_larger_than_anything_is_refused_before_it_is_fetched() {
    let archive = first();
    let mut world = MemoryWorld::default();
    archive.publish(&mut world);
    let lines = |size: u64| {
        let digest = Digest::of(b"");
        let date = super::super::archive_support::spelled(archive.date);
        format!(
            "Suite: trixie\nDate: {date}\nComponents: main\nSHA256:\n {digest} {size} main/binary-amd64/Packages.xz\n {digest} {size}0000 main/binary-amd64/Packages\n"
        )
    };
    for size in [9_000_000_000, 60_000_000] {
        let signed = archive.key.sign(&lines(size), archive.date);
        world.pages.insert(archive.url("InRelease"), signed.into_bytes());
        let error = resolved(&world, &NoCache, &nginx(&archive), (None, &Update::Keep)).unwrap_err().to_string();
        says(&error, &["(limit "]);
    }
}

#[test]
fn an_index_that_unpacks_to_more_than_was_signed() {
    let archive = first();
    let bomb = super::super::archive_support::xz(&vec![b'\n'; 1 << 20]);
    let plain = Digest::of(b"a");
    let date = super::super::archive_support::spelled(archive.date);
    let text = format!(
        "Suite: trixie\nDate: {date}\nComponents: main\nSHA256:\n {} {} main/binary-amd64/Packages.xz\n {plain} 1 main/binary-amd64/Packages\n",
        Digest::of(&bomb),
        bomb.len()
    );
    let mut world = MemoryWorld::default();
    archive.publish(&mut world);
    world.pages.insert(archive.url("InRelease"), archive.key.sign(&text, archive.date).into_bytes());
    world.pages.insert(archive.url("main/binary-amd64/Packages.xz"), bomb);
    let error = resolved(&world, &NoCache, &nginx(&archive), (None, &Update::Keep)).unwrap_err().to_string();
    says(&error, &["decompresses to more than the signed size of 1 bytes"]);
}

#[test]
fn a_component_that_the_suite_does_not_have() {
    let archive = first();
    let mut recipe = nginx(&archive);
    recipe.archives.get_mut("trixie").unwrap().components = vec!["contrib".to_owned()];
    says(&refusal(&archive, &recipe), &["contrib/binary-amd64/Packages", "its components are: main"]);
}

#[test]
fn nobody_has_it_and_everybody_is_named() {
    let archive = first();
    let mut world = MemoryWorld { now: now(), ..MemoryWorld::default() };
    world
        .variables
        .insert("KILN_MIRROR".to_owned(), "debian=http://a.mirror.example/d http://b.mirror.example".to_owned());
    let error = resolved(&world, &NoCache, &nginx(&archive), (None, &Update::Keep)).unwrap_err().to_string();
    says(
        &error,
        &[
            "http://a.mirror.example/d/dists/trixie/InRelease",
            "http://b.mirror.example/debian/dists",
            "snapshot",
            "404",
        ],
    );
}

#[test]
fn a_bad_mirror_is_passed_over_for_a_good_one() {
    let archive = first();
    let mut world = MemoryWorld::default();
    archive.publish(&mut world);
    world.variables.insert("KILN_MIRROR".to_owned(), "http://stale.mirror.example http://mirror.example".to_owned());
    let stranger = first().signed_by(&TestKey::new(9));
    let page = stranger.files()["dists/trixie/InRelease"].clone();
    world.pages.insert("http://stale.mirror.example/debian/dists/trixie/InRelease".to_owned(), page);
    resolved(&world, &NoCache, &nginx(&archive), (None, &Update::Keep)).unwrap();
}
