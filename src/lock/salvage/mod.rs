//! A lock of which a part cannot be read: every pin that can.
//!
//! Input: the text of a lock with a value of another type, a fact that no lock may state, or the output version of another kiln.
//! Output: a [`Lock`] to resolve from, and what of the text is not in it, by line. What follows from the recipe is made anew
//! whatever it says, so nothing is lost with it. Nothing is guessed: without an archive nobody knows which packages are meant,
//! so that a text with an archive that cannot be read is refused as a whole.

mod reader;
mod sets;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::read::{checked, recipe, source_file, syntax, users};
use super::resolve::default_seed;
use super::wire::{WireArchive, WireFile, WireImage, WireKernel, WireMachine, WireRecipe, WireSourceFile};
use super::{
    FORMAT, Lock, LockedArchive, LockedImage, LockedKernel, LockedMachine, LockedOutput, LockedRecipe, LockedSource,
    OUTPUT, ReadError, Remedy,
};
use crate::base::{Digest, Timestamp};
use crate::debian::archive::ArchiveRef;
pub use reader::Lost;
use reader::{Reader, Value, taken};

/// Reads what can be read. The error of a text that does not even say which archives it is about.
pub fn salvage(text: &str) -> Result<(Lock, Vec<Lost>), ReadError> {
    let table = DeTable::parse(text).map_err(|error| syntax(text, &error))?;
    let (mut reader, mut table) = (Reader::new(text), table.into_inner());
    let version: u32 = match taken(&mut table, "version") {
        Some(value) => reader.must(value)?,
        None => return Err(reader.refusal("it has no `version`")),
    };
    if version != FORMAT {
        return Err(ReadError::Format(version));
    }
    let recipe = read_recipe(&mut reader, &mut table);
    let seed = match reader.of_table::<Digest>(&mut table, "seed") {
        Some(seed) => seed,
        None if recipe.name.is_empty() => return Err(reader.refusal("neither its seed nor its recipe's name is there")),
        None => default_seed(&recipe.name),
    };
    let archives = read_archives(&mut reader, &mut table)?;
    let (sets, layers) = sets::read(&mut reader, taken(&mut table, "sets"), &archives);
    let sources = read_sources(&mut reader, &mut table, &archives);
    let images = read_images(&mut reader, &mut table);
    let output = reader.of_table::<u32>(&mut table, "output");
    let steps = reader.of_table::<BTreeMap<String, Digest>>(&mut table, "steps");
    // As it follows from the archives, so that what was built of them stays known.
    let newest = archives.values().map(|archive| archive.date).max().unwrap_or(Timestamp(0));
    let mut lock = Lock {
        output_version: OUTPUT,
        recipe,
        epoch: reader.of_table::<Timestamp>(&mut table, "epoch").unwrap_or(newest),
        seed,
        archives,
        sets,
        layers,
        sources,
        local: optional::<BTreeSet<String>>(&mut reader, &mut table, "local"),
        kernels: optional::<BTreeMap<String, WireKernel>>(&mut reader, &mut table, "kernels")
            .into_iter()
            .map(|(name, WireKernel { config, release })| (name, LockedKernel { config, release }))
            .collect(),
        images,
        machines: optional::<BTreeMap<String, WireMachine>>(&mut reader, &mut table, "machines")
            .into_iter()
            .map(|(name, WireMachine { qemu, qemu_output, machine_type, argv, asked })| {
                (name, LockedMachine { qemu, qemu_output, machine_type, argv, asked })
            })
            .collect(),
        steps: steps.unwrap_or_default(),
        outputs: optional::<BTreeMap<String, WireFile>>(&mut reader, &mut table, "outputs")
            .into_iter()
            .map(|(name, file)| (name, LockedOutput { file: file.into() }))
            .collect(),
    };
    // What was built is known by the steps that made it, of a kiln that makes the same bytes.
    if lock.steps.is_empty() || output != Some(OUTPUT) {
        lock.kernels.clear();
        lock.outputs.clear();
    }
    // Whoever changes a line knows no checksum; it is made anew.
    drop(taken(&mut table, "checksum"));
    for (key, value) in table {
        reader.lost(value.span().start, key.as_ref(), "no lock has this");
    }
    Ok((lock, reader.into_lost()))
}

/// The error of a text with the way out, which depends on what else of it can be read.
pub fn with_remedy(text: &str, mut error: ReadError) -> ReadError {
    if let ReadError::Syntax { remedy, .. } = &mut error
        && salvage(text).is_ok()
    {
        *remedy = Remedy::Lock;
    }
    error
}

fn optional<'t, T: Default + Deserialize<'t>>(
    reader: &mut Reader<'t>,
    table: &mut DeTable<'t>,
    key: &'static str,
) -> T {
    if table.contains_key(key) { reader.of_table(table, key).unwrap_or_default() } else { T::default() }
}

/// The recipe at hand says what is in it; of the lock's, the name counts.
fn read_recipe<'t>(reader: &mut Reader<'t>, table: &mut DeTable<'t>) -> LockedRecipe {
    let empty =
        |name: String| LockedRecipe { name, digest: Digest::of(b""), files: BTreeMap::new(), params: BTreeMap::new() };
    let name = match table.get("recipe").map(|value| value.get_ref()) {
        Some(DeValue::Table(recipe)) => recipe.get("name").and_then(|name| name.get_ref().as_str()).map(str::to_owned),
        _ => None,
    };
    let read = reader.of_table::<WireRecipe>(table, "recipe");
    read.map_or_else(|| empty(name.unwrap_or_default()), recipe)
}

fn read_archives<'t>(
    reader: &mut Reader<'t>,
    table: &mut DeTable<'t>,
) -> Result<BTreeMap<ArchiveRef, LockedArchive>, ReadError> {
    let Some(value) = taken(table, "archives") else { return Ok(BTreeMap::new()) };
    let archives = reader.must::<BTreeMap<String, WireArchive>>(value)?;
    archives.into_iter().map(|(name, archive)| checked(&name, archive)).collect()
}

/// A source with a file that cannot be read is resolved again as a whole: its files belong together.
fn read_sources<'t>(
    reader: &mut Reader<'t>,
    table: &mut DeTable<'t>,
    archives: &BTreeMap<ArchiveRef, LockedArchive>,
) -> BTreeMap<String, LockedSource> {
    let mut sources = BTreeMap::new();
    for (name, value) in reader.entries(taken(table, "sources"), "sources") {
        let place = format!("sources.{name}");
        let (mut files, mut is_whole) = (BTreeMap::new(), true);
        for (file, value) in reader.entries(Some(value), &place) {
            let (start, what) = (value.span().start, format!("{place} `{file}`"));
            let read = reader.one::<WireSourceFile>(value, &what).and_then(|wire| {
                source_file(&place, file, wire, archives).map_err(|error| reader.wrong(start, &what, &error)).ok()
            });
            match read {
                Some((file, locked)) => drop(files.insert(file, locked)),
                None => is_whole = false,
            }
        }
        if is_whole {
            sources.insert(name, LockedSource { files });
        }
    }
    sources
}

/// A table without a user or a group that it had is completed by the next build.
fn read_images<'t>(reader: &mut Reader<'t>, table: &mut DeTable<'t>) -> BTreeMap<String, LockedImage> {
    let mut images = BTreeMap::new();
    for (name, value) in reader.entries(taken(table, "images"), "images") {
        let place = format!("images.{name}");
        let before = reader.count();
        let mut wire = WireImage { open: false, users: BTreeMap::new(), groups: BTreeMap::new() };
        for (key, value) in reader.entries(Some(value), &place) {
            let owners = match key.as_str() {
                "open" => {
                    wire.open = reader.one(value, &format!("{place}.open")).unwrap_or(true);
                    continue;
                }
                "users" => &mut wire.users,
                "groups" => &mut wire.groups,
                other => {
                    reader.lost(value.span().start, &format!("{place}.{other}"), "no lock has this");
                    continue;
                }
            };
            owners.extend(numbers(reader, value, &format!("{place}.{key}")));
        }
        wire.open |= reader.count() > before;
        if let Ok(image) = users(&name, wire) {
            images.insert(name, image);
        }
    }
    images
}

fn numbers<'t>(reader: &mut Reader<'t>, value: Value<'t>, place: &str) -> BTreeMap<String, u32> {
    let mut ids = BTreeMap::new();
    for (owner, value) in reader.entries(Some(value), place) {
        let (start, what) = (value.span().start, format!("{place} `{owner}`"));
        let Some(id) = reader.one::<u32>(value, &what) else { continue };
        let one = WireImage { open: false, users: BTreeMap::from([(owner.clone(), id)]), groups: BTreeMap::new() };
        match users(place, one) {
            Ok(_) => drop(ids.insert(owner, id)),
            Err(error) => reader.wrong(start, &what, &error),
        }
    }
    ids
}

#[cfg(test)]
mod tests;
