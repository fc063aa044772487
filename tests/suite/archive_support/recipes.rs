//! Recipes made by hand: archives and package sets, nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kiln::base::span::Span;
use kiln::base::{Arch, SourceMap};
use kiln::recipe::archive::Archive;
use kiln::recipe::packages::{Base, PackageRequest, PackageSet};
use kiln::recipe::{Recipe, RecipeFile};

use super::TinyArchive;

fn span() -> Span {
    let file = SourceMap::default().add(PathBuf::from("test.kiln"), String::new());
    Span { file, start: 0, end: 0 }
}

/// `NAME` or `NAME/ARCHIVE` or `NAME=VERSION`.
pub(crate) fn request(words: &str) -> PackageRequest {
    let (rest, version) = words.split_once('=').map_or((words, None), |(name, version)| (name, Some(version)));
    let (name, archive) = rest.split_once('/').map_or((rest, None), |(name, archive)| (name, Some(archive)));
    let owned = |text: Option<&str>| text.map(str::to_owned);
    PackageRequest { name: name.to_owned(), archive: owned(archive), version: owned(version), span: span() }
}

/// A set without base or recommendations.
pub(crate) fn set(name: &str, archives: &[&str], requests: &[&str]) -> PackageSet {
    PackageSet {
        name: name.to_owned(),
        architecture: Arch::Amd64,
        archives: archives.iter().map(|name| (*name).to_owned()).collect(),
        requests: requests.iter().map(|words| request(words)).collect(),
        local: Vec::new(),
        base: Base::None,
        recommends: false,
        exclude: Vec::new(),
        span: span(),
    }
}

/// A recipe called `test` whose archives are signed by their own keys.
pub(crate) fn recipe(archives: &[&TinyArchive], sets: Vec<PackageSet>) -> Recipe {
    let mut files = BTreeMap::new();
    let mut add = |path: String, bytes: Vec<u8>| files.insert(path, RecipeFile::held(bytes));
    add("test.kiln".to_owned(), format!("{sets:?}").into_bytes());
    let archives = archives.iter().map(|archive| {
        let key = format!("keys/{}.asc", archive.suite);
        add(key.clone(), archive.key.certificate());
        let backports = archive.suite.ends_with("-backports");
        let declared = Archive {
            name: archive.name(),
            suite: archive.suite.clone(),
            components: if archive.suite.ends_with('/') { vec![] } else { vec!["main".to_owned()] },
            repository: archive.repository.clone(),
            architecture: archive.architecture,
            keys: vec![key],
            check_valid_until: true,
            priority: if backports { 100 } else { 500 },
            span: span(),
        };
        (archive.name(), declared)
    });
    let archives = archives.collect();
    Recipe {
        name: "test".to_owned(),
        root: PathBuf::from("/recipes"),
        sources: SourceMap::default(),
        files,
        params: BTreeMap::new(),
        epoch: None,
        archives,
        package_sets: sets.into_iter().map(|set| (set.name.clone(), set)).collect(),
        kernels: BTreeMap::new(),
        builds: BTreeMap::new(),
        qemus: BTreeMap::new(),
        images: BTreeMap::new(),
        goals: kiln::recipe::Goals::default(),
        unused: Vec::new(),
        machines: BTreeMap::new(),
        tests: Vec::new(),
    }
}
