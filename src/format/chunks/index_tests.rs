//! Tests of the index of chunks: random edits, mutated indexes, and how much it may grow.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use super::*;
use crate::format::qcow2::write_qcow2;

/// The image of a disk with this content.
fn qcow2(raw: &[u8], cluster_bits: u32) -> Vec<u8> {
    let memory = rustix::fs::memfd_create("kiln-chunks", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut content = File::from(memory);
    content.write_all(raw).unwrap();
    let mut image = io::Cursor::new(Vec::new());
    let options = Qcow2Options { cluster_bits, ..Qcow2Options::default() };
    write_qcow2(&content, &mut image, options, &mut |_, _| {}).unwrap();
    image.into_inner()
}

fn index(image: &[u8]) -> ChunkIndex {
    ChunkIndex::of(&mut Qcow2Reader::new(io::Cursor::new(image)).unwrap(), image.len() as u64).unwrap()
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// Bytes that compress a little, as files do.
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| b'a' + self.below(20) as u8).collect()
    }
}

/// A disk with files and holes.
fn disk(random: &mut Random) -> Vec<u8> {
    let mut disk = Vec::new();
    while disk.len() < 3 << 20 {
        let blocks = 1 + random.below(40);
        disk.extend(if random.below(4) == 0 { vec![0; blocks * BLOCK] } else { random.bytes(blocks * BLOCK) });
    }
    disk
}

/// Something is written over, put in, taken out or moved.
fn edit(disk: &mut Vec<u8>, random: &mut Random) {
    let blocks = disk.len() / BLOCK;
    let (at, count) = (random.below(blocks - 10) * BLOCK, (1 + random.below(9)) * BLOCK);
    match random.below(4) {
        0 => {
            let (from, bytes) = (at + random.below(100), random.bytes(50));
            disk[from..from + 50].copy_from_slice(&bytes);
        }
        1 => _ = disk.splice(at..at, random.bytes(count)),
        2 => _ = disk.drain(at..at + count),
        _ => disk[at..].rotate_left(count),
    }
}

#[test]
fn after_any_edits_old_chunks_and_new_clusters_are_the_new_disk() {
    for seed in 0..6 {
        let (mut random, bits) = (Random(seed), 16 - (seed as u32 % 3) * 2);
        let mut raw = disk(&mut random);
        let old = qcow2(&raw, bits);
        let mut known: BTreeMap<ChunkId, Vec<u8>> = BTreeMap::new();
        let mut reader = Qcow2Reader::new(io::Cursor::new(&old)).unwrap();
        for (at, blocks, id) in index(&old).chunks() {
            let mut bytes = vec![0; blocks as usize * BLOCK];
            reader.read_at(at, &mut bytes).unwrap();
            known.insert(id, bytes);
        }
        (0..1 + seed).for_each(|_| edit(&mut raw, &mut random));
        // The last block of a disk need not be whole.
        raw.truncate(raw.len() - 512 * random.below(8));
        let new = qcow2(&raw, bits);
        let text = index(&new).write();
        let read = ChunkIndex::read(&text, new.len() as u64).unwrap();
        assert_eq!(read, index(&new));
        let mut rebuilt = vec![0; raw.len().next_multiple_of(1 << bits)];
        let mut fetched = 0;
        for (at, blocks, id) in read.chunks() {
            let (from, size) = (at as usize, blocks as usize * BLOCK);
            if let Some(bytes) = known.get(&id) {
                rebuilt[from..from + size].copy_from_slice(bytes);
                continue;
            }
            fetched += size;
            let clusters = at >> bits..=(at + size as u64 - 1) >> bits;
            for cluster in read.clusters.iter().filter(|cluster| clusters.contains(&cluster.number)) {
                let stored = &new[cluster.offset as usize..(cluster.offset + cluster.length) as usize];
                let bytes = cluster.unpack(stored, bits).unwrap();
                let to = (cluster.number << bits) as usize;
                rebuilt[to..to + bytes.len()].copy_from_slice(&bytes);
            }
            assert_eq!(ChunkId::of(&rebuilt[from..from + size]), id);
        }
        assert!(rebuilt[..raw.len()] == raw, "seed {seed}");
        assert!(qcow2(&rebuilt[..raw.len()], bits) == new, "seed {seed}");
        assert!(fetched < raw.len() / 2, "seed {seed}: {fetched} of {}", raw.len());
    }
}

#[test]
fn no_bytes_are_an_index_of_another_disk_or_make_reading_panic() {
    let mut random = Random(7);
    let image = qcow2(&disk(&mut random), 16);
    let (good, size) = (index(&image), image.len() as u64);
    let text = good.write();
    for end in 0..text.len() {
        assert!(ChunkIndex::read(&text[..end], size).is_err(), "{end}");
    }
    assert!(ChunkIndex::read(&[&text[..], b"x"].concat(), size).is_err());
    assert!(ChunkIndex::read(&text, size / 2).is_err(), "clusters behind the end of the image");
    for _ in 0..20_000 {
        let mut changed = text.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(changed.len());
            changed[at] = random.below(256) as u8;
        }
        if let Ok(read) = ChunkIndex::read(&changed, size) {
            assert_eq!(read.extents.iter().map(Extent::blocks).sum::<u64>(), read.size.div_ceil(BLOCK as u64));
            assert!(read.clusters.iter().all(|cluster| cluster.offset + cluster.length <= size));
        }
    }
    // A disk of many times its image.
    let huge = ChunkIndex { size: 64 << 30, extents: Vec::new(), clusters: Vec::new(), ..good };
    let chunk = Extent::Chunk { blocks: 64, id: ChunkId([0; 16]) };
    let huge = ChunkIndex { extents: vec![chunk; (64 << 30) / (64 * BLOCK)], ..huge };
    assert_eq!(
        ChunkIndex::read(&huge.write(), 1 << 20).unwrap_err().to_string(),
        "not an index of chunks: its content is too large for its image"
    );
}
