//! Which clusters of a sparse file may hold data, without reading its holes.

use std::fs::File;
use std::ops::Range;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::Qcow2Error;

/// Numbers of clusters that overlap data, in order, each once.
pub(super) struct DataClusters<'a> {
    file: &'a File,
    size: u64,
    cluster: u64,
    ready: Range<u64>,
}

impl<'a> DataClusters<'a> {
    pub(super) fn new(file: &'a File, size: u64, cluster: u64) -> Self {
        DataClusters { file, size, cluster, ready: 0..0 }
    }

    /// Up to `count` further clusters; none when there is no more data.
    pub(super) fn take(&mut self, count: usize) -> Result<Vec<u64>, Qcow2Error> {
        let mut clusters = Vec::with_capacity(count);
        while clusters.len() < count {
            match self.ready.next() {
                Some(cluster) => clusters.push(cluster),
                None if self.refill()? => {}
                None => break,
            }
        }
        Ok(clusters)
    }

    /// Finds the next stretch of data; a file system that knows no holes says that everything is data.
    fn refill(&mut self) -> Result<bool, Qcow2Error> {
        let from = self.ready.end * self.cluster;
        if from >= self.size {
            return Ok(false);
        }
        let start = match seek(self.file, SeekFrom::Data(from)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(false),
            Err(error) => return Err(Qcow2Error::Read(error.into())),
        };
        // The file may have grown or shrunk since its size was taken: stay within what was promised.
        if start >= self.size {
            return Ok(false);
        }
        let end = seek(self.file, SeekFrom::Hole(start)).map_err(|error| Qcow2Error::Read(error.into()))?;
        let end = end.min(self.size).div_ceil(self.cluster);
        self.ready = start / self.cluster..end;
        Ok(!self.ready.is_empty())
    }
}
