//! Two results with one planted difference: the words name the member, the field or offset, and both values.

use std::io::Write;
use std::path::{Path, PathBuf};

use kiln::format::tar::{Entry, TarPath, TarWriter};
use kiln::share::differ::differences;

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
    tar.append_empty(&Entry::directory(path("etc"), 0o755, 1)).unwrap();
    let size = member.content.len() as u64;
    tar.append(&Entry::file(path("etc/file"), member.mode, member.mtime, size), member.content.as_slice()).unwrap();
    tar.append_empty(&Entry::symlink(path("etc/link"), member.link, 1)).unwrap();
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

    fn said(&self, one: &[u8], two: &[u8]) -> String {
        differences(&self.file("one", one), &self.file("two", two)).join("\n")
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
    short.append_empty(&Entry::directory(TarPath::new("etc").unwrap(), 0o755, 1)).unwrap();
    let said = bench.said(&tar(&member()), &short.finish().unwrap());
    assert_eq!(said, "/etc/file: only the first has it\n/etc/link: only the first has it");
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

#[test]
fn an_initramfs() {
    let bench = Bench::new("cpio");
    let cpio = |mode: u32, content: &str| -> Vec<u8> {
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
    };
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
    let words =
        ["extra: only the first has it", "usr/bin/program: line 1: \"a\" then \"b\"", "usr/link: target a then b"];
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
