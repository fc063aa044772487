//! What a build was made from, as an attestation lists it: every locked input by digest, and by a name that no mirror decides.

use std::collections::BTreeSet;

use super::{Resource, sha256};
use crate::lock::{self, Lock};

/// Every input, each once.
pub(super) fn of(lock: &Lock) -> Vec<Resource> {
    let mut all = Vec::new();
    all.extend(lock.recipe.files.iter().map(|(path, digest)| Resource::named(path, digest)));
    for (name, archive) in &lock.archives {
        all.push(Resource::named(&format!("{name}/InRelease"), &archive.inrelease));
        let indexes = archive.indexes.iter();
        all.extend(indexes.map(|(path, file)| Resource::named(&format!("{name}/{path}"), &file.sha256)));
    }
    let mut packages = BTreeSet::new();
    for package in lock.sets.values().flatten() {
        let name = if package.archive.is_local() { &package.path } else { file_name(&package.path) };
        let archive = lock.archives.get(&package.archive);
        let uri = archive.map(|archive| lock::package_url(package, archive).write());
        packages.insert(Resource { uri, ..Resource::named(name, &package.file.sha256) });
    }
    all.extend(packages);
    for (name, file) in lock.sources.values().flat_map(|source| &source.files) {
        let uri = file.place.public_url().map(str::to_owned);
        all.push(Resource { name: Some(name.clone()), uri, digest: sha256(&file.file.sha256) });
    }
    let mut seen = BTreeSet::new();
    all.retain(|one| seen.insert(one.clone()));
    all
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
