//! Writes an initramfs: the modules that mount the root, a static busybox, and the script that uses them.

mod modinfo;
mod modules;

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};

use super::{BuiltinContext, BuiltinError, input};
use crate::debian::deb::{self, DebEntryKind};
use crate::exec::failure::StepFailure;
use crate::format::cpio::{self, CpioWriter};
use crate::format::tar::{Device, TarEntry, TarEntryKind, TarPath};
use crate::plan::initrd::InitrdSpec;
use crate::world::fs;
use modules::{Load, Modules};

/// The script, with places for what the specification says.
const INIT: &str = include_str!("initrd/init.sh");
/// Where the package has its program: since the merge of `/usr`, and before.
const BUSYBOX: [&str; 2] = ["usr/bin/busybox", "bin/busybox"];
/// Most bytes of the program and of the specification.
const BUSYBOX_LIMIT: u64 = 32 << 20;
const SPEC_LIMIT: u64 = 1 << 20;
/// What the script calls by name.
const APPLETS: [&str; 10] =
    ["cat", "findfs", "insmod", "mkdir", "mount", "poweroff", "sh", "sleep", "switch_root", "sync"];

/// Inputs `modules.tar`, `busybox.deb`, `initrd.json`; output `initrd.img`.
pub(super) fn run(context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    let spec = spec(&fs::read(input(context, "initrd.json")?, SPEC_LIMIT)?)?;
    let file = fs::open(input(context, "modules.tar")?)?;
    let mut modules = Modules::open(&file)?;
    let loads = modules.order(&spec.modules)?;
    let image = Image { spec: &spec, loads: &loads, modules: &modules };
    let busybox = busybox(context)?;
    let path = context.out.join("initrd.img");
    let zstd = fs::context("write", &path, cpio::compressor(fs::create_new(&path)?))?;
    let zstd = image.write(CpioWriter::new(zstd), &busybox)?;
    fs::context("write", &path, zstd.finish().and_then(|mut file| file.flush()))?;
    Ok(())
}

/// The specification; its words go into a script, so they must be words.
fn spec(bytes: &[u8]) -> Result<InitrdSpec, BuiltinError> {
    let spec: InitrdSpec = serde_json::from_slice(bytes)
        .map_err(|error| BuiltinError::from(StepFailure::bug(format!("initrd.json: {error}"))))?;
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_-.=:+@%".contains(&b));
    let words = [&spec.root_device, &spec.root_type].into_iter().chain(&spec.modules);
    let odd = words.into_iter().find(|word| word.is_empty() || !plain(word)).cloned();
    match odd {
        Some(word) => {
            Err(BuiltinError::from(StepFailure::bug(format!("initrd.json: {word:?} is not a device, type or module"))))
        }
        None => Ok(spec),
    }
}

fn busybox(context: &BuiltinContext<'_>) -> Result<Vec<u8>, BuiltinError> {
    let broken = |source| BuiltinError::Package { package: "busybox.deb".to_owned(), source };
    let package = fs::open(input(context, "busybox.deb")?)?;
    let (_, mut data) = deb::open(BufReader::new(package)).map_err(broken)?;
    while let Some(entry) = data.next().map_err(broken)? {
        let DebEntryKind::File(size) = entry.kind else { continue };
        if BUSYBOX.contains(&entry.path.as_str()) && size <= BUSYBOX_LIMIT {
            let mut bytes = Vec::new();
            let read = data.read_to_end(&mut bytes);
            read.map_err(|error| BuiltinError::from(StepFailure::input(format!("busybox.deb: {error}"))))?;
            return Ok(bytes);
        }
    }
    Err(BuiltinError::from(StepFailure::input("busybox.deb has no usr/bin/busybox".to_owned())))
}

struct Image<'a> {
    spec: &'a InitrdSpec,
    loads: &'a [Load],
    modules: &'a Modules<'a>,
}

impl Image<'_> {
    fn write<W: Write>(&self, mut cpio: CpioWriter<W>, busybox: &[u8]) -> Result<W, BuiltinError> {
        let time = self.spec.epoch.0;
        let script = self.script().into_bytes();
        let mut entries: BTreeMap<TarPath, (TarEntry, &[u8])> = BTreeMap::new();
        let mut add = |entry: TarEntry, content| entries.insert(entry.path.clone(), (entry, content));
        for directory in ["", "bin", "dev", "modules", "proc", "root", "sys"] {
            add(TarEntry::directory(TarPath::new(directory)?, 0o755, time), b"".as_slice());
        }
        for applet in APPLETS {
            add(TarEntry::symlink(TarPath::new(format!("bin/{applet}"))?, "busybox", time), b"");
        }
        // The kernel opens the console before it starts the script, which mounts /dev (`init/main.c`).
        let console = TarEntryKind::CharDevice(Device { major: 5, minor: 1 });
        add(TarEntry { kind: console, ..TarEntry::file(TarPath::new("dev/console")?, 0o600, time, 0) }, b"");
        add(TarEntry::file(TarPath::new("bin/busybox")?, 0o755, time, busybox.len() as u64), busybox);
        add(TarEntry::file(TarPath::new("init")?, 0o755, time, script.len() as u64), &script);
        let mut names: BTreeMap<TarPath, &str> = BTreeMap::new();
        for load in self.loads {
            let path = TarPath::new(format!("modules/{}.ko", load.name))?;
            add(TarEntry::file(path.clone(), 0o644, time, 0), b"");
            names.insert(path, &load.name);
        }
        for (path, (mut entry, content)) in entries {
            match names.get(&path) {
                Some(name) => {
                    let bytes = self.modules.bytes(name)?;
                    entry.size = bytes.len() as u64;
                    cpio.append(&entry, bytes.as_slice())?;
                }
                None => cpio.append(&entry, content)?,
            }
        }
        Ok(cpio.finish()?)
    }

    fn script(&self) -> String {
        let verb = |load: &Load| if load.required { "load" } else { "try" };
        let lines: String = self.loads.iter().map(|load| format!("{} {}\n", verb(load), load.name)).collect();
        INIT.replace("@ROOT@", &self.spec.root_device)
            .replace("@TYPE@", &self.spec.root_type)
            .replace("@MODULES@\n", &lines)
    }
}
