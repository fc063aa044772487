//! Images read back by a second, naive implementation of the format; QEMU judges them when KILN_LIVE=1.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiln::format::qcow2::{Qcow2Error, Qcow2Options, Stats, write_qcow2};
use proptest::prelude::*;

/// A scratch directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("kiln-qcow2-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes that zstd cannot shrink (a linear congruence), from `seed`.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn raw(path: &Path, size: u64, pieces: &[(u64, Vec<u8>)]) -> File {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    file.set_len(size).unwrap();
    for (offset, bytes) in pieces {
        file.write_all_at(bytes, *offset).unwrap();
    }
    file
}

fn write(raw: &File, image: &Path, options: Qcow2Options) -> Stats {
    let mut last = 0;
    let size = raw.metadata().unwrap().len();
    let stats = write_qcow2(raw, File::create(image).unwrap(), options, &mut |done, total| {
        assert!(done >= last && done <= total && total == size);
        last = done;
    });
    assert_eq!(last, size);
    stats.unwrap()
}

/// A reader that follows the published description: every reference is counted and compared with the refcounts.
struct Image {
    file: File,
    cluster: u64,
    size: u64,
    counted: Vec<u16>,
}

impl Image {
    fn open(path: &Path) -> Image {
        let file = File::open(path).unwrap();
        let cluster = 1 << word(&file, 20);
        let clusters = file.metadata().unwrap().len();
        assert_eq!(clusters % cluster, 0);
        assert_eq!((word(&file, 0), word(&file, 4)), (0x5146_49fb, 3));
        assert_eq!((long(&file, 8), long(&file, 72), word(&file, 96), word(&file, 100)), (0, 8, 4, 112));
        let size = long(&file, 24);
        Image { cluster, size, counted: vec![0; (clusters / cluster) as usize], file }
    }

    fn refer(&mut self, offset: u64, length: u64) {
        for cluster in offset / self.cluster..(offset + length).div_ceil(self.cluster) {
            self.counted[cluster as usize] += 1;
        }
    }

    /// All guest clusters that are not holes.
    fn clusters(&mut self) -> Vec<(u64, Vec<u8>)> {
        let (l1_size, l1) = (u64::from(word(&self.file, 36)), long(&self.file, 40));
        self.refer(0, self.cluster);
        self.refer(l1, l1_size * 8);
        let mut found = Vec::new();
        for index in 0..l1_size {
            let entry = long(&self.file, l1 + index * 8);
            if entry == 0 {
                continue;
            }
            assert_eq!(entry >> 63, 1, "a table that is referred to once");
            let l2 = entry & !(1 << 63);
            self.refer(l2, self.cluster);
            for slot in 0..self.cluster / 8 {
                let entry = long(&self.file, l2 + slot * 8);
                if entry != 0 {
                    let bytes = self.cluster_bytes(entry);
                    found.push((index * self.cluster / 8 + slot, bytes));
                }
            }
        }
        found
    }

    fn cluster_bytes(&mut self, entry: u64) -> Vec<u8> {
        let mut bytes = vec![0; self.cluster as usize];
        if entry >> 62 & 1 == 0 {
            assert_eq!(entry >> 63, 1);
            self.refer(entry & !(1 << 63), self.cluster);
            self.file.read_exact_at(&mut bytes, entry & !(1 << 63)).unwrap();
            return bytes;
        }
        let shift = 62 - (self.cluster.trailing_zeros() - 8);
        let offset = entry & ((1 << shift) - 1);
        let length = (((entry & !(1 << 62)) >> shift) + 1) * 512 - offset % 512;
        self.refer(offset, length);
        let mut frame = vec![0; length as usize];
        self.file.read_exact_at(&mut frame, offset).unwrap();
        let size = zstd::zstd_safe::find_frame_compressed_size(&frame).unwrap();
        assert_eq!(zstd::bulk::decompress_to_buffer(&frame[..size], &mut bytes).unwrap(), bytes.len());
        bytes
    }

    fn check_refcounts(mut self) {
        let (table, clusters) = (long(&self.file, 48), u64::from(word(&self.file, 56)));
        self.refer(table, clusters * self.cluster);
        let blocks = self.counted.len() as u64;
        let blocks: Vec<u64> = (0..clusters * self.cluster / 8)
            .map(|index| long(&self.file, table + index * 8))
            .take_while(|offset| *offset != 0)
            .take(blocks as usize)
            .collect();
        for block in &blocks {
            self.refer(*block, self.cluster);
        }
        let mut stated = Vec::new();
        for block in &blocks {
            let mut bytes = vec![0; self.cluster as usize];
            self.file.read_exact_at(&mut bytes, *block).unwrap();
            stated.extend(bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])));
        }
        assert_eq!(stated[..self.counted.len()], self.counted, "stated refcounts against references");
        assert!(stated[self.counted.len()..].iter().all(|count| *count == 0));
    }
}

fn long(file: &File, offset: u64) -> u64 {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, offset).unwrap();
    u64::from_be_bytes(bytes)
}

fn word(file: &File, offset: u64) -> u32 {
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, offset).unwrap();
    u32::from_be_bytes(bytes)
}

/// Writes, reads back by the naive reader, and has QEMU judge when live.
fn round_trip(scratch: &Scratch, size: u64, pieces: &[(u64, Vec<u8>)], options: Qcow2Options) -> Stats {
    let (disk, image) = (scratch.path("disk.raw"), scratch.path("disk.qcow2"));
    let file = raw(&disk, size, pieces);
    let stats = write(&file, &image, options);
    let mut read = Image::open(&image);
    assert_eq!((read.size, read.size), (stats.virtual_size, size.next_multiple_of(512)));
    let clusters = read.clusters();
    assert_eq!(clusters.len() as u64, stats.compressed + stats.plain);
    let mut holes_from = 0;
    for (index, bytes) in &clusters {
        let start = index * read.cluster;
        assert_eq!(&guest(pieces, start, bytes.len()), bytes, "cluster {index}");
        assert!(pieces_are_zero(pieces, holes_from, start));
        holes_from = start + read.cluster;
    }
    assert!(pieces_are_zero(pieces, holes_from, u64::MAX));
    read.check_refcounts();
    judge(&disk, &image);
    stats
}

fn guest(pieces: &[(u64, Vec<u8>)], start: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for (offset, piece) in pieces {
        let (from, to) = (start.max(*offset), (start + length as u64).min(*offset + piece.len() as u64));
        if from < to {
            let part = &piece[(from - offset) as usize..(to - offset) as usize];
            bytes[(from - start) as usize..(to - start) as usize].copy_from_slice(part);
        }
    }
    bytes
}

fn pieces_are_zero(pieces: &[(u64, Vec<u8>)], from: u64, to: u64) -> bool {
    pieces.iter().enumerate().all(|(index, (offset, piece))| {
        // What a later piece lies over is not there any more.
        let later = &pieces[index + 1..];
        let covered =
            |place: u64| later.iter().any(|(offset, piece)| (*offset..*offset + piece.len() as u64).contains(&place));
        let (from, to) = (from.max(*offset), to.min(*offset + piece.len() as u64));
        (from..to).all(|place| piece[(place - offset) as usize] == 0 || covered(place))
    })
}

fn judge(disk: &Path, image: &Path) {
    if std::env::var_os("KILN_LIVE").is_none() {
        return;
    }
    let qemu = |arguments: &[&str], files: &[&Path]| {
        let output = Command::new("qemu-img").args(arguments).args(files).output().unwrap();
        assert!(output.status.success(), "qemu-img {arguments:?}: {output:?}");
    };
    qemu(&["check", "-f", "qcow2"], &[image]);
    qemu(&["compare", "-f", "raw", "-F", "qcow2"], &[disk, image]);
}

const SMALL: Qcow2Options = Qcow2Options { cluster_bits: 12, level: 3 };
const QEMU: Qcow2Options = Qcow2Options { cluster_bits: 16, level: 3 };

#[test]
fn options_out_of_range_are_refused() {
    let raw = File::open("/dev/null").unwrap();
    for (cluster_bits, level) in [(11, 3), (19, 3), (16, 0), (16, 4)] {
        let options = Qcow2Options { cluster_bits, level };
        let result = write_qcow2(&raw, std::io::Cursor::new(Vec::new()), options, &mut |_, _| {});
        assert!(matches!(result, Err(Qcow2Error::Options(_))), "{options:?}");
    }
}

#[test]
fn sizes_at_and_beside_a_cluster_boundary() {
    let scratch = Scratch::new("sizes");
    for size in [0, 1, 511, 512, 1000, 65_535, 65_536, 65_537, 131_072 + 513] {
        let text = b"kiln ".repeat(size as usize / 5 + 1)[..size as usize].to_vec();
        let stats = round_trip(&scratch, size, &[(0, text)], QEMU);
        assert_eq!((stats.compressed, stats.plain), (size.div_ceil(65_536), 0));
    }
}

#[test]
fn frames_and_plain_clusters_mix() {
    let scratch = Scratch::new("mix");
    let pieces: Vec<(u64, Vec<u8>)> = (0..40)
        .map(|index| {
            let length = if index % 3 == 0 { 65_536 } else { 3_000 * (index as usize % 7 + 1) };
            (index * 131_072, noise(length, index))
        })
        .collect();
    let stats = round_trip(&scratch, 8 << 20, &pieces, QEMU);
    assert!(stats.plain > 3 && stats.compressed > 20, "{stats:?}");
}

#[test]
fn zeros_that_are_not_holes_are_left_out() {
    let scratch = Scratch::new("zeros");
    let stats = round_trip(&scratch, 1 << 20, &[(0, vec![0; 1 << 20]), (300_000, vec![7])], QEMU);
    assert_eq!((stats.compressed, stats.plain), (1, 0));
    let sparse = std::fs::read(scratch.path("disk.qcow2")).unwrap();
    round_trip(&scratch, 1 << 20, &[(300_000, vec![7])], QEMU);
    assert_eq!(std::fs::read(scratch.path("disk.qcow2")).unwrap(), sparse, "holes of the raw file change no byte");
}

#[test]
fn more_than_one_refcount_block_and_table() {
    let scratch = Scratch::new("refcounts");
    // 2048 refcounts per 4 KiB block: 12 MiB of noise need two blocks and six second-level tables.
    let stats = round_trip(&scratch, 13 << 20, &[(4096, noise(12 << 20, 1))], SMALL);
    assert!(stats.file_size > 2048 * 4096, "{stats:?}");
}

#[test]
fn a_sparse_terabyte_stays_small_and_quick() {
    let scratch = Scratch::new("sparse");
    let pieces = [(0, noise(100_000, 2)), ((1 << 40) - 5_000, b"end".repeat(1000))];
    let stats = round_trip(&scratch, 1 << 40, &pieces, QEMU);
    assert!(stats.file_size < 1 << 20, "{stats:?}");
}

#[test]
fn ten_repeats_on_one_to_four_threads_are_equal() {
    let scratch = Scratch::new("repeat");
    let pieces: Vec<(u64, Vec<u8>)> =
        (0..60).map(|index| (index * 200_000, [noise(4000, index), b"text".repeat(30_000)].concat())).collect();
    let file = raw(&scratch.path("disk.raw"), 16 << 20, &pieces);
    let images: Vec<Vec<u8>> = (0..10)
        .map(|round| {
            let image = scratch.path("disk.qcow2");
            let pool = rayon::ThreadPoolBuilder::new().num_threads(round % 4 + 1).build().unwrap();
            pool.install(|| write(&file, &image, QEMU));
            std::fs::read(&image).unwrap()
        })
        .collect();
    assert!(images.iter().all(|image| *image == images[0]));
}

/// The writer reuses a zstd context for several clusters; that must not show.
#[test]
fn a_frame_depends_on_its_own_cluster_only() {
    let contents: Vec<Vec<u8>> = (0..200u64)
        .map(|index| {
            let mut bytes = format!("cluster {index} ").repeat(6_000).into_bytes();
            bytes.truncate(65_536 - 1_000 * (index as usize % 9));
            bytes.extend(noise(65_536 - bytes.len(), index));
            bytes
        })
        .collect();
    for level in 1..=3 {
        let mut reused = zstd::bulk::Compressor::new(level).unwrap();
        for content in &contents {
            let fresh = zstd::bulk::Compressor::new(level).unwrap().compress(content).unwrap();
            assert_eq!(reused.compress(content).unwrap(), fresh);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_disk_reads_back(
        size in 0_u64..300_000,
        parts in prop::collection::vec((0_u64..300_000, 0_usize..20_000, any::<u64>(), any::<bool>()), 0..8),
    ) {
        let scratch = Scratch::new("any");
        let pieces: Vec<(u64, Vec<u8>)> = parts
            .into_iter()
            .filter(|(offset, ..)| *offset < size)
            .map(|(offset, length, seed, random)| {
                let length = length.min((size - offset) as usize);
                (offset, if random { noise(length, seed) } else { vec![seed as u8; length] })
            })
            .collect();
        round_trip(&scratch, size, &pieces, SMALL);
    }
}
