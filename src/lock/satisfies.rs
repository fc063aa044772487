//! Is this lock the lock of this recipe? Offline, and without looking at a single package.

use std::collections::{BTreeMap, BTreeSet};

use super::Lock;
use super::described::{difference, local, recipe_digest};
use super::mismatch::Mismatch;
use crate::base::{Digest, Timestamp};
use crate::debian::archive::ArchiveRef;
use crate::recipe::Recipe;
use crate::recipe::local::LocalReader;

/// Every way in which `lock` is not the lock of `recipe`.
pub fn satisfies(recipe: &Recipe, lock: &Lock) -> Result<(), Vec<Mismatch>> {
    let mut wrong = Vec::new();
    let files: BTreeMap<String, Digest> = recipe.files.iter().map(|(path, file)| (path.clone(), file.digest)).collect();
    if lock.recipe.name != recipe.name {
        wrong.push(Mismatch::new(format!("it is the lock of `{}`, not `{}`", lock.recipe.name, recipe.name)));
    }
    moved_files(&mut wrong, recipe, &lock.recipe.files, &files);
    moved_params(&mut wrong, &lock.recipe.params, &recipe.params);
    if wrong.is_empty() && lock.recipe.digest != recipe_digest(&files, &recipe.params) {
        wrong.push(Mismatch::new("its recipe digest does not match its files and parameters"));
    }
    if wrong.is_empty() {
        archives(&mut wrong, recipe, lock);
        epoch(&mut wrong, recipe, lock);
        local_sources(&mut wrong, recipe, lock);
    }
    if wrong.is_empty() {
        wrong.extend(super::contents::missing(recipe, lock));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// What the recipe says of each archive, the lock says, too.
fn archives(wrong: &mut Vec<Mismatch>, recipe: &Recipe, lock: &Lock) {
    for (name, locked) in &lock.archives {
        let problem = match (name.moment, recipe.archives.get(&name.name)) {
            (Some(moment), _) if moment != locked.snapshot => Some(format!("is of {}", locked.snapshot.snapshot())),
            (Some(_), asked) if asked.is_none_or(|asked| asked.repository != locked.repository) => {
                Some("is not an earlier state of any archive in the recipe".to_owned())
            }
            (Some(_), _) => None,
            (None, None) => Some("is not in the recipe".to_owned()),
            (None, Some(asked)) => difference(asked, locked),
        };
        wrong.extend(problem.map(|problem| Mismatch::new(format!("archive `{name}` {problem}"))));
        if locked.snapshot < locked.date || locked.valid_until.is_some_and(|until| until < locked.date) {
            wrong.push(Mismatch::new(format!("archive `{name}`: date, snapshot and `valid-until` are not in order")));
        }
    }
    // Sets of the same name are told when locking.
    let sets = super::resolve::sets(recipe).unwrap_or_default();
    let asked = sets.values().flat_map(|set| &set.archives);
    let missing: BTreeSet<&String> =
        asked.filter(|name| !lock.archives.contains_key(&ArchiveRef::current(*name))).collect();
    wrong.extend(missing.into_iter().map(|name| Mismatch::new(format!("archive `{name}` is not in the lock"))));
}

fn local_sources(wrong: &mut Vec<Mismatch>, recipe: &Recipe, lock: &Lock) {
    for name in local(recipe).symmetric_difference(&lock.local) {
        let now = if lock.local.contains(name) { "no directory" } else { "a directory" };
        wrong.push(Mismatch::new(match LocalReader::named(name) {
            reader @ LocalReader::Kernel(_) => format!("the source of {} is {now} now", reader.words()),
            reader @ LocalReader::Build { .. } => {
                format!("{} is {now} outside of the recipe's root now", reader.words())
            }
        }));
    }
}

/// The epoch follows from the recipe, or from the archives.
fn epoch(wrong: &mut Vec<Mismatch>, recipe: &Recipe, lock: &Lock) {
    let newest = lock.archives.values().map(|archive| archive.date).max();
    let epoch = recipe.epoch.or(newest).unwrap_or(Timestamp(0));
    if lock.epoch != epoch {
        wrong.push(Mismatch::new(format!("its epoch is {}, but recipe and archives give {epoch}", lock.epoch)));
    }
}

/// Files that are other files now. What each is to the recipe says what to look at.
fn moved_files(
    wrong: &mut Vec<Mismatch>,
    recipe: &Recipe,
    locked: &BTreeMap<String, Digest>,
    now: &BTreeMap<String, Digest>,
) {
    for key in locked.keys().chain(now.keys().filter(|key| !locked.contains_key(*key))) {
        let what = match (locked.get(key), now.get(key)) {
            (Some(before), Some(after)) if before == after => continue,
            (Some(_), Some(_)) => "has changed",
            (None, _) => "is new",
            (_, None) => "is gone",
        };
        wrong.push(Mismatch::new(format!("{} {what}", shown(recipe, key))).line("recipe.files", key));
    }
}

/// Parameters with another value: of `--set`, or of a default.
fn moved_params(wrong: &mut Vec<Mismatch>, locked: &BTreeMap<String, String>, now: &BTreeMap<String, String>) {
    for name in locked.keys().chain(now.keys().filter(|name| !locked.contains_key(*name))) {
        let text = match (locked.get(name), now.get(name)) {
            (Some(before), Some(after)) if before == after => continue,
            (Some(before), Some(after)) => format!(
                "parameter `{name}` is `{after}`, but was `{before}` when the lock was made: by `--set`, which `kiln lock` takes, too, or by its default"
            ),
            (None, _) => format!("parameter `{name}` is new"),
            (_, None) => format!("parameter `{name}` is gone"),
        };
        wrong.push(Mismatch::new(text).line("recipe.params", name));
    }
}

/// What a file is to the recipe. The key of a directory has a slash at its end, and behind that how it is read.
fn shown(recipe: &Recipe, key: &str) -> String {
    let is_of = |path: &std::path::Path| path.ends_with(key);
    match key.strip_suffix('/').or_else(|| key.strip_suffix("//exact")) {
        Some(directory) => format!("directory `{directory}`"),
        None if key.ends_with(".kiln") && recipe.sources.paths().next().is_none_or(is_of) => format!("recipe `{key}`"),
        None if key.ends_with(".kiln") => format!("import `{key}`"),
        None => format!("file `{key}`"),
    }
}
