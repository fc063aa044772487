//! Kernels, modules, configurations and firmware that a hostile build could leave.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use super::*;
use crate::base::{Arch, Timestamp};
use crate::exec::event::IgnoreSteps;
use crate::exec::failure::Fault;
use crate::plan::kernel::CONFIG;
use crate::plan::kernel::needs::MachineNeed;
use crate::plan::ready::{CODE, MODULES_TAR, VARIABLES};

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let place = Place(std::env::temp_dir().join(format!("kiln-ready-{name}-{}", std::process::id())));
        let _ = fs::remove_tree(&place.0);
        for part in ["in", "out", "scratch"] {
            fs::create_dir_all(&place.0.join(part)).unwrap();
        }
        place
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write_atomically(&self.0.join("in").join(name), bytes).unwrap();
    }

    /// What the step leaves, or which output it rejects and why.
    fn run(&self, step: fn(&BuiltinContext<'_>) -> Result<(), BuiltinError>) -> Result<(), (Vec<Statement>, String)> {
        for part in ["out", "scratch"] {
            fs::remove_tree(&self.0.join(part)).unwrap();
            fs::create_dir_all(&self.0.join(part)).unwrap();
        }
        let named = std::fs::read_dir(self.0.join("in")).unwrap().map(|entry| entry.unwrap().path());
        let inputs: BTreeMap<String, PathBuf> =
            named.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path)).collect();
        let context = BuiltinContext {
            step: "kernel k",
            inputs: &inputs,
            out: &self.0.join("out"),
            scratch: &self.0.join("scratch"),
            variation: None,
            without_stand_ins: false,
            earlier: None,
            limits: crate::exec::sandbox::Limits::default(),
            listener: &IgnoreSteps,
        };
        step(&context).map_err(|error| {
            let failure = StepFailure::from(error);
            assert_eq!(failure.fault, Fault::Recipe, "{failure}");
            (failure.about.clone(), failure.to_string())
        })
    }

    fn rejected(&self, step: fn(&BuiltinContext<'_>) -> Result<(), BuiltinError>, which: ReadyFile, word: &str) {
        let (about, message) = self.run(step).unwrap_err();
        assert!(about.contains(&Statement::Ready(which)), "{about:?}: {message}");
        assert!(message.contains(word), "{message} (should have: {word})");
    }

    fn out(&self, name: &str) -> Vec<u8> {
        fs::read(&self.0.join("out").join(name), 1 << 24).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_tree(&self.0);
    }
}

fn need(option: &str) -> MachineNeed {
    MachineNeed { machine: "m".to_owned(), option: option.to_owned(), purpose: "for tests".to_owned() }
}

/// A kernel of Linux 6.12.1 whose machines need these options.
fn kernel_place(name: &str, needs: &[&str]) -> Place {
    let place = Place::new(name);
    let needs = needs.iter().map(|option| need(option)).collect();
    let spec = ReadyKernel { architecture: Arch::Amd64, epoch: Timestamp(1_000_000), needs, requests: Vec::new() };
    place.put(SPEC, &serde_json::to_vec(&spec).unwrap());
    place.put(IMAGE, &linux::tests::bzimage("6.12.1-own (a@b)"));
    place
}

/// Of an entry its path, its type, and its content or the target of a link.
type Entry<'a> = (&'a str, u8, &'a str);

/// An archive as anybody may write one.
fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, kind, text) in entries {
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkflag = [*kind];
        let is_link = matches!(kind, b'1' | b'2');
        if is_link {
            old.linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        let content = if is_link { "" } else { text };
        header.set_size(content.len() as u64);
        header.set_mode(0o4777);
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_mtime(77);
        header.set_cksum();
        bytes.write_all(header.as_bytes()).unwrap();
        bytes.write_all(content.as_bytes()).unwrap();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

const A: &str = "lib/modules/6.12.1-own/kernel/a.ko";

#[test]
fn modules_are_taken_for_their_contents_alone() {
    let place = kernel_place("modules", &[]);
    place.put(
        MODULES,
        &archive(&[
            ("./", b'5', ""),
            ("./lib/", b'5', ""),
            ("lib/modules/6.12.1-own/build", b'2', "/usr/src/linux"),
            ("lib/modules/6.12.1-own/modules.dep", b'0', "kernel/a.ko:"),
            ("lib/modules/6.12.1-own/modules.order", b'0', "kernel/a.ko"),
            (A, b'0', "code"),
            ("lib/modules/6.12.1-own/kernel/modules.dep", b'0', "kept"),
        ]),
    );
    place.run(kernel).unwrap();
    assert_eq!(place.out(VMLINUZ), linux::tests::bzimage("6.12.1-own (a@b)"));
    let mut reader = crate::format::tar::TarReader::new(std::io::Cursor::new(place.out(MODULES_TAR)));
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!((entry.uid, entry.mtime), (0, 1_000_000));
        assert_eq!(entry.mode, if entry.is_directory() { 0o755 } else { 0o644 }, "{}", entry.path);
        found.push(format!("{} {text}", entry.path));
    }
    let top = "/usr/lib/modules/6.12.1-own";
    let expected = [
        "/usr ".to_owned(),
        "/usr/lib ".to_owned(),
        "/usr/lib/modules ".to_owned(),
        format!("{top} "),
        format!("{top}/kernel "),
        format!("{top}/kernel/a.ko code"),
        format!("{top}/kernel/modules.dep kept"),
        format!("{top}/modules.order kernel/a.ko"),
    ];
    assert_eq!(found, expected);

    // The same as a directory gives the same bytes.
    let archived = place.out(MODULES_TAR);
    fs::remove_file(&place.0.join("in").join(MODULES)).unwrap();
    let tree = place.0.join("in").join(MODULES);
    let below = tree.join("usr/lib/modules/6.12.1-own");
    fs::create_dir_all(&below.join("kernel")).unwrap();
    let files = [
        ("kernel/a.ko", "code"),
        ("kernel/modules.dep", "kept"),
        ("modules.order", "kernel/a.ko"),
        ("modules.alias", "x"),
    ];
    for (name, text) in files {
        fs::write_atomically(&below.join(name), text.as_bytes()).unwrap();
    }
    place.run(kernel).unwrap();
    assert_eq!(place.out(MODULES_TAR), archived);
    std::os::unix::fs::symlink("/etc/passwd", below.join("kernel/b.ko")).unwrap();
    place.rejected(kernel, ReadyFile::Modules, "kernel/b.ko` is a link");
}

#[test]
fn modules_that_lead_elsewhere_or_are_for_another_kernel_are_rejected() {
    let place = kernel_place("hostile", &[]);
    let own = (A, b'0', "code");
    let cases: [(&[Entry<'_>], &str); 17] = [
        (&[("/lib/modules/6.12.1-own/a.ko", b'0', "x")], "an absolute path"),
        (&[("lib/modules/6.12.1-own/../../../etc/passwd", b'0', "x")], "a path with '..'"),
        (&[own, ("etc/passwd", b'0', "x")], "`/etc/passwd` is not below"),
        (&[own, ("lib/firmware", b'5', "")], "`/lib/firmware` is not below"),
        (&[own, ("lib/modules/6.12.1-own/kernel/b.ko", b'2', "/etc/passwd")], "b.ko` is a link"),
        (&[own, ("lib/modules/6.12.1-own/kernel/b.ko", b'1', A)], "b.ko` is a link"),
        (&[("lib", b'2', "/etc"), own], "`/lib` is not below"),
        (&[("lib/modules/6.12.1-own", b'2', "/etc")], "is not a directory that is called"),
        (&[own, ("lib/modules/6.12.1-own/fifo", b'6', "")], "neither a file nor a directory"),
        (&[own, ("lib/modules/6.12.1-own/kernel/a.ko/b", b'0', "x")], "below something that is not a directory"),
        (&[own, own], "more than once"),
        (&[("lib/modules/6.12.1-own/kernel/a.ko", b'5', ""), own], "more than once"),
        (&[("lib/modules/6.13.0/a.ko", b'0', "x")], "these modules are for Linux 6.13.0, and the kernel is 6.12.1-own"),
        (&[own, ("lib/modules/6.13.0/a.ko", b'0', "x")], "modules of two kernels"),
        (&[("lib/modules/$(id)/a.ko", b'0', "x")], "called like a release of Linux"),
        (&[("lib/modules", b'5', "")], "no directory `lib/modules/RELEASE`"),
        (&[], "no directory `lib/modules/RELEASE`"),
    ];
    for (entries, word) in cases {
        place.put(MODULES, &archive(entries));
        place.rejected(kernel, ReadyFile::Modules, word);
    }
    let whole = archive(&[own]);
    place.put(MODULES, &whole[..600]);
    place.rejected(kernel, ReadyFile::Modules, "is not one that kiln takes");
    place.put(MODULES, b"\x1f\x8b\x08\x00 and so on");
    place.rejected(kernel, ReadyFile::Modules, "compressed by gzip");
    place.put(MODULES, b"");
    place.rejected(kernel, ReadyFile::Modules, "no end-of-archive marker");
}

#[test]
fn what_is_no_kernel_is_rejected_at_the_image() {
    let place = kernel_place("image", &[]);
    for (bytes, word) in [(b"".as_slice(), "it is empty"), (b"#!/bin/sh\n", "no Linux kernel for amd64")] {
        place.put(IMAGE, bytes);
        place.rejected(kernel, ReadyFile::Image, word);
    }
    fs::remove_file(&place.0.join("in").join(IMAGE)).unwrap();
    fs::create_dir_all(&place.0.join("in").join(IMAGE)).unwrap();
    place.rejected(kernel, ReadyFile::Image, "left a directory, and the kernel is a file");
    // Nothing but holes, so that it takes no room.
    let endless = kernel_place("endless", &[]);
    let file = std::fs::OpenOptions::new().write(true).open(endless.0.join("in").join(IMAGE)).unwrap();
    file.set_len(MAX_IMAGE_BYTES + 1).unwrap();
    endless.rejected(kernel, ReadyFile::Image, "(limit 1073741824)");
}

#[test]
fn a_configuration_is_held_against_the_machines() {
    let place = kernel_place("config", &["EXT4_FS", "VIRTIO_BLK", "NUMA", "CXL_REGION", "DEV_DAX_CXL"]);
    let heading = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.12.1 Kernel Configuration\n#\n";
    // This source has no DEV_DAX_CXL: what it depends on is there, and no line says that it is off.
    let good = format!(
        "{heading}CONFIG_EXT4_FS=y\nCONFIG_VIRTIO_BLK=y\nCONFIG_NUMA=y\nCONFIG_CXL_REGION=y\nCONFIG_DEV_DAX=y\n"
    );
    place.put(OPTIONS, good.as_bytes());
    place.run(kernel).unwrap();
    assert_eq!(place.out(CONFIG), good.as_bytes());

    let bad = good
        .replace("CONFIG_EXT4_FS=y", "# CONFIG_EXT4_FS is not set")
        .replace("VIRTIO_BLK=y", "VIRTIO_BLK=m")
        .replace("CONFIG_NUMA=y\n", "")
        .replace("CONFIG_DEV_DAX=y", "# CONFIG_DEV_DAX_CXL is not set");
    place.put(OPTIONS, bad.as_bytes());
    let (about, message) = place.run(kernel).unwrap_err();
    assert_eq!(about, [Statement::Ready(ReadyFile::Config), Statement::Machine("m".to_owned())]);
    let lines: Vec<&str> = message.lines().collect();
    let expected = [
        "the kernel lacks what its machines need:",
        "machine `m` needs EXT4_FS for tests: it is not set",
        "machine `m` needs VIRTIO_BLK for tests: it is a module, and the kernel has no `modules`",
        "machine `m` needs NUMA for tests: it is not in the configuration",
        "machine `m` needs DEV_DAX_CXL for tests: it is not set",
    ];
    assert_eq!(lines[..5], expected, "{message}");

    // With modules, a module is enough.
    place.put(OPTIONS, good.replace("VIRTIO_BLK=y", "VIRTIO_BLK=m").as_bytes());
    place.put(MODULES, &archive(&[(A, b'0', "code")]));
    place.run(kernel).unwrap();

    let other = Arch::Arm64.facts().kernel.arch;
    let wrong = format!("a configuration for {other}");
    let cases = [
        (heading.replace("6.12.1", "6.13") + "CONFIG_A=y\n", "of Linux 6.13, and the kernel is 6.12.1-own"),
        (heading.replace("6.12.1", "6.12") + "CONFIG_A=y\n", "of Linux 6.12, and the kernel is 6.12.1-own"),
        (heading.replace(Arch::Amd64.facts().kernel.source, other) + "CONFIG_A=y\n", wrong.as_str()),
        ("<html>".to_owned(), "line 1 of the kernel configuration"),
        (heading.to_owned(), "sets no option"),
        (" ".repeat(5 << 20), "has more than 4194304 bytes"),
    ];
    for (text, word) in cases {
        place.put(OPTIONS, text.as_bytes());
        place.rejected(kernel, ReadyFile::Config, word);
    }
}

/// A firmware volume of this size, with the identity of one for variables or of another.
fn volume(size: usize, variables: bool) -> Vec<u8> {
    let mut bytes = vec![0xff; size];
    let id = [0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50];
    if variables {
        bytes[16..32].copy_from_slice(&id);
    }
    bytes[40..44].copy_from_slice(b"_FVH");
    bytes
}

#[test]
fn firmware_fits_the_flash_memory_and_is_not_mixed_up() {
    let place = Place::new("firmware");
    let put = |code: &[u8], variables: &[u8]| {
        place.put(CODE, code);
        place.put(VARIABLES, variables);
    };
    let (code, variables) = (volume(64 << 10, false), volume(8 << 10, true));
    put(&code, &variables);
    place.run(firmware).unwrap();
    assert_eq!((place.out("ovmf-code.fd"), place.out("ovmf-vars.fd")), (code.clone(), variables.clone()));

    put(&variables, &code);
    place.rejected(firmware, ReadyFile::Variables, "no variables of UEFI");
    put(&variables, &variables);
    place.rejected(firmware, ReadyFile::Code, "begins with variables");
    put(&code[..code.len() - 1], &variables);
    place.rejected(firmware, ReadyFile::Code, "sectors of 4096 bytes, and this file has 65535 bytes");
    put(&code, b"");
    place.rejected(firmware, ReadyFile::Variables, "this file has 0 bytes");
    put(&code, &volume((1 << 20) + 4096, true));
    place.rejected(firmware, ReadyFile::Variables, "the variables have more than 1048576 bytes");
    put(&volume((8 << 20) - 4096, false), &variables);
    place.rejected(firmware, ReadyFile::Code, "room for 8388608 bytes");
    fs::remove_file(&place.0.join("in").join(CODE)).unwrap();
    fs::create_dir_all(&place.0.join("in").join(CODE)).unwrap();
    place.rejected(firmware, ReadyFile::Code, "left a directory");
}
