//! What a lock keeps although its archives moved on, and where it then says that it is.

use std::collections::BTreeMap;

use kiln::base::Digest;
use kiln::debian::archive::ArchiveRef;
use kiln::debian::solve::Why;
use kiln::lock::resolve::{NoCache, Update};
use kiln::lock::{SourcePlace, satisfies, write};
use kiln::plan::Builder;
use kiln::plan::step::FetchPlace;
use kiln::recipe::Recipe;
use kiln::recipe::kernel::{Compiled, ConfigBase, Kernel, KernelSource, Origin};
use kiln::recipe::packages::source::{DebianPart, DebianSource};
use kiln::world::memory::MemoryWorld;

use super::super::archive_support::{Package, TinyArchive, recipe, request, set};
use super::{again, first, lock, nginx, resolved, second, with_curl};

/// A recipe with a kernel made of the source package `linux` of this archive.
fn with_source(mut recipe: Recipe, archive: &str) -> Recipe {
    let build = recipe.package_sets["web"].clone();
    let span = build.span;
    let compiled = Compiled {
        source: KernelSource::DebianSource(DebianSource {
            request: request("linux"),
            archives: vec![archive.to_owned()],
            part: DebianPart::Whole,
        }),
        source_span: span,
        patches: Vec::new(),
        base: ConfigBase::Target("tinyconfig".to_owned()),
        configs: Vec::new(),
        options: BTreeMap::new(),
        require: BTreeMap::new(),
        build,
        modules: false,
        initrd_modules: Vec::new(),
        btf: false,
    };
    let architecture = kiln::base::Spanned::new(kiln::base::Arch::Amd64, span);
    let origin = Origin::Compiled(Box::new(compiled));
    let kernel = Kernel { name: "k".to_owned(), architecture, span, origin };
    recipe.kernels.insert("k".to_owned(), kernel);
    recipe
}

fn sources(version: &str) -> String {
    let digest = Digest::of(version.as_bytes());
    format!(
        "Package: linux\nVersion: {version}\nDirectory: pool/main/l/linux\nChecksums-Sha256:\n {digest} 9 linux_{version}.dsc\n"
    )
}

#[test]
fn a_source_stays_where_it_was_found_when_its_archive_moves_on() {
    let (mut first, mut second) = (first(), second());
    first.sources = sources("6.12");
    second.sources = sources("6.13");
    let before = lock(&[&first], &with_source(nginx(&first), "trixie")).unwrap();
    let place = |lock: &kiln::lock::Lock| lock.sources["k-source"].files["linux_6.12.dsc"].place.clone();
    let path = "pool/main/l/linux/linux_6.12.dsc".to_owned();
    let current = ArchiveRef::current("trixie");
    assert_eq!(place(&before), SourcePlace::Archive { archive: current, path: path.clone() });
    // Another request makes the archive be read again, and the source is not asked for again.
    let asked = with_source(with_curl(&second), "trixie");
    let after = again(&[&second], &asked, Some(&before), &Update::Keep).unwrap();
    let archive = ArchiveRef::earlier("trixie", first.date);
    assert_eq!(place(&after), SourcePlace::Archive { archive: archive.clone(), path: path.clone() });
    assert_eq!(after.archives[&archive].date, first.date);
    satisfies(&asked, &after).unwrap();
    let mut builder = Builder::new(&after);
    builder.fetch_source("k-source", "linux_6.12.dsc");
    let fetch = builder.plan.fetches.into_values().next().unwrap();
    assert_eq!(fetch.place, FetchPlace::Repository { repository: "debian".to_owned(), path, snapshot: first.date });
    let unplugged = MemoryWorld::default();
    let kept = resolved(&unplugged, &NoCache, &asked, (Some(&after), &Update::Keep)).unwrap();
    assert_eq!(write(&kept), write(&after));
}

#[test]
fn an_archive_may_be_called_like_the_scheme_of_a_url() {
    let mut archive = TinyArchive::new("https").package(Package::new("bash", "1"));
    archive.sources = sources("6.12");
    let asked = with_source(recipe(&[&archive], vec![set("web", &["https"], &["bash"])]), "https");
    let mut lock = lock(&[&archive], &asked).unwrap();
    let url = SourcePlace::Url("https://mirror.example/l.tar".to_owned());
    let mut file = lock.sources["k-source"].files["linux_6.12.dsc"].clone();
    assert_eq!(file.place.archive(), Some(&ArchiveRef::current("https")));
    file.place = url;
    lock.sources.get_mut("k-source").unwrap().files.insert("l.tar".to_owned(), file);
    let lock = kiln::lock::read(&write(&lock)).unwrap();
    let mut builder = Builder::new(&lock);
    builder.fetch_source("k-source", "l.tar");
    let fetch = builder.plan.fetches.into_values().next().unwrap();
    assert_eq!(fetch.place, FetchPlace::Url("https://mirror.example/l.tar".to_owned()));
}

#[test]
fn a_set_that_follows_recommendations_is_kept_even_where_nobody_recommends_anything() {
    let archive = first();
    let follow = |archive: &TinyArchive| {
        let mut set = set("web", &["trixie"], &["nginx"]);
        set.recommends = true;
        recipe(&[archive], vec![set])
    };
    let before = lock(&[&archive], &follow(&archive)).unwrap();
    let kept = resolved(&MemoryWorld::default(), &NoCache, &follow(&archive), (Some(&before), &Update::Keep)).unwrap();
    assert_eq!(write(&kept), write(&before));
    // A recipe that begins to follow them is answered anew.
    let mut more = archive;
    more.packages[0] = more.packages[0].clone().field("Recommends", "curl");
    let plain = lock(&[&more], &nginx(&more)).unwrap();
    let after = again(&[&more], &follow(&more), Some(&plain), &Update::Keep).unwrap();
    let curl = after.sets["web"].iter().find(|package| package.name == "curl").unwrap();
    assert_eq!(curl.why, Why::RecommendationOf("nginx".to_owned()));
}
