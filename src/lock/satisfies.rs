//! Is this lock the lock of this recipe? Offline, and without looking at a single package.

use std::collections::BTreeMap;
use std::fmt;

use super::Lock;
use crate::base::Digest;
use crate::recipe::Recipe;

/// One way in which a lock is not the lock of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch(String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The recipe's identity: its files by digest and its parameters by value, in their canonical spelling.
pub fn recipe_digest(files: &BTreeMap<String, Digest>, params: &BTreeMap<String, String>) -> Digest {
    let mut text = String::from("kiln recipe 1\n");
    for (path, digest) in files {
        text.push_str(&format!("file {digest} {path}\n"));
    }
    for (name, value) in params {
        text.push_str(&format!("param {} {name} {value}\n", value.len()));
    }
    Digest::of(text.as_bytes())
}

/// Every way in which `lock` is not the lock of `recipe`.
pub fn satisfies(recipe: &Recipe, lock: &Lock) -> Result<(), Vec<Mismatch>> {
    let mut wrong = Vec::new();
    let files: BTreeMap<String, Digest> = recipe.files.iter().map(|(path, file)| (path.clone(), file.digest)).collect();
    if lock.recipe.name != recipe.name {
        wrong.push(Mismatch(format!("it is the lock of `{}`, not of `{}`", lock.recipe.name, recipe.name)));
    }
    compare(&mut wrong, "file", &lock.recipe.files, &files);
    compare(&mut wrong, "parameter", &lock.recipe.params, &recipe.params);
    if wrong.is_empty() && lock.recipe.digest != recipe_digest(&files, &recipe.params) {
        wrong.push(Mismatch("its recipe digest does not follow from its own files and parameters".to_owned()));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn compare<T: PartialEq>(
    wrong: &mut Vec<Mismatch>,
    noun: &str,
    locked: &BTreeMap<String, T>,
    now: &BTreeMap<String, T>,
) {
    for (name, value) in now {
        match locked.get(name) {
            None => wrong.push(Mismatch(format!("{noun} `{name}` is new"))),
            Some(old) if old != value => wrong.push(Mismatch(format!("{noun} `{name}` has changed"))),
            Some(_) => {}
        }
    }
    for name in locked.keys().filter(|name| !now.contains_key(*name)) {
        wrong.push(Mismatch(format!("{noun} `{name}` is gone")));
    }
}
