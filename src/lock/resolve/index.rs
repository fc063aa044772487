//! The `Packages` of one component: from the cache, or by hash from a mirror, unpacked within its signed size.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};

use super::error::{self, ResolveError};
use super::{Asking, Progress, fetch};
use crate::base::{Arch, Digest, Hasher};
use crate::debian::packages::{Index, IndexBuilder};
use crate::debian::release::{self, MAX_INDEX, Release};
use crate::recipe::archive::Archive;

/// Compressed indexes beyond this are refused; Debian's largest is a sixth of it.
const MAX_COMPRESSED: u64 = 64 << 20;
/// What a decoder may use: the `xz -9` that archives are made with needs 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

/// Digest of a signed file, by path: what the lock remembers.
pub(super) type Files = BTreeMap<String, (u64, Digest)>;

/// A signed file, in the forms in which it can be had.
pub(super) struct Signed {
    /// The path to fetch.
    pub(super) path: String,
    size: u64,
    digest: Digest,
    /// Size and digest of the text inside, where that is signed too.
    plain: Option<(u64, Digest)>,
}

/// The packages of a component, with those for all architectures where an archive lists them apart; without a component
/// those of a flat repository.
pub(super) fn component(
    context: &Asking<'_>,
    archive: &Archive,
    release: &Release,
    component: Option<&str>,
    files: &mut Files,
) -> Result<Index, ResolveError> {
    let wanted = match component {
        None => vec!["Packages".to_owned()],
        Some(component) => {
            let all = (!release.all_is_included).then(|| format!("{component}/binary-all/Packages"));
            [format!("{component}/binary-{}/Packages", archive.architecture)].into_iter().chain(all).collect()
        }
    };
    let mut signed = Vec::new();
    for path in &wanted {
        match find(release, path) {
            Some(found) => signed.push(found),
            None if path != &wanted[0] => {}
            None => {
                let components = release.components.join(", ");
                return Err(ResolveError::NoIndex { archive: archive.name.clone(), index: path.clone(), components });
            }
        }
    }
    files.extend(signed.iter().map(|found| (found.path.clone(), (found.size, found.digest))));
    let key = key(archive.architecture, &signed);
    if let Some(index) = context.cache.get(&key).and_then(Index::from_bytes) {
        return Ok(index);
    }
    let mut builder = IndexBuilder::default();
    for found in &signed {
        let bytes = bytes(context, archive, release, found)?;
        unpack(archive, found, &bytes, &mut |text| {
            builder
                .read(text, archive.architecture.facts().debian)
                .map_err(|wrong| error::index(&archive.name, &found.path, &wrong))
        })?;
    }
    let index = builder.finish();
    context.cache.put(&key, index.bytes());
    Ok(index)
}

/// The smallest form of a file that the signed text lists.
pub(super) fn find(release: &Release, path: &str) -> Option<Signed> {
    let plain = release.files.get(path).copied();
    ["xz", "gz", ""].into_iter().find_map(|end| {
        let path = if end.is_empty() { path.to_owned() } else { format!("{path}.{end}") };
        let (size, digest) = *release.files.get(&path)?;
        Some(Signed { path, size, digest, plain })
    })
}

/// What a boiled-down index is kept under: the digests it was made from. The layout has its own mark inside.
fn key(architecture: Arch, signed: &[Signed]) -> Digest {
    let mut text = format!("kiln index of {architecture}\n");
    signed.iter().for_each(|found| text.push_str(&format!("{}\n", found.digest)));
    Digest::of(text.as_bytes())
}

/// The file as it is on the mirrors: by hash where the archive has that, then by its name.
pub(super) fn bytes(
    context: &Asking<'_>,
    archive: &Archive,
    release: &Release,
    found: &Signed,
) -> Result<Vec<u8>, ResolveError> {
    let too_large = |size: u64, limit: u64| ResolveError::Index {
        archive: archive.name.clone(),
        path: found.path.clone(),
        reason: format!("the signed size is {size} bytes (limit {limit})"),
    };
    if found.size > MAX_COMPRESSED {
        return Err(too_large(found.size, MAX_COMPRESSED));
    }
    if let Some((size, _)) = found.plain.filter(|(size, _)| *size > MAX_INDEX) {
        return Err(too_large(size, MAX_INDEX));
    }
    let label = format!("{} {}", archive.name, found.path);
    context.report(Progress::Download { label: label.clone(), bytes: found.size });
    let hashed = release::by_hash(&found.path, &found.digest);
    let paths = if release.by_hash { vec![hashed, found.path.clone()] } else { vec![found.path.clone()] };
    let urls: Vec<Vec<String>> = paths.iter().map(|path| fetch::urls(context, archive, path)).collect();
    // Each mirror is asked both ways before the next one is.
    let count = urls[0].len();
    let urls =
        (0..count).flat_map(|mirror| urls.iter().map(move |by_path| by_path[mirror].clone())).collect::<Vec<_>>();
    fetch::exact(context, urls, found.size, &found.digest)
        .map_err(|tried| ResolveError::Unreachable { what: label, tried })
}

/// Hands the text of a file to a reader and checks that it was the signed one, to the last byte.
pub(super) fn unpack(
    archive: &Archive,
    found: &Signed,
    bytes: &[u8],
    read: &mut dyn FnMut(&mut dyn std::io::BufRead) -> Result<(), ResolveError>,
) -> Result<(), ResolveError> {
    let wrong =
        |reason: String| ResolveError::Index { archive: archive.name.clone(), path: found.path.clone(), reason };
    let limit = found.plain.map_or(MAX_INDEX, |(size, _)| size);
    let plain: Box<dyn Read + '_> = match found.path.rsplit('.').next() {
        Some("xz") => {
            let decoder = xz2::stream::Stream::new_stream_decoder(XZ_MEMORY, xz2::stream::CONCATENATED);
            Box::new(xz2::read::XzDecoder::new_stream(bytes, decoder.map_err(|error| wrong(error.to_string()))?))
        }
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        _ => Box::new(bytes),
    };
    let mut text =
        BufReader::with_capacity(1 << 16, Checked { inner: plain, hasher: Hasher::new(std::io::sink()), limit });
    read(&mut text)?;
    let mut checked = text.into_inner();
    std::io::copy(&mut checked, &mut std::io::sink()).map_err(|error| wrong(error.to_string()))?;
    let (_, digest, size) = checked.hasher.finish();
    match found.plain {
        Some(signed) if signed != (size, digest) => Err(wrong("its text does not match the signed digest".to_owned())),
        _ => Ok(()),
    }
}

/// Counts and hashes what is read, and stops a decoder that gives more than was signed.
struct Checked<'a> {
    inner: Box<dyn Read + 'a>,
    hasher: Hasher<std::io::Sink>,
    limit: u64,
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        std::io::Write::write_all(&mut self.hasher, &buffer[..read])?;
        if self.hasher.count() > self.limit {
            return Err(std::io::Error::other(format!(
                "decompresses to more than the signed size of {} bytes",
                self.limit
            )));
        }
        Ok(read)
    }
}
