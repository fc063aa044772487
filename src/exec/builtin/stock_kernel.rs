//! Takes a Debian kernel package apart: the kernel, its configuration, and its modules as a canonical tar.
//!
//! `modules.dep` and its like are not in the package; the locked `depmod` makes them in a later step.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::copy;

use super::{BuiltinError, Context, input, part};
use crate::base::Epoch;
use crate::debian::deb::{self, Data, Kind as DebKind};
use crate::format::tar::{Entry, Kind, TarPath, TarWriter};
use crate::world::fs;

/// Where modules live since the merge of `/lib` into `/usr/lib`, and where older packages put them.
const PLACES: [&str; 2] = ["usr/lib/modules/", "lib/modules/"];

/// Input `kernel.deb`, and `epoch` (RFC 3339) when files must not be younger than that.
pub(super) fn run(context: &Context<'_>) -> Result<(), BuiltinError> {
    let epoch = epoch(context)?;
    let package = fs::open(input(context, "kernel.deb")?)?;
    let broken = |source| BuiltinError::Package { package: "kernel.deb".to_owned(), source };
    let (_, mut data) = deb::open(std::io::BufReader::new(package)).map_err(broken)?;
    let spool_path = context.scratch.join("modules");
    let mut found =
        Found { entries: BTreeMap::new(), spool: fs::create(&spool_path)?, spooled: 0, boot: BTreeMap::new() };
    while let Some(entry) = data.next().map_err(broken)? {
        found.take(context, &mut data, entry, epoch)?;
    }
    let release = found.release()?;
    for (kind, output) in [("vmlinuz-", "vmlinuz"), ("config-", "kernel.config")] {
        if found.boot.get(output) != Some(&release) {
            return Err(BuiltinError::Broken(format!("the kernel package has no /boot/{kind}{release}")));
        }
    }
    found.write_tar(context, &fs::open(&spool_path)?)
}

fn epoch(context: &Context<'_>) -> Result<Option<Epoch>, BuiltinError> {
    let Some(path) = context.inputs.get("epoch") else { return Ok(None) };
    let bytes = fs::read(path, 64)?;
    let instant = std::str::from_utf8(&bytes).ok().and_then(|text| Epoch::parse_rfc3339(text.trim_end()));
    instant.map(Some).ok_or_else(|| BuiltinError::Broken("the input `epoch` is not an instant".to_owned()))
}

/// What was seen of the package so far; contents of modules wait in a file, since packages have their own order.
struct Found {
    entries: BTreeMap<TarPath, (Entry, u64)>,
    spool: File,
    spooled: u64,
    /// Output name to the release in the file's name.
    boot: BTreeMap<&'static str, String>,
}

impl Found {
    fn take(
        &mut self,
        context: &Context<'_>,
        data: &mut Data<'_>,
        entry: deb::Entry,
        epoch: Option<Epoch>,
    ) -> Result<(), BuiltinError> {
        for (prefix, output) in [("boot/vmlinuz-", "vmlinuz"), ("boot/config-", "kernel.config")] {
            if let (Some(release), DebKind::File(_)) = (entry.path.strip_prefix(prefix), &entry.kind) {
                if self.boot.insert(output, release.to_owned()).is_some() {
                    return Err(BuiltinError::Broken(format!("the kernel package has two files {prefix}*")));
                }
                let path = context.out.join(output);
                fs::context("write", &path, copy(data, &mut fs::create(&path)?))?;
            }
        }
        let Some(below) = PLACES.iter().find_map(|place| entry.path.strip_prefix(place)) else { return Ok(()) };
        // Links to headers that are not there: `build` and `source`.
        if matches!(below.split_once('/'), Some((_, "build" | "source"))) {
            return Ok(());
        }
        let path = TarPath::new(format!("usr/lib/modules/{below}"))?;
        let mtime = epoch.map_or(entry.mtime, |epoch| entry.mtime.min(epoch.0));
        let (kind, size) = match entry.kind {
            DebKind::File(size) => (Kind::File, size),
            DebKind::Directory => (Kind::Directory, 0),
            DebKind::Link(target) => (Kind::Symlink(target.into_bytes()), 0),
            DebKind::Hard(_) => {
                return Err(BuiltinError::Broken(format!("{path} is a hard link, which kernel packages do not have")));
            }
        };
        let at = self.spooled;
        if size > 0 {
            let spool = context.scratch.join("modules");
            self.spooled += fs::context("write", &spool, copy(data, &mut self.spool))?;
        }
        let model =
            Entry { kind, size, uid: entry.uid, gid: entry.gid, ..Entry::file(path.clone(), entry.mode, mtime, size) };
        self.entries.insert(path, (model, at));
        Ok(())
    }

    /// The one directory below `modules`.
    fn release(&self) -> Result<String, BuiltinError> {
        let mut releases: Vec<&[u8]> = self.entries.keys().filter_map(|path| path.parts().nth(3)).collect();
        releases.dedup();
        match releases.as_slice() {
            [one] => Ok(String::from_utf8_lossy(one).into_owned()),
            [] => Err(BuiltinError::Broken("the kernel package has no modules".to_owned())),
            _ => Err(BuiltinError::Broken("the kernel package has modules of more than one kernel".to_owned())),
        }
    }

    fn write_tar(&self, context: &Context<'_>, spool: &File) -> Result<(), BuiltinError> {
        let newest = self.entries.values().map(|(entry, _)| entry.mtime).max().unwrap_or_default();
        let mut entries = self.entries.clone();
        for path in ["usr", "usr/lib", "usr/lib/modules"] {
            let path = TarPath::new(path)?;
            entries.entry(path.clone()).or_insert_with(|| (Entry::directory(path, 0o755, newest), 0));
        }
        let path = context.out.join("modules.tar");
        let mut tar = TarWriter::new(std::io::BufWriter::new(fs::create(&path)?));
        for (entry, at) in entries.values() {
            tar.append(entry, part(spool, *at, entry.size))?;
        }
        tar.finish()?;
        Ok(())
    }
}
