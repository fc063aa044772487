//! Clusters to zstd frames, on all cores; the result of each depends on its own bytes only.

use std::io;

use rayon::prelude::*;
use zstd::bulk::{Compressor, Decompressor};

use super::earlier::{EarlierImage, Found};
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
    /// What clusters of the same content are taken from.
    pub(super) earlier: Option<&'a EarlierImage>,
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
        let mut packer = Packer::new(self)?;
        let mut data = vec![0; self.cluster];
        let mut packed = Vec::with_capacity(run.len());
        for &cluster in run {
            self.read(cluster, &mut data)?;
            packed.push((cluster, packer.pack(cluster, &data)?));
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

/// What a task needs for its clusters, made when it is needed first.
struct Packer<'a> {
    level: i32,
    zeros: Vec<u8>,
    compressor: Option<(Compressor<'static>, Vec<u8>)>,
    earlier: Option<(&'a EarlierImage, (Decompressor<'static>, Vec<u8>))>,
}

impl<'a> Packer<'a> {
    fn new(source: &Source<'a>) -> Result<Packer<'a>, Qcow2Error> {
        let unpack = |earlier| Ok((earlier, (Decompressor::new()?, Vec::new())));
        let earlier = source.earlier.map(unpack).transpose().map_err(Qcow2Error::Compress)?;
        Ok(Packer { level: source.level, zeros: vec![0; source.cluster], compressor: None, earlier })
    }

    fn pack(&mut self, cluster: u64, data: &[u8]) -> Result<Packed, Qcow2Error> {
        if *data == self.zeros[..] {
            return Ok(Packed::Zero);
        }
        match self.earlier.as_mut().and_then(|(earlier, unpack)| earlier.find(cluster, data, unpack)) {
            Some(Found::Frame(frame)) => Ok(Packed::Frame(frame)),
            Some(Found::Plain) => Ok(Packed::Plain(data.to_vec())),
            None => self.compress(data).map_err(Qcow2Error::Compress),
        }
    }

    fn compress(&mut self, data: &[u8]) -> io::Result<Packed> {
        if self.compressor.is_none() {
            let frame = vec![0; zstd::zstd_safe::compress_bound(data.len())];
            self.compressor = Some((Compressor::new(self.level)?, frame));
        }
        let (compressor, frame) = self.compressor.as_mut().expect("it was made just now");
        let length = compressor.compress_to_buffer(data, &mut frame[..])?;
        // The same bound as QEMU's: a frame must be at least one byte smaller than the cluster.
        Ok(if length < data.len() { Packed::Frame(frame[..length].to_vec()) } else { Packed::Plain(data.to_vec()) })
    }
}
