//! From the raw disk to the finished image: compresses one batch while the one before is being written.

use std::io::{Seek, Write};

use super::compress::{Packed, Source};
use super::earlier::EarlierImage;
use super::extents::DataClusters;
use super::header::{self, Geometry};
use super::host::HostFile;
use super::{Qcow2Error, Qcow2Options, RawDisk, Stats};

/// Bytes of disk that are in memory at a time, twice: those being compressed and those being written.
const BATCH: u64 = 8 << 20;

/// Writes `raw` as a qcow2 image to `out`, which must be empty; reports `(bytes done, bytes in all)` now and then.
///
/// The position of a file is moved. Compression runs on the current rayon pool; its size changes no byte.
pub fn write_qcow2<W: Write + Seek + Send>(
    raw: &dyn RawDisk,
    out: W,
    options: Qcow2Options,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Stats, Qcow2Error> {
    write_qcow2_until(raw, out, options, (progress, &|| false))
}

/// The same, with clusters of an earlier image where they are what would be written: it costs less, and changes no byte.
pub fn write_qcow2_like<W: Write + Seek + Send>(
    raw: &dyn RawDisk,
    out: W,
    (options, earlier): (Qcow2Options, Option<&EarlierImage>),
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Stats, Qcow2Error> {
    write(raw, out, (options, earlier), (progress, &|| false))
}

/// The same, until somebody no longer wants the image.
pub fn write_qcow2_until<W: Write + Seek + Send>(
    raw: &dyn RawDisk,
    out: W,
    options: Qcow2Options,
    told: (&mut (dyn FnMut(u64, u64) + Send), &dyn Fn() -> bool),
) -> Result<Stats, Qcow2Error> {
    write(raw, out, (options, None), told)
}

fn write<W: Write + Seek + Send>(
    raw: &dyn RawDisk,
    out: W,
    (options, earlier): (Qcow2Options, Option<&EarlierImage>),
    (progress, stop): (&mut (dyn FnMut(u64, u64) + Send), &dyn Fn() -> bool),
) -> Result<Stats, Qcow2Error> {
    let geometry = Geometry::new(options)?;
    let size = raw.bytes().map_err(Qcow2Error::Read)?;
    let mut image = Image {
        host: HostFile::new(out, geometry),
        l1: vec![0; geometry.l1_entries(size)? as usize],
        l2: Vec::new(),
        l2_index: 0,
        geometry,
        stats: Stats { virtual_size: header::virtual_size(size), ..Stats::default() },
    };
    let source = Source { disk: raw, size, cluster: geometry.cluster() as usize, level: options.level, earlier };
    let mut clusters = DataClusters::new(raw, size, geometry.cluster());
    let batch = (BATCH / geometry.cluster()) as usize;
    let mut packed = source.pack(&clusters.take(batch)?)?;
    while let Some((last, _)) = packed.last() {
        if stop() {
            return Err(Qcow2Error::Interrupted);
        }
        progress((last * geometry.cluster()).min(size), size);
        let next = clusters.take(batch)?;
        let (written, compressed) = rayon::join(|| image.put(packed), || source.pack(&next));
        written?;
        packed = compressed?;
    }
    let stats = image.finish()?;
    progress(size, size);
    Ok(stats)
}

/// An image in the making: the host file and the tables that say where the guest's clusters are.
struct Image<W> {
    host: HostFile<W>,
    l1: Vec<u64>,
    /// The second-level table being filled; empty while nothing was stored under it.
    l2: Vec<u64>,
    l2_index: u64,
    geometry: Geometry,
    stats: Stats,
}

impl<W: Write + Seek> Image<W> {
    fn put(&mut self, clusters: Vec<(u64, Packed)>) -> Result<(), Qcow2Error> {
        for (cluster, packed) in clusters {
            let entries = self.geometry.l2_entries();
            if cluster / entries != self.l2_index {
                self.close_l2()?;
                self.l2_index = cluster / entries;
            }
            let entry = match packed {
                Packed::Zero => continue,
                Packed::Frame(frame) => {
                    self.stats.compressed += 1;
                    self.host.put_frame(&frame)?
                }
                Packed::Plain(bytes) => {
                    self.stats.plain += 1;
                    self.host.put_plain(&bytes)?
                }
            };
            self.l2.resize(entries as usize, 0);
            self.l2[(cluster % entries) as usize] = entry;
        }
        Ok(())
    }

    /// Writes a second-level table as soon as the guest's order has passed it, so that only one is in memory.
    fn close_l2(&mut self) -> Result<(), Qcow2Error> {
        if !self.l2.is_empty() {
            let bytes: Vec<u8> = self.l2.iter().flat_map(|entry| entry.to_be_bytes()).collect();
            self.l1[self.l2_index as usize] = self.host.put_plain(&bytes)?;
            self.l2.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Stats, Qcow2Error> {
        self.close_l2()?;
        let (_, file_size) = self.host.finish(self.stats.virtual_size, &self.l1)?;
        Ok(Stats { file_size, ..self.stats })
    }
}
