//! Two results with one planted difference: the words name the member, the field or offset, and both values.

use std::io::Write;
use std::path::{Path, PathBuf};

use kiln::format::tar::{TarEntry, TarPath, TarWriter};
use kiln::inspect::differ::differences;

use super::archive_support::{gz, xz};

struct Member {
    content: Vec<u8>,
    mode: u32,
    mtime: i64,
    link: &'static str,
}

fn member() -> Member {
    Member {
        content: b"first line\nsecond line\nthird line\n".to_vec(),
        mode: 0o644,
        mtime: 1_000_000_000,
        link: "aim",
    }
}

fn tar(member: &Member) -> Vec<u8> {
    let path = |text: &str| TarPath::new(text).unwrap();
    let mut tar = TarWriter::new(Vec::new());
    tar.append_empty(&TarEntry::directory(path("etc"), 0o755, 1)).unwrap();
    let size = member.content.len() as u64;
    tar.append(&TarEntry::file(path("etc/file"), member.mode, member.mtime, size), member.content.as_slice()).unwrap();
    tar.append_empty(&TarEntry::symlink(path("etc/link"), member.link, 1)).unwrap();
    tar.finish().unwrap()
}

struct Bench(PathBuf);

impl Bench {
    fn new(name: &str) -> Bench {
        Bench(super::store::scratch(&format!("differ-{name}")))
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        std::fs::create_dir_all(&self.0).unwrap();
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn lines(&self, one: &[u8], two: &[u8]) -> Vec<String> {
        differences(&self.file("one", one), &self.file("two", two))
    }

    /// Without advice.
    fn said(&self, one: &[u8], two: &[u8]) -> String {
        let lines = self.lines(one, two);
        lines.into_iter().filter(|line| !line.starts_with("help: ")).collect::<Vec<_>>().join("\n")
    }

    /// The advice.
    fn help(&self, one: &[u8], two: &[u8]) -> String {
        self.lines(one, two).into_iter().filter(|line| line.starts_with("help: ")).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        kiln::world::fs::remove_tree(&self.0).unwrap();
    }
}

#[test]
fn each_field_of_a_tar_member() {
    let bench = Bench::new("tar");
    let one = tar(&member());
    assert_eq!(bench.said(&one, &one), "");
    let cases: [(Member, &str); 4] = [
        (Member { mode: 0o600, ..member() }, "/etc/file: mode 0644 then 0600"),
        (
            Member { mtime: 1_000_000_001, ..member() },
            "/etc/file: mtime 1000000000 (2001-09-09T01:46:40Z) then 1000000001 (2001-09-09T01:46:41Z)",
        ),
        (
            Member { content: b"first line\nsecond linf\nthird line\n".to_vec(), ..member() },
            "/etc/file: line 2: \"second line\" then \"second linf\"",
        ),
        (Member { link: "other", ..member() }, "/etc/link: target aim then other"),
    ];
    for (changed, words) in cases {
        assert_eq!(bench.said(&one, &tar(&changed)), words);
        // Through compression as well.
        assert_eq!(bench.said(&gz(&one), &gz(&tar(&changed))), words);
        assert_eq!(bench.said(&xz(&one), &xz(&tar(&changed))), words);
    }
}

#[test]
fn members_that_only_one_has_and_members_within_members() {
    let bench = Bench::new("members");
    let inner = |member: &Member| {
        let content = gz(&tar(member));
        tar(&Member { content, ..member_named() })
    };
    let said = bench.said(&inner(&member()), &inner(&Member { mode: 0o600, ..member() }));
    assert!(said.contains("/etc/file > /etc/file: mode 0644 then 0600"), "{said}");
    let mut short = TarWriter::new(Vec::new());
    short.append_empty(&TarEntry::directory(TarPath::new("etc").unwrap(), 0o755, 1)).unwrap();
    let said = bench.said(&tar(&member()), &short.finish().unwrap());
    assert_eq!(said, "/etc/file: only in the first\n/etc/link: only in the first");
}

fn member_named() -> Member {
    member()
}

#[test]
fn bytes_by_offset_text_by_line_and_compressors_by_name() {
    let bench = Bench::new("bytes");
    let (mut one, mut two) = (vec![0u8; 100_000], vec![0u8; 100_000]);
    one[70_001..70_004].copy_from_slice(b"abc");
    two[70_001..70_004].copy_from_slice(b"abd");
    let said = bench.said(&one, &two);
    assert!(said.starts_with("offset 70003: 63 00 00") && said.contains("then 64 00"), "{said}");
    let said = bench.said(&one, &one[..99_990]);
    assert!(said.starts_with("offset 99990: 00") && said.ends_with("then the end"), "{said}");
    assert_eq!(bench.said(b"a\nb\n", b"a\nc\n"), "line 2: \"b\" then \"c\"");
    let better = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&b"the same ".repeat(1000)).unwrap();
        encoder.finish().unwrap()
    };
    let said = bench.said(&gz(&b"the same ".repeat(1000)), &better);
    assert_eq!(said, "the same content, compressed differently (Gzip)");
}

/// An initramfs with one file, `init`.
fn cpio(mode: u32, content: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, mode, content) in [("init", mode, content), ("TRAILER!!!", 0, "")] {
        let fields = [1, mode, 0, 0, 1, 7, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        bytes.extend(b"070701");
        fields.iter().for_each(|field| bytes.extend(format!("{field:08x}").bytes()));
        for part in [format!("{name}\0"), content.to_owned()] {
            bytes.extend(part.bytes());
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
    }
    bytes
}

#[test]
fn an_initramfs() {
    let bench = Bench::new("cpio");
    let one = cpio(0o100_755, "echo\n");
    assert_eq!(bench.said(&one, &one), "");
    assert_eq!(bench.said(&one, &cpio(0o100_644, "echo\n")), "init: mode 0755 then 0644");
    assert_eq!(bench.said(&gz(&one), &gz(&cpio(0o100_755, "echa\n"))), "init: line 1: \"echo\" then \"echa\"");
}

#[test]
fn directories() {
    let bench = Bench::new("trees");
    let make = |name: &str, text: &str| -> PathBuf {
        let root = bench.0.join(name);
        std::fs::create_dir_all(root.join("usr/bin")).unwrap();
        std::fs::write(root.join("usr/bin/program"), text).unwrap();
        std::os::unix::fs::symlink(text, root.join("usr/link")).unwrap();
        root
    };
    let (one, two) = (make("one", "a"), make("two", "b"));
    std::fs::write(one.join("extra"), "").unwrap();
    let said = differences(Path::new(&one), Path::new(&two)).join("\n");
    let words = ["extra: only in the first", "usr/bin/program: line 1: \"a\" then \"b\"", "usr/link: target a then b"];
    assert_eq!(said, words.join("\n"));
}

#[test]
fn damaged_archives_are_told_and_harm_nothing() {
    let bench = Bench::new("damaged");
    let one = tar(&member());
    for damage in [&one[..700], &gz(&one)[..60], b"070701zz", &[0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff]] {
        let mut other = damage.to_vec();
        *other.last_mut().unwrap() ^= 1;
        assert!(!bench.said(damage, &other).is_empty(), "{damage:?}");
    }
}

#[test]
fn the_rule_that_would_help() {
    let bench = Bench::new("rules");
    let one = tar(&member());
    let cases: [(&[u8], &[u8], &str); 6] = [
        (&one, &tar(&Member { mtime: 5, ..member() }), "SOURCE_DATE_EPOCH"),
        (&one, &tar(&Member { mode: 0o600, ..member() }), "umask"),
        (b"b\na\n", b"a\nb\n", "sort what is read"),
        (b"made on 2026-11-24\n", b"made on 2026-11-25\n", "SOURCE_DATE_EPOCH"),
        (b"from /home/a/x.c\n", b"from /home/b/x.c\n", "-ffile-prefix-map"),
        (b"version 12\n", b"version 13\n", ""),
    ];
    for (one, two, words) in cases {
        let help = bench.help(one, two);
        assert!(help.contains(words) && help.is_empty() == words.is_empty(), "{words}: {help}");
    }
    let said = bench.said(b"b\na\n", b"a\nb\n");
    assert_eq!(said, "the same lines in another order\nline 1: \"b\" then \"a\"");
}

/// A 64-bit file with a text section, a string section, and a build id.
fn elf(text: &[u8], strings: &[u8], id: u8) -> Vec<u8> {
    let names = b"\0.text\0.rodata\0.note.gnu.build-id\0.shstrtab\0";
    let mut note = b"\x04\0\0\0\x04\0\0\0\x03\0\0\0GNU\0".to_vec();
    note.extend([id; 4]);
    let contents: [(u32, &[u8]); 4] = [(1, text), (7, strings), (15, &note), (34, names)];
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64, 0);
    let mut headers = vec![0; 64];
    for (name, content) in contents {
        let offset = file.len() as u64;
        file.extend(content);
        let mut header = vec![0; 64];
        header[0..4].copy_from_slice(&name.to_le_bytes());
        header[4] = 1;
        header[0x18..0x20].copy_from_slice(&offset.to_le_bytes());
        header[0x20..0x28].copy_from_slice(&(content.len() as u64).to_le_bytes());
        headers.extend(header);
    }
    let table = file.len() as u64;
    file[0x28..0x30].copy_from_slice(&table.to_le_bytes());
    (file[0x3a], file[0x3c], file[0x3e]) = (64, 5, 4);
    file.extend(headers);
    file
}

#[test]
fn sections_of_a_program() {
    let bench = Bench::new("elf");
    let one = elf(b"\x90\x90\xc3", b"built in /a/b\0", 1);
    assert_eq!(bench.said(&one, &one), "");
    let said = bench.said(&one, &elf(b"\x90\x91\xc3", b"built in /a/b\0", 2));
    assert_eq!(
        said,
        ".text, which begins at 0x40: offset 1: 90 c3 (\"..\") then 91 c3 (\"..\")\n.note.gnu.build-id: 01010101 then 02020202"
    );
    assert!(bench.help(&one, &elf(b"\x90\x91\xc3", b"built in /a/b\0", 2)).contains("--build-id=none"));
    let other = elf(b"\x90\x90\xc3", b"built in /a/c\0", 1);
    assert!(bench.said(&one, &other).starts_with(".rodata, which begins at 0x43: offset 12: 62"));
    assert!(bench.help(&one, &other).contains("-ffile-prefix-map"));
    // Headers that lead nowhere are compared as bytes.
    let mut broken = one.clone();
    broken[0x28..0x30].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(bench.said(&one, &broken).starts_with("offset 40: "), "{}", bench.said(&one, &broken));
}

/// One block group of 64 blocks: superblock, descriptors, bitmaps (2, 3), inodes (4, 5), a root directory (6) and a file (7).
fn ext4() -> Vec<u8> {
    const BLOCK: usize = 4096;
    let mut disk = vec![0; 64 * BLOCK];
    let mut put = |at: usize, value: u32| disk[at..at + 4].copy_from_slice(&value.to_le_bytes());
    for (at, value) in [(0, 32), (4, 64), (0x18, 2), (0x20, 32768), (0x28, 32), (0x38, 0xef53), (0x58, 256)] {
        put(1024 + at, value);
    }
    for (at, value) in [(0, 2), (4, 3), (8, 4)] {
        put(BLOCK + at, value);
    }
    // Mode, flags (extents), one extent of one block.
    for (inode, mode, block) in [(2, 0o040_755, 6), (12, 0o100_644, 7)] {
        let at = 4 * BLOCK + (inode - 1) * 256;
        for (field, value) in [(0, mode), (0x20, 0x8_0000), (0x28, 1 << 16 | 0xf30a), (0x38, 1), (0x3c, block)] {
            put(at + field, value);
        }
    }
    // Number, length of the record, length and kind of the name.
    put(6 * BLOCK, 12);
    put(6 * BLOCK + 4, 1 << 24 | 4 << 16 | BLOCK as u32);
    disk[6 * BLOCK + 8..6 * BLOCK + 12].copy_from_slice(b"file");
    disk
}

#[test]
fn fields_and_files_of_a_file_system() {
    let bench = Bench::new("ext4");
    let one = ext4();
    assert_eq!(
        differences(&bench.file("one", &one), &bench.file("two", &one)),
        ["the content of the disk is equal; the image file is laid out differently"]
    );
    let inode = 4 * 4096 + 11 * 256;
    let cases = [
        (
            inode + 0x10,
            "inode 12 (/file): mtime 0 (1970-01-01T00:00:00Z) then 1 (1970-01-01T00:00:01Z)",
            "SOURCE_DATE_EPOCH",
        ),
        (inode + 0x64, "inode 12 (/file): generation 0 then 1", "seed"),
        (inode + 0x2, "inode 12 (/file): uid 0 then 1", "user and group ids"),
        (inode, "inode 12 (/file): mode 0o100644 then 0o100645", "umask"),
        (
            1024 + 0x30,
            "superblock: write time 0 (1970-01-01T00:00:00Z) then 1 (1970-01-01T00:00:01Z)",
            "SOURCE_DATE_EPOCH",
        ),
        (7 * 4096 + 9, "/file: offset 9: 00 00", ""),
        (6 * 4096 + 100, "/: offset 100: 00 00", ""),
        (3 * 4096, "inode bitmap of group 0: offset 12288: 00 00", ""),
        (4096 + 12, "descriptor of block group 0: offset 4108: 00 00", ""),
        (20 * 4096, "block 20: offset 81920: 00 00", ""),
    ];
    let image = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = bench.0.join(name);
        let raw = std::fs::File::open(bench.file("raw", bytes)).unwrap();
        let file = std::fs::File::create(&path).unwrap();
        kiln::format::qcow2::write_qcow2(&raw, file, kiln::format::qcow2::Qcow2Options::default(), &mut |_, _| ())
            .unwrap();
        path
    };
    for (at, words, help) in cases {
        let mut two = one.clone();
        two[at] ^= 1;
        let said = bench.said(&one, &two);
        assert!(said.starts_with(words), "{said}");
        assert!(bench.help(&one, &two).contains(help), "{words}");
        // The same through an image.
        assert_eq!(differences(&image("a.qcow2", &one), &image("b.qcow2", &two)), bench.lines(&one, &two));
    }
    // A file system that lies about itself is told as that.
    for at in [0x18, 0x28, 0x58] {
        let mut broken = one.clone();
        broken[1024 + at..1024 + at + 4].fill(0xff);
        assert!(!bench.said(&broken, &one).is_empty());
    }
}

/// Every kind of file that is opened, as honest as it can be.
fn samples() -> Vec<Vec<u8>> {
    let tar = tar(&member());
    let mut image = Vec::new();
    let bench = Bench::new("samples");
    let raw = std::fs::File::open(bench.file("raw", &ext4())).unwrap();
    let place = bench.file("image", &[]);
    let file = std::fs::File::create(&place).unwrap();
    kiln::format::qcow2::write_qcow2(&raw, file, kiln::format::qcow2::Qcow2Options::default(), &mut |_, _| ()).unwrap();
    image.extend(std::fs::read(&place).unwrap());
    let elf = elf(b"\x90\x90\xc3", b"built in /a/b\0", 1);
    vec![
        gz(&tar),
        xz(&tar),
        zstd::encode_all(tar.as_slice(), 1).unwrap(),
        tar,
        cpio(0o100_644, "text"),
        elf,
        ext4(),
        image,
    ]
}

/// Where bytes that mean something lie in [`samples`], so that not only content is damaged.
fn place(sample: &[u8], at: usize) -> usize {
    let (superblock, descriptors, inodes) = (1024..1024 + 0x160, 4096..4096 + 64, 4 * 4096 + 256..4 * 4096 + 12 * 256);
    let ext4: Vec<usize> = superblock.chain(descriptors).chain(inodes).chain(6 * 4096..6 * 4096 + 32).collect();
    let is_ext4 = sample.len() == 64 * 4096;
    if is_ext4 { ext4[at % ext4.len()] } else { at % sample.len() }
}

/// What hostile numbers look like: one byte, or eight.
fn damage() -> impl proptest::strategy::Strategy<Value = (usize, Vec<u8>)> {
    use proptest::prelude::*;
    let long = prop_oneof![Just(u64::MAX), Just(u64::MAX - 4096), Just(1 << 63), Just(0), any::<u64>()];
    let bytes = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        long.clone().prop_map(|long| long.to_le_bytes().to_vec()),
        long.prop_map(|long| long.to_be_bytes().to_vec()),
        Just(vec![0xff; 2]),
    ];
    (0_usize..1 << 20, bytes)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(512))]

    #[test]
    fn no_damage_makes_the_readers_panic_or_go_on_for_ever(
        kind in 0_usize..8,
        damages in proptest::collection::vec(damage(), 1..4),
        cut in proptest::option::of(0_usize..4096),
    ) {
        static SAMPLES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
        let sample = &SAMPLES.get_or_init(samples)[kind];
        let mut hostile = sample.clone();
        for (at, bytes) in damages {
            let at = place(sample, at);
            let end = hostile.len().min(at + bytes.len());
            hostile[at..end].copy_from_slice(&bytes[..end - at]);
        }
        hostile.truncate(hostile.len() - cut.unwrap_or(0).min(hostile.len()));
        let bench = Bench::new(&format!("hostile-{:?}", std::thread::current().id()));
        // Hostile in both places: names and tables are those of the first.
        let _ = bench.lines(sample, &hostile);
        let _ = bench.lines(&hostile, sample);
        let mut other = hostile.clone();
        if let Some(last) = other.last_mut() {
            *last ^= 1;
        }
        let _ = bench.lines(&hostile, &other);
    }
}

#[test]
fn a_disk_that_says_what_no_disk_is_ends_at_once() {
    let bench = Bench::new("endless");
    let samples = samples();
    let image = samples.last().unwrap();
    let mut endless = image.clone();
    endless[24..32].copy_from_slice(&(1u64 << 62).to_be_bytes());
    // An image that is none is compared as bytes.
    assert!(bench.said(&endless, image).starts_with("offset 24: 40 00"), "{}", bench.said(&endless, image));
    // Descriptors of 64 KiB for each of thousands of groups.
    let mut wide = ext4();
    wide[1024 + 0x60] = 0x80;
    wide[1024 + 0xfe..1024 + 0x100].fill(0xff);
    wide[1024 + 4..1024 + 8].copy_from_slice(&(1u32 << 30).to_le_bytes());
    assert_eq!(bench.said(&wide, &ext4()), "cannot be read: an invalid superblock");
}
