//! Where inputs come from, who vouches for them, and what came out.

use super::html::{Cell, Html, Section, Table, code, details, paragraph};
use crate::base::{ByteSize, Digest};
use crate::debian::archive::ArchiveRef;
use crate::deliver::manifest::Manifest;
use crate::lock::{Lock, LockedArchive, SourcePlace};

/// What each archive was signed with, down to the digests of its packages.
pub(super) fn inputs(lock: &Lock) -> Section {
    let chain = "A file of keys in the recipe signs the archive's Release file, that names its indexes by SHA-256, and these name each \
                 package by SHA-256. The lock records the outcome; builds compare every byte with it.";
    let archives = lock.archives.iter().map(|(name, archive)| row(lock, name, archive)).collect();
    let archives = Table {
        caption: "Archives, and the keys that signed them".to_owned(),
        columns: &["Archive", "Suite", "Repository", "Dated", "Packages", "Signed by", "SHA-256 of the signed text"],
        rows: archives,
    };
    let mut parts = vec![paragraph(chain), archives.html(), indexes(lock)];
    parts.extend(outside(lock));
    parts.push(files(lock));
    Section { id: "inputs", heading: "Inputs and their chain of trust", parts }
}

fn row(lock: &Lock, name: &ArchiveRef, archive: &LockedArchive) -> Vec<Cell> {
    let packages = lock.sets.values().flatten().filter(|package| package.archive == *name);
    let distinct: std::collections::BTreeSet<_> = packages.map(|package| package.file.sha256).collect();
    let keys: Vec<String> = archive.signed_by.iter().map(|key| code(key).0).collect();
    vec![
        Cell::text(name.to_string()),
        Cell::text(&archive.suite),
        Cell::text(&archive.repository),
        Cell::text(archive.date.to_string()),
        Cell::Number(distinct.len().to_string()),
        Cell::Html(Html(keys.join("<br>"))),
        Cell::Digest(archive.inrelease),
    ]
}

fn indexes(lock: &Lock) -> Html {
    let all = lock.archives.iter().flat_map(|(name, archive)| archive.indexes.iter().map(move |index| (name, index)));
    let rows = all.map(|(name, (path, file))| {
        let size = Cell::Number(ByteSize(file.size).rounded());
        vec![Cell::text(path), Cell::text(name.to_string()), size, Cell::Digest(file.sha256)]
    });
    let caption = "Indexes that the archives' signed texts name".to_owned();
    let table = Table { caption, columns: &["Index", "Archive", "Size", "SHA-256"], rows: rows.collect() };
    details("Indexes", &table.html())
}

/// Inputs that no signature covers.
fn outside(lock: &Lock) -> Option<Html> {
    let local = lock.sets.values().flatten().filter(|package| package.archive.is_local()).count();
    let urls = lock.sources.values().flat_map(|source| source.files.values());
    let urls = urls.filter(|file| matches!(file.place, SourcePlace::Url(_))).count();
    let words = format!(
        "No signature covers {local} packages that are files of the recipe and {urls} files that were fetched by address: the lock pins \
         them by SHA-256 as they were when it was made."
    );
    (local + urls > 0).then(|| paragraph(&words))
}

fn files(lock: &Lock) -> Html {
    let rows = lock.recipe.files.iter().map(|(name, digest)| vec![Cell::text(name), Cell::Digest(*digest)]);
    let caption = "Files of the recipe".to_owned();
    let files = Table { caption, columns: &["File", "SHA-256"], rows: rows.collect() };
    let rows = lock.recipe.params.iter().map(|(name, value)| vec![Cell::text(name), Cell::text(value)]);
    let caption = "Parameters".to_owned();
    let parameters = Table { caption, columns: &["Parameter", "Value"], rows: rows.collect::<Vec<_>>() };
    let parameters = if lock.recipe.params.is_empty() { Html::default() } else { parameters.html() };
    Html(format!("{}{}", details("Files of the recipe", &files.html()).0, parameters.0))
}

/// What a build left, of a directory as it lists that, and the steps that made it.
pub(super) fn outputs(lock: &Lock, manifest: Option<&Manifest>) -> Section {
    let row = |name: &String, size: u64, sha256: Digest| {
        vec![Cell::text(name), Cell::Number(ByteSize(size).rounded()), Cell::Digest(sha256)]
    };
    let rows: Vec<Vec<Cell>> = match manifest {
        Some(manifest) => manifest.artifacts.iter().map(|(name, file)| row(name, file.size, file.sha256)).collect(),
        None => lock.outputs.iter().map(|(name, output)| row(name, output.file.size, output.file.sha256)).collect(),
    };
    let caption = match manifest {
        Some(_) => "Files of the result directory, which were compared with its manifest",
        None => "Artifacts that the lock records: every build must have these",
    };
    let artifacts = match rows.is_empty() {
        true => paragraph("The lock records no artifacts yet: a build adds them."),
        false => Table { caption: caption.to_owned(), columns: &["Artifact", "Size", "SHA-256"], rows }.html(),
    };
    let rows = lock.steps.iter().map(|(name, id)| vec![Cell::text(name), Cell::Digest(*id)]);
    let caption = "Steps: the id is a digest of all that a step reads and does".to_owned();
    let steps = Table { caption, columns: &["Step", "Id"], rows: rows.collect() };
    Section { id: "outputs", heading: "Artifacts", parts: vec![artifacts, details("Build steps", &steps.html())] }
}
