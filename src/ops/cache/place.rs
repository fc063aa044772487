//! Reading a file of a cache, wherever the cache is: bounded in bytes and in time.
//!
//! Input: the name of a file and the most bytes that it may have. Output: the bytes, that there is none, or what is wrong: with
//! the file, or with the place as a whole.

use std::fs::File;
use std::io::Read;

use super::config::{CachePlace, PlaceKind};
use super::pour::{ANSWER_TIMEOUT, PouredSink, poured, too_long};
pub(in crate::ops) use super::pour::{Part, ReadProblem, Reader, Take};
use super::{layout, registry};
use crate::base::Foreign;
use crate::world::dir::Dir;
use crate::world::download::{Downloader, Length};
use crate::world::plain::Odd;
use crate::world::{HttpRequest, Stated};

/// Bytes that are read of a file at a time.
const CHUNK: usize = 128 << 10;

impl Reader<'_> {
    /// A file as a whole.
    pub(in crate::ops) fn small(
        &self,
        place: &CachePlace,
        (part, name): (Part, &str),
        most: u64,
    ) -> Result<Vec<u8>, ReadProblem> {
        let mut bytes = Vec::new();
        let mut take = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        self.pour(place, (part, name), (most, &mut take))?;
        Ok(bytes)
    }

    /// A file piece by piece.
    pub(in crate::ops) fn pour(
        &self,
        place: &CachePlace,
        (part, name): (Part, &str),
        (most, take): (u64, Take<'_>),
    ) -> Result<(), ReadProblem> {
        match &place.kind {
            PlaceKind::Directory(path) => {
                let root = Dir::open_named(path).map_err(|error| ReadProblem::Down(error.to_string()))?;
                let (file, size) = match plain(&root, part, name) {
                    Ok(found) => found,
                    Err(Odd::Missing) => return Err(ReadProblem::Missing),
                    Err(odd) => return Err(ReadProblem::Bad(odd.to_string())),
                };
                if size > most {
                    return Err(too_long(most));
                }
                self.copy(file, (most, take))
            }
            PlaceKind::Web(url) => self.download(&format!("{url}/{}/{name}", part.name()), (most, take)),
            PlaceKind::Layout(directory) => layout::pour(directory, self, (part, name), (most, take)),
            PlaceKind::Registry(repository) => registry::pour(repository, self, (part, name), (most, take)),
        }
    }

    /// The file may grow meanwhile.
    fn copy(&self, file: File, (most, take): (u64, Take<'_>)) -> Result<(), ReadProblem> {
        let mut buffer = vec![0; CHUNK];
        let (mut file, mut read) = (file.take(most.saturating_add(1)), 0);
        loop {
            if (self.stop)() {
                return Err(ReadProblem::Stopped);
            }
            let count = match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ReadProblem::Down(format!("it cannot be read: {error}"))),
            };
            read += count as u64;
            if read > most {
                return Err(too_long(most));
            }
            take(&buffer[..count])?;
        }
    }

    fn download(&self, url: &str, (most, take): (u64, Take<'_>)) -> Result<(), ReadProblem> {
        let downloader = Downloader::new(self.world, self.stop).hasty(ANSWER_TIMEOUT);
        let request = HttpRequest { url, from: 0, stated: Stated::User, authorization: None };
        let mut sink = PouredSink::new(take);
        poured(&mut sink, &mut |sink| downloader.pour(&request, Length::AtMost(most), sink))
    }
}

fn plain(root: &Dir, part: Part, name: &str) -> Result<(File, u64), Odd> {
    let found = root.below(part.name())?.plain(name)?;
    Ok((found.file, found.size))
}

/// What is told of a file that is not what it should be.
pub(in crate::ops) fn told(part: Part, name: &str, why: &str) -> String {
    format!("{}/{}: {}", part.name(), Foreign(name), Foreign(why))
}
