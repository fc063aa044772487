//! Partition tables, FAT and UEFI programs, with other people's tools as judges.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use kiln::base::{Arch, Timestamp};
use kiln::format::fat;
use kiln::format::gpt::{self, Guid, Partition, Table};
use kiln::format::uki;
use kiln::inspect::differ::differences;
use kiln::plan::boot::{BootSpec, first_words};
use kiln::plan::{Input, StepKind};
use kiln::recipe::machine::Firmware;
use kiln::recipe::packages::PackageSet;
use kiln::recipe::test::{TestAction, TestStep};

use super::live::Scratch;
use super::machine_support::{machine, recipes};
use super::skip::skip;

const EPOCH: Timestamp = Timestamp(1_700_000_000);
const DISK: &str = "11111111-2222-8333-8444-555555555555";
const PART: &str = "66666666-7777-8888-9999-aaaaaaaaaaaa";
const SYSTEM: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

/// What a tool says, or nothing where the tool is not installed, which is told.
fn judge(program: &str, args: &[&str]) -> Option<String> {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    match Command::new(program).args(args).env("PATH", path).env("TZ", "UTC").env("MTOOLS_SKIP_CHECK", "0").output() {
        Ok(output) => {
            let text =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{program} {args:?}: {text}");
            Some(text)
        }
        Err(_) => {
            skip(format!("{program} is not installed"));
            None
        }
    }
}

fn file(path: &Path) -> File {
    fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).unwrap()
}

fn options(size: u64) -> fat::FatOptions {
    fat::FatOptions { start: 0, size, serial: 0x1234_abcd, label: "BOOT".to_owned(), time: EPOCH }
}

/// A file of each interesting size: none, one byte, a cluster, more; and more names than one cluster has room for.
fn contents() -> BTreeMap<String, Vec<u8>> {
    let sized = [("EMPTY", 0usize), ("ONE", 1), ("CLUSTER.BIN", 512), ("MORE.BIN", 513), ("LARGE.BIN", 3_000_001)];
    let bytes = |size: usize| (0..size).map(|at| (at * 31 % 251) as u8).collect::<Vec<u8>>();
    let mut files: BTreeMap<String, Vec<u8>> =
        sized.into_iter().map(|(name, size)| (format!("DIR/{name}"), bytes(size))).collect();
    files.insert("EFI/BOOT/BOOTX64.EFI".to_owned(), bytes(70_000));
    files.extend((0..40).map(|number| (format!("MANY/F{number}.TXT"), bytes(number))));
    files
}

fn written(path: &Path, size: u64) -> BTreeMap<String, Vec<u8>> {
    let mut out = file(path);
    out.set_len(size).unwrap();
    let contents = contents();
    let files = contents.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    fat::write(&mut out, &options(size), &files).unwrap();
    contents
}

#[test]
fn fsck_and_mtools_find_what_was_written() {
    let scratch = Scratch::new("boot-fat");
    for (name, size) in [("small", 64 << 20), ("large", 300 << 20)] {
        let path = scratch.path(name);
        let contents = written(&path, size);
        let image = path.to_str().unwrap();
        if let Some(said) = judge("fsck.vfat", &["-n", "-v", image]) {
            // 46 files, 4 directories, and the label.
            assert!(said.contains(": 51 files"), "{said}");
            assert!(!said.to_lowercase().contains("dirty") && !said.contains("differences"), "{said}");
        }
        let Some(said) = judge("mdir", &["-i", image, "-/", "::"]) else { continue };
        assert!(said.contains("Volume Serial Number is 1234-ABCD") && said.contains("2023-11-14"), "{said}");
        for (file, bytes) in &contents {
            let to = scratch.path("copied");
            judge("mcopy", &["-n", "-o", "-i", image, &format!("::{file}"), to.to_str().unwrap()]).unwrap();
            assert_eq!(fs::read(&to).unwrap(), *bytes, "{file}");
        }
    }
}

#[test]
fn the_same_files_give_the_same_bytes_and_other_ids_others() {
    let scratch = Scratch::new("boot-same");
    let (one, two) = (scratch.path("one"), scratch.path("two"));
    written(&one, 64 << 20);
    written(&two, 64 << 20);
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap());
    let mut out = file(&two);
    out.set_len(64 << 20).unwrap();
    let options = fat::FatOptions { serial: 1, ..options(64 << 20) };
    fat::write(&mut out, &options, &BTreeMap::new()).unwrap();
    assert!(fs::read(&one).unwrap() != fs::read(&two).unwrap());
}

fn disk(path: &Path, id: &str, content: &[u8]) -> Table {
    let guid = |text| Guid::parse(text).unwrap();
    let boot = Partition {
        number: 1,
        kind: guid(SYSTEM),
        id: guid(id),
        name: "boot".to_owned(),
        first: 2048,
        sectors: 131_072,
    };
    let root = Partition { number: 2, id: guid(DISK), name: "root".to_owned(), first: 133_120, ..boot.clone() };
    let table = Table { disk: guid(DISK), sectors: 133_120 + 131_072 + 2048, partitions: vec![boot, root] };
    let mut out = file(path);
    out.set_len(table.sectors * gpt::SECTOR).unwrap();
    gpt::write(&mut out, &table, &[]).unwrap();
    let mut options = options(131_072 * 512);
    options.start = 2048 * 512;
    fat::write(&mut out, &options, &BTreeMap::from([("A.TXT", content)])).unwrap();
    table
}

#[test]
fn sfdisk_and_sgdisk_find_nothing_wrong_with_a_table() {
    let scratch = Scratch::new("boot-gpt");
    let path = scratch.path("disk");
    let table = disk(&path, PART, b"a");
    let image = path.to_str().unwrap();
    if let Some(said) = judge("sgdisk", &["-v", image]) {
        assert!(said.contains("No problems found"), "{said}");
    }
    if let Some(said) = judge("sfdisk", &["--verify", image]) {
        assert!(said.contains("No errors detected"), "{said}");
        let said = judge("sfdisk", &["--dump", image]).unwrap().to_lowercase();
        assert!(said.contains(&format!("label-id: {DISK}")) && said.contains(&format!("uuid={PART}")), "{said}");
    }
    let mut head = vec![0; gpt::HEAD];
    File::open(&path).unwrap().read_exact(&mut head).unwrap();
    assert_eq!(gpt::read(&head), Some(table));
    let mut sector = [0; 8];
    let mut image = File::open(&path).unwrap();
    image.seek(SeekFrom::End(-512)).unwrap();
    image.read_exact(&mut sector).unwrap();
    assert_eq!(&sector, b"EFI PART", "the copy at the end");
}

#[test]
fn differences_are_told_by_partition_and_file() {
    let scratch = Scratch::new("boot-differ");
    let (one, two) = (scratch.path("one"), scratch.path("two"));
    disk(&one, PART, b"one line\n");
    disk(&two, DISK, b"another line\n");
    let said = differences(&one, &two).join("\n");
    assert!(said.contains(&format!("partition 1: is {PART} then {DISK}")), "{said}");
    assert!(said.contains("partition 1 (boot): A.TXT: line 1"), "{said}");
    let mut second = fs::OpenOptions::new().read(true).write(true).open(&two).unwrap();
    disk(&two, PART, b"one line\n");
    assert_eq!(differences(&one, &two).len(), 1, "raw disks of equal content");
    second.seek(SeekFrom::Start(133_120 * 512 + 5000)).unwrap();
    second.write_all(b"x").unwrap();
    let said = differences(&one, &two).join("\n");
    assert!(said.contains("partition 2 (root): offset 5000"), "{said}");
}

#[test]
fn objdump_reads_the_sections_of_a_unified_kernel_image() {
    let scratch = Scratch::new("boot-uki");
    // A program of the compiler, as small as can be, stands in for systemd's stub: its headers have room.
    let source = scratch.path("stub.s");
    fs::write(&source, ".text\n.globl start\nstart: ret\n").unwrap();
    let (object, stub) = (scratch.path("stub.o"), scratch.path("stub.efi"));
    let at = |path: &Path| path.to_str().unwrap().to_owned();
    if judge("as", &["-o", &at(&object), &at(&source)]).is_none() {
        return;
    }
    let arguments = ["-m", "i386pep", "--subsystem", "10", "-e", "start", "-o"];
    let linked = Command::new("ld").args(arguments).args([&stub, &object]).output();
    if !linked.is_ok_and(|output| output.status.success()) {
        skip("this linker makes no UEFI programs");
        return;
    }
    let sections = [(".uname", b"6.1".as_slice()), (".cmdline", b"quiet"), (".linux", &[9; 5000])];
    let path = scratch.path("uki.efi");
    fs::write(&path, uki::unified(Arch::Amd64, &fs::read(&stub).unwrap(), &sections).unwrap()).unwrap();
    let said = judge("objdump", &["-h", &at(&path)]).unwrap();
    for (name, bytes) in sections {
        let line = said.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name} in {said}"));
        assert!(line.contains(&format!("{:08x}", bytes.len())), "{line}");
        let to = scratch.path("section");
        judge("objcopy", &["-O", "binary", "--only-section", name, &at(&path), &at(&to)]).unwrap();
        assert_eq!(fs::read(&to).unwrap()[..bytes.len()], *bytes, "{name}");
    }
}

/// What the plan itself says to the step that puts the disk of a recipe's machine together, on another firmware.
fn planned(stem: &str, firmware: Firmware, set: &str) -> BTreeMap<String, Vec<u8>> {
    let mut all = recipes();
    let packages = all.iter().find_map(|(.., lock)| lock.sets.get(set)).unwrap().clone();
    let (_, recipe, lock) = all.iter_mut().find(|(other, ..)| other == stem).unwrap();
    lock.sets.insert(set.to_owned(), packages);
    let machine = recipe.machines.values_mut().next().unwrap();
    machine.firmware.value = firmware;
    machine.boot = Some(PackageSet { name: set.to_owned(), ..machine.qemu.packages().clone() });
    let kind = StepKind::Boot(machine.name.clone());
    let plan = kiln::plan::lower(recipe, lock);
    let step = &plan.steps[plan.position(&kind).unwrap()];
    let inline = |(name, input): (&String, &Input)| match input {
        Input::Inline(bytes) => Some((name.clone(), bytes.clone())),
        _ => None,
    };
    let delivered: Vec<&str> = plan.artifacts.iter().map(|artifact| artifact.kind.file_name()).collect();
    assert!(delivered.contains(&"vmlinuz") && !delivered.contains(&"initrd.img"), "{delivered:?}");
    assert_eq!(delivered.contains(&"ovmf-code.fd"), firmware == Firmware::Uefi);
    step.inputs.iter().filter_map(inline).collect()
}

#[test]
fn a_parameter_of_the_recipe_is_not_given_by_kiln_as_well() {
    let words = |append: &str| first_words(&machine(&format!("append = [{append}]")), "/dev/vda");
    let own = ["root=/dev/vda", "rw", "console=ttyS0", "rcupdate.rcu_expedited=1", "cryptomgr.notests=1"];
    assert_eq!(words("\"quiet\""), own);
    assert_eq!(words("\"cryptomgr.notests=0\""), own[..4]);
    // The kernel takes a dash for an underscore, and one string may have several words.
    assert_eq!(words("\"quiet rcupdate.rcu-expedited=0 cryptomgr.notests\""), own[..3]);
}

#[test]
fn what_the_shipped_recipes_expect_of_the_kernel_command_line_is_what_their_disks_say() {
    let mut held = 0;
    for (stem, recipe, lock) in recipes() {
        let expected: Vec<String> =
            recipe.tests.iter().flat_map(|test| &test.steps).filter_map(of_command_line).collect();
        let plan = kiln::plan::lower(&recipe, &lock);
        for step in plan.steps.iter().filter(|step| matches!(step.kind, StepKind::Boot(_))) {
            let text = |name: &str| match step.inputs.get(name) {
                Some(Input::Inline(bytes)) => Some(String::from_utf8(bytes.clone()).unwrap()),
                _ => None,
            };
            let of_grub = |text: String| {
                let line = text.lines().find_map(|line| line.trim().strip_prefix("eval \"linux ")).unwrap().to_owned();
                format!("BOOT_IMAGE={}", line.replace('\'', ""))
            };
            // Tests start their shell by words of their own at the end.
            let line = text("cmdline").unwrap_or_else(|| of_grub(text("grub.cfg").unwrap())) + " systemd.unit=x";
            for pattern in &expected {
                assert!(regex::Regex::new(pattern).unwrap().is_match(&line), "{stem}: {line}");
                held += 1;
            }
        }
    }
    assert!(held > 1, "{held} lines were held against what recipes expect");
}

fn of_command_line(step: &TestStep) -> Option<String> {
    match &step.action {
        TestAction::Expect { command, pattern, matches: true } if command == "cat /proc/cmdline" => {
            Some(pattern.clone())
        }
        _ => None,
    }
}

#[test]
fn a_kernel_without_an_initramfs_is_given_the_partition_and_others_the_file_system() {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let compiled = planned("cxl-expander", Firmware::Uefi, "uefi-boot");
    let spec: BootSpec = serde_json::from_slice(&compiled["boot.json"]).unwrap();
    let line = text(&compiled["cmdline"]);
    assert!(line.starts_with(&format!("root=PARTUUID={} rw console=ttyS0", spec.ids.root)), "{line}");
    let stock = planned("cxl-quick", Firmware::Uefi, "uefi-boot");
    assert!(text(&stock["cmdline"]).starts_with("root=UUID="));
    let grub = text(&planned("cxl-expander", Firmware::Seabios, "bios-boot")["grub.cfg"]);
    assert!(grub.contains("'root=PARTUUID=") && !grub.contains("initrd"), "{grub}");
    let ids = [spec.ids.disk, spec.ids.boot, spec.ids.root, spec.ids.bios];
    let different: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(different.len(), 4);
}

#[test]
fn two_images_with_different_tools_share_a_kernel_and_not_its_indexes() {
    for stem in ["cxl-quick", "cxl-expander"] {
        let mut all = recipes();
        let (_, recipe, lock) = all.iter_mut().find(|(other, ..)| other == stem).unwrap();
        let mut machine = recipe.machines.values().next().unwrap().clone();
        let mut image = recipe.images[&machine.image].clone();
        let before = kiln::plan::lower(recipe, lock);
        let mut tools = lock.sets[&image.machine_disk().tools.name].clone();
        tools.retain(|package| package.name != "zlib1g");
        lock.sets.insert("other-tools".to_owned(), tools);
        image.name = "zz-other".to_owned();
        let kiln::recipe::image::ImageForm::Disk(disk) = &mut image.form else { panic!("no disk") };
        disk.tools.name = "other-tools".to_owned();
        (machine.name, machine.image) = ("zz-other".to_owned(), "zz-other".to_owned());
        recipe.images.insert("zz-other".to_owned(), image);
        recipe.machines.insert("zz-other".to_owned(), machine);
        let plan = kiln::plan::lower(recipe, lock);
        let names: std::collections::BTreeSet<String> = plan.steps.iter().map(kiln::plan::Step::name).collect();
        assert_eq!(names.len(), plan.steps.len(), "{stem}: names that occur twice");
        assert!(before.steps.iter().all(|step| names.contains(&step.name())), "{stem}: the first keeps its names");
        let count = |wanted: fn(&StepKind) -> bool| plan.steps.iter().filter(|step| wanted(&step.kind)).count();
        assert_eq!(count(|kind| matches!(kind, StepKind::StockKernel(_) | StepKind::KernelBuild(_))), 1, "{stem}");
        let indexes = count(|kind| matches!(kind, StepKind::Initrd(_)));
        assert_eq!(indexes, if stem == "cxl-quick" { 2 } else { 0 }, "{stem}");
        assert_eq!(count(|kind| matches!(kind, StepKind::Modules(_))), indexes, "{stem}");
    }
}
