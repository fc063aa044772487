//! Is this lock the lock of this recipe? Offline, and without looking at a single package.

use std::collections::{BTreeMap, BTreeSet};

use super::Lock;
use super::described::{difference, local, recipe_digest};
use super::mismatch::Mismatch;
use crate::base::{Digest, Timestamp};
use crate::debian::archive::ArchiveRef;
use crate::recipe::Recipe;

/// Every way in which `lock` is not the lock of `recipe`.
pub fn satisfies(recipe: &Recipe, lock: &Lock) -> Result<(), Vec<Mismatch>> {
    let mut wrong = Vec::new();
    let files: BTreeMap<String, Digest> = recipe.files.iter().map(|(path, file)| (path.clone(), file.digest)).collect();
    if lock.recipe.name != recipe.name {
        wrong.push(Mismatch::new(format!("it is the lock of `{}`, not `{}`", lock.recipe.name, recipe.name)));
    }
    compare(&mut wrong, "file", &lock.recipe.files, &files);
    compare(&mut wrong, "parameter", &lock.recipe.params, &recipe.params);
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
        let now = if lock.local.contains(name) { "is no directory" } else { "is a directory" };
        wrong.push(Mismatch::new(format!("the source of kernel `{name}` {now} now")));
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

fn compare<T: PartialEq>(
    wrong: &mut Vec<Mismatch>,
    noun: &str,
    locked: &BTreeMap<String, T>,
    now: &BTreeMap<String, T>,
) {
    for (name, value) in now {
        match locked.get(name) {
            None => wrong.push(Mismatch::new(format!("{} is new", shown(noun, name)))),
            Some(old) if old != value => wrong.push(Mismatch::new(format!("{} has changed", shown(noun, name)))),
            Some(_) => {}
        }
    }
    for name in locked.keys().filter(|name| !now.contains_key(*name)) {
        wrong.push(Mismatch::new(format!("{} is gone", shown(noun, name))));
    }
}

/// The key of a directory among the files of a recipe has a slash at its end, and behind that how it is read.
fn shown(noun: &str, key: &str) -> String {
    match key.strip_suffix('/').or_else(|| key.strip_suffix("//exact")) {
        Some(directory) => format!("directory `{directory}`"),
        None => format!("{noun} `{key}`"),
    }
}
