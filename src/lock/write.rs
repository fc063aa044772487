//! Lock to its one canonical text: fixed order, LF, one fact a line, so that a diff of two locks reads like a change log.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{FORMAT, Lock, LockedArchive, LockedFile, LockedLayer, LockedPackage, LockedSourceFile};
use crate::base::Digest;
use crate::recipe::local::LocalReader;

/// The canonical text of a lock, with the checksum over all its other lines.
pub fn write(lock: &Lock) -> String {
    text(lock, Some(checksum(lock)))
}

/// SHA-256 of the canonical text without the line that holds it: `grep -v '^checksum = ' LOCK | sha256sum`.
pub(super) fn checksum(lock: &Lock) -> Digest {
    Digest::of(text(lock, None).as_bytes())
}

/// The same of a text that nobody has read yet, by the line that every lock has once.
pub(super) fn checksum_of_text(text: &str) -> Digest {
    let before = text.find("\nchecksum = ").map_or(text.len(), |newline| newline + 1);
    let (before, rest) = text.split_at(before);
    let after = rest.find('\n').map_or("", |newline| &rest[newline + 1..]);
    Digest::of_parts([before, after])
}

/// The name under which a set knows a package: `libc6:amd64`, `tzdata:all`.
pub(super) fn package_key(package: &LockedPackage) -> String {
    format!("{}:{}", package.name, package.architecture)
}

fn text(lock: &Lock, checksum: Option<Digest>) -> String {
    let mut out = Writer(String::new());
    out.line("# Made by `kiln lock`. Every input of the recipe by hash, and what came out.");
    out.fact("version", &FORMAT.to_string());
    out.fact("output", &lock.output_version.to_string());
    out.text("epoch", &lock.epoch.to_string());
    out.text("seed", &lock.seed.hex());
    if let Some(checksum) = checksum {
        out.text("checksum", &checksum.hex());
    }
    if !lock.local.is_empty() {
        let of_kernels = lock.local.iter().all(|name| matches!(LocalReader::named(name), LocalReader::Kernel(_)));
        out.line(match of_kernels {
            true => "# Kernels compiled from a directory: what is in it is not locked, and nobody else can build the same.",
            false => "# Kernels, and sources of builds, from directories: what is in them is not locked, and nobody else can build the same.",
        });
        out.fact("local", &list(&lock.local.iter().cloned().collect::<Vec<_>>()));
    }
    recipe(&mut out, lock);
    for (name, archive) in &lock.archives {
        write_archive(&mut out, &name.to_string(), archive);
    }
    for (name, packages) in &lock.sets {
        write_set(&mut out, name, packages, lock.layers.get(name).map_or(&[], Vec::as_slice));
    }
    for (name, source) in &lock.sources {
        out.table(&["sources", name]);
        for (file, LockedSourceFile { place, file: locked }) in &source.files {
            let value = format!("{{ from = {}, {} }}", quoted(&place.to_string()), sized(locked));
            out.fact(&quoted(file), &value);
        }
    }
    built(&mut out, lock);
    out.0
}

/// The digest that a manifest names: the lock without what only a build can know, so that the first build and the
/// thousandth agree.
pub fn inputs_digest(lock: &Lock) -> Digest {
    let mut inputs = lock.clone();
    inputs.outputs = BTreeMap::new();
    inputs.kernels = BTreeMap::new();
    inputs.images = BTreeMap::new();
    inputs.steps = BTreeMap::new();
    inputs.machines.values_mut().for_each(|machine| machine.asked.clear());
    Digest::of(text(&inputs, None).as_bytes())
}

fn recipe(out: &mut Writer, lock: &Lock) {
    out.table(&["recipe"]);
    out.text("name", &lock.recipe.name);
    out.text("digest", &lock.recipe.digest.hex());
    out.table(&["recipe", "files"]);
    for (path, digest) in &lock.recipe.files {
        out.text(&quoted(path), &digest.hex());
    }
    if !lock.recipe.params.is_empty() {
        out.table(&["recipe", "params"]);
        for (name, value) in &lock.recipe.params {
            out.text(&quoted(name), value);
        }
    }
}

fn write_archive(out: &mut Writer, name: &str, archive: &LockedArchive) {
    out.table(&["archives", name]);
    out.text("suite", &archive.suite);
    out.fact("components", &list(&archive.components));
    out.text("architecture", archive.architecture.facts().debian);
    out.text("repository", &archive.repository);
    out.text("snapshot", &archive.snapshot.snapshot());
    out.text("inrelease", &archive.inrelease.hex());
    out.fact("signed-by", &list(&archive.signed_by));
    out.text("date", &archive.date.to_string());
    if let Some(until) = archive.valid_until {
        out.text("valid-until", &until.to_string());
    }
    out.table(&["archives", name, "indexes"]);
    for (path, file) in &archive.indexes {
        out.fact(&quoted(path), &format!("{{ {} }}", sized(file)));
    }
}

fn write_set(out: &mut Writer, name: &str, packages: &[LockedPackage], layers: &[LockedLayer]) {
    out.table(&["sets", name]);
    out.line("packages = [");
    let mut sorted: Vec<&LockedPackage> = packages.iter().collect();
    sorted.sort_by_key(|package| (&package.name, &package.architecture));
    for package in sorted {
        let (archive, why) = (package.archive.to_string(), package.why.to_string());
        let fields = [
            ("name", &package.name),
            ("architecture", &package.architecture),
            ("version", &package.version),
            ("archive", &archive),
            ("path", &package.path),
        ];
        let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key} = {}", quoted(value))).collect();
        let (fields, file, why) = (fields.join(", "), sized(&package.file), quoted(&why));
        out.line(&format!("  {{ {fields}, {file}, why = {why} }},"));
    }
    out.line("]");
    out.line("configure = [");
    for package in packages {
        out.line(&format!("  {},", quoted(&package_key(package))));
    }
    out.line("]");
    if !layers.is_empty() {
        out.line("# How many of these were there before others were added, and when.");
        out.line("layers = [");
        for LockedLayer { packages, epoch } in layers {
            out.line(&format!("  {{ packages = {packages}, epoch = {} }},", quoted(&epoch.to_string())));
        }
        out.line("]");
    }
}

fn built(out: &mut Writer, lock: &Lock) {
    for (name, kernel) in &lock.kernels {
        out.table(&["kernels", name]);
        if let Some(config) = kernel.config {
            out.text("config", &config.hex());
        }
        if let Some(release) = &kernel.release {
            out.text("release", release);
        }
    }
    for (name, image) in &lock.images {
        if image.open {
            out.table(&["images", name]);
            out.fact("open", "true");
        }
        for (kind, ids) in [("users", &image.users), ("groups", &image.groups)] {
            out.table(&["images", name, kind]);
            for (name, id) in ids {
                out.fact(&quoted(name), &id.to_string());
            }
        }
    }
    for (name, machine) in &lock.machines {
        out.table(&["machines", name]);
        out.text("qemu", &machine.qemu);
        if let Some(output) = &machine.qemu_output {
            out.text("qemu-output", output);
        }
        out.text("machine-type", &machine.machine_type);
        lines(out, "argv", &machine.argv);
        if !machine.asked.is_empty() {
            lines(out, "asked", &machine.asked);
        }
    }
    if !lock.steps.is_empty() {
        out.table(&["steps"]);
        for (name, id) in &lock.steps {
            out.text(&quoted(name), &id.hex());
        }
    }
    if !lock.outputs.is_empty() {
        out.table(&["outputs"]);
        for (name, output) in &lock.outputs {
            out.fact(&quoted(name), &format!("{{ {} }}", sized(&output.file)));
        }
    }
}

/// A list with a line for each item.
fn lines(out: &mut Writer, key: &str, items: &[String]) {
    out.line(&format!("{key} = ["));
    for item in items {
        out.line(&format!("  {},", quoted(item)));
    }
    out.line("]");
}

struct Writer(String);

impl Writer {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn fact(&mut self, key: &str, value: &str) {
        self.line(&format!("{key} = {value}"));
    }

    fn text(&mut self, key: &str, value: &str) {
        self.fact(key, &quoted(value));
    }

    fn table(&mut self, path: &[&str]) {
        let path: Vec<String> =
            path.iter().map(|part| if is_bare(part) { (*part).to_owned() } else { quoted(part) }).collect();
        self.line("");
        self.line(&format!("[{}]", path.join(".")));
    }
}

fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

fn sized(file: &LockedFile) -> String {
    format!("size = {}, sha256 = \"{}\"", file.size, file.sha256)
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Writing into a String cannot fail.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;
    use crate::lock::read;

    #[test]
    fn what_is_written_reads_back_and_is_written_the_same() {
        let lock = example();
        let text = write(&lock);
        let again = read(&text).unwrap();
        assert_eq!(again, lock);
        assert_eq!(write(&again), text);
    }

    #[test]
    fn what_a_build_adds_does_not_change_the_identity() {
        let mut lock = example();
        let before = inputs_digest(&lock);
        lock.outputs.clear();
        lock.images.clear();
        lock.machines.values_mut().for_each(|machine| machine.asked.clear());
        assert_eq!(inputs_digest(&lock), before);
        lock.epoch = crate::base::Timestamp(lock.epoch.0 + 1);
        assert_ne!(inputs_digest(&lock), before);
    }
}
