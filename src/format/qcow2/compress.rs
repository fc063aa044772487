//! Clusters to zstd frames, on all cores; the result of each depends on its own bytes only.

use rayon::prelude::*;
use zstd::bulk::Compressor;

use super::{Qcow2Error, RawDisk};

/// What becomes of a cluster.
pub(super) enum Packed {
    /// Nothing but zeros: a hole.
    Zero,
    /// One zstd frame, smaller than the cluster.
    Frame(Vec<u8>),
    /// Stored as it is.
    Plain(Vec<u8>),
}

/// Reads clusters and compresses them.
pub(super) struct Source<'a> {
    pub(super) disk: &'a dyn RawDisk,
    pub(super) size: u64,
    pub(super) cluster: usize,
    pub(super) level: i32,
}

/// Clusters that one task handles in a row, so that it makes one zstd context for all of them.
const RUN: usize = 16;

impl Source<'_> {
    /// The given clusters, packed, in the same order.
    pub(super) fn pack(&self, clusters: &[u64]) -> Result<Vec<(u64, Packed)>, Qcow2Error> {
        let runs: Result<Vec<_>, _> = clusters.par_chunks(RUN).map(|run| self.pack_run(run)).collect();
        Ok(runs?.into_iter().flatten().collect())
    }

    fn pack_run(&self, run: &[u64]) -> Result<Vec<(u64, Packed)>, Qcow2Error> {
        let mut compressor = Compressor::new(self.level).map_err(Qcow2Error::Compress)?;
        let zeros = vec![0; self.cluster];
        let mut data = vec![0; self.cluster];
        let mut frame = vec![0; zstd::zstd_safe::compress_bound(self.cluster)];
        let mut packed = Vec::with_capacity(run.len());
        for &cluster in run {
            self.read(cluster, &mut data)?;
            packed.push((cluster, pack_one(&mut compressor, &data, &zeros, &mut frame)?));
        }
        Ok(packed)
    }

    /// A cluster, the last one filled up with zeros.
    fn read(&self, cluster: u64, data: &mut [u8]) -> Result<(), Qcow2Error> {
        let start = cluster * self.cluster as u64;
        let length = (self.size - start).min(self.cluster as u64) as usize;
        data[length..].fill(0);
        self.disk.read_exact_at(&mut data[..length], start).map_err(Qcow2Error::Read)
    }
}

fn pack_one(
    compressor: &mut Compressor<'_>,
    data: &[u8],
    zeros: &[u8],
    frame: &mut [u8],
) -> Result<Packed, Qcow2Error> {
    if data == zeros {
        return Ok(Packed::Zero);
    }
    let length = compressor.compress_to_buffer(data, frame).map_err(Qcow2Error::Compress)?;
    // The same bound as QEMU's: a frame must be at least one byte smaller than the cluster.
    Ok(if length < data.len() { Packed::Frame(frame[..length].to_vec()) } else { Packed::Plain(data.to_vec()) })
}
