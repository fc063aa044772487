//! Which clusters of a disk may hold data, without reading its holes.

use std::ops::Range;

use super::{Qcow2Error, RawDisk};

/// Numbers of clusters that overlap data, in order, each once.
pub(super) struct DataClusters<'a> {
    disk: &'a dyn RawDisk,
    size: u64,
    cluster: u64,
    ready: Range<u64>,
}

impl<'a> DataClusters<'a> {
    pub(super) fn new(disk: &'a dyn RawDisk, size: u64, cluster: u64) -> Self {
        DataClusters { disk, size, cluster, ready: 0..0 }
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

    /// Finds the next stretch of data.
    fn refill(&mut self) -> Result<bool, Qcow2Error> {
        let found = self.disk.next_data(self.ready.end * self.cluster, self.size).map_err(Qcow2Error::Read)?;
        let Some(data) = found else { return Ok(false) };
        self.ready = data.start / self.cluster..data.end.div_ceil(self.cluster);
        Ok(true)
    }
}
