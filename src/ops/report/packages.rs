//! The packages of a lock by size, and the sources that are none.

use super::html::{Cell, Html, Section, Table, details, paragraph};
use crate::base::ByteSize;
use crate::lock::{Lock, LockedPackage, SourcePlace};
use crate::ops::questions::{self, SizedPart};

pub(super) fn section(lock: &Lock) -> Section {
    let size = questions::size(lock);
    let total = format!(
        "All inputs together take {} as they are downloaded, each counted once.",
        ByteSize(size.bytes).rounded()
    );
    let parts = size.parts.iter().filter_map(|part| Some((part, lock.sets.get(&part.name)?)));
    let sets = parts.map(|(part, packages)| set(part, packages));
    let mut parts: Vec<Html> =
        std::iter::once(paragraph(&total)).chain(std::iter::once(overview(&size.parts))).chain(sets).collect();
    parts.extend((!lock.sources.is_empty()).then(|| sources(lock)));
    Section { id: "packages", heading: "Packages by size", parts }
}

fn overview(parts: &[SizedPart]) -> Html {
    let row = |part: &SizedPart| {
        let size = Cell::Number(ByteSize(part.bytes).rounded());
        vec![Cell::text(&part.name), size, Cell::Number(part.files.len().to_string())]
    };
    let caption = "Package sets and sources, largest first".to_owned();
    Table { caption, columns: &["Name", "Size", "Files"], rows: parts.iter().map(row).collect() }.html()
}

fn set(part: &SizedPart, packages: &[LockedPackage]) -> Html {
    let mut packages: Vec<&LockedPackage> = packages.iter().collect();
    packages.sort_by(|a, b| b.file.size.cmp(&a.file.size).then_with(|| a.name.cmp(&b.name)));
    let row = |package: &&LockedPackage| {
        let size = Cell::Number(ByteSize(package.file.size).rounded());
        let archive = if package.archive.is_local() { "the recipe".to_owned() } else { package.archive.to_string() };
        let words = [package.version.clone(), archive, package.why.to_string()].map(Cell::Text);
        let digest = Cell::Digest(package.file.sha256);
        [Cell::text(&package.name), size].into_iter().chain(words).chain([digest]).collect()
    };
    let table = Table {
        caption: format!("Packages of {}, largest first", part.name),
        columns: &["Package", "Size", "Version", "From", "Why", "SHA-256"],
        rows: packages.iter().map(row).collect(),
    };
    let size = ByteSize(part.bytes).rounded();
    details(&format!("{}: {} packages, {size}", part.name, packages.len()), &table.html())
}

fn sources(lock: &Lock) -> Html {
    let files = lock.sources.iter().flat_map(|(name, source)| source.files.iter().map(move |file| (name, file)));
    let row = |(source, (name, file)): (&String, (&String, &crate::lock::LockedSourceFile))| {
        let place = match &file.place {
            SourcePlace::Url(url) => super::address(url),
            SourcePlace::Archive { archive, .. } => archive.to_string(),
        };
        let size = Cell::Number(ByteSize(file.file.size).rounded());
        vec![Cell::text(name), size, Cell::text(source), Cell::Text(place), Cell::Digest(file.file.sha256)]
    };
    let caption = "Sources that are not packages".to_owned();
    Table { caption, columns: &["File", "Size", "For", "From", "SHA-256"], rows: files.map(row).collect() }.html()
}
