//! One recipe or lock of a tree, checked by itself, and what only the whole tree tells of it: whether others import it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::heard::Warnings;
use super::walk::Found;
use super::{FindingSeverity, RecipeFinding, RecipeState, RecipeVerdict, lock_place, places};
use crate::base::SourceMap;
use crate::lock::{self as locks, ReadError};
use crate::ops::error::OpsError;
use crate::ops::inside::{self, TreeBound};
use crate::ops::load::{self, Loaded};
use crate::ops::options::RecipeOptions;
use crate::ops::session::Session;
use crate::ops::{check, lock, project};
use crate::syntax;

/// What one file says by itself.
pub(super) struct Checked {
    /// As the walk found it.
    path: PathBuf,
    /// Without links.
    real: PathBuf,
    kind: FileKind,
    findings: Vec<RecipeFinding>,
    /// Files that it imports, without links.
    imports: BTreeSet<PathBuf>,
}

/// What a file is.
enum FileKind {
    /// A recipe with a lock.
    Locked,
    /// A recipe without one, which would be here, that has a machine.
    Machines(PathBuf),
    /// The same, for images or kernels alone, or a library of some.
    Parts(PathBuf),
    /// A recipe without a lock that describes nothing to build, or that has errors.
    Nothing(RecipeState),
    /// Something that is wrong by being there: a lock without a recipe, or what cannot be read.
    Stray,
}

/// Files that others import, and the directories that these are in.
pub(super) struct Libraries {
    files: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
    /// What recipes with a lock fail by: a warning about the same place says nothing more.
    errors: BTreeSet<(PathBuf, usize, String)>,
}

/// Checks a file; `None` when there is nothing to say of it.
pub(super) fn one(session: &Session<'_>, bound: &TreeBound, found: Found) -> Option<Checked> {
    match found {
        Found::File(path) if let Some(outside) = bound.left_by(session.world, &path) => {
            // Locks of other programs have this ending, too.
            let is_lock = path.extension().is_some_and(|extension| extension == "lock");
            let severity = if is_lock { FindingSeverity::Warning } else { FindingSeverity::Error };
            Some(Checked::stray(path, RecipeFinding::leads_out(None, &outside, severity)))
        }
        Found::Unreadable(path, why) => Some(Checked::stray(path, RecipeFinding::unreadable(why))),
        Found::File(path) if path.extension().is_some_and(|extension| extension == "lock") => alone(session, path),
        Found::File(path) => Some(recipe(session, bound, path)),
    }
}

fn recipe(session: &Session<'_>, bound: &TreeBound, path: PathBuf) -> Checked {
    let heard = Warnings::default();
    let session = Session { world: session.world, listener: &heard };
    // As every command finds it: by what the path leads to, wherever it is seen from.
    let real = session.world.canonical(&path).unwrap_or_else(|_| path.clone());
    let lock_path = project::lock_path(&real);
    let locked = inside::is_there(&lock_path);
    if let Some(outside) = bound.left_by(session.world, &lock_path).filter(|_| locked) {
        let lock = places::from_here(&session, &lock_path);
        return Checked::stray(path, RecipeFinding::leads_out(Some(&lock), &outside, FindingSeverity::Error));
    }
    let mut imports = BTreeSet::new();
    let checked = load::recipe(&session, &RecipeOptions::of(&path)).and_then(|loaded| {
        imports = imported(&session, &loaded.recipe.sources, &real);
        if locked { lock::check(&loaded).map(|_| FileKind::Locked) } else { unlocked(&loaded, lock_path.clone()) }
    });
    // What was never locked may be unfinished; what imports it, and is locked, fails by it. What is no recipe at all is an error.
    let is_error = locked || (checked.is_err() && !parses(&session, &real));
    let severity = if is_error { FindingSeverity::Error } else { FindingSeverity::Warning };
    let (kind, mut findings) = match checked {
        Ok(kind) => (kind, Vec::new()),
        Err(error) => {
            error.report().iter().for_each(|report| imports.extend(imported(&session, &report.sources, &real)));
            let kind = if locked { FileKind::Locked } else { FileKind::Nothing(RecipeState::NotLocked) };
            (kind, lock_place::findings(&session, error, severity))
        }
    };
    findings.extend(heard.found());
    Checked { path, real, kind, findings, imports }
}

/// Whether the file has the syntax of a recipe. One that cannot be read has another error.
fn parses(session: &Session<'_>, path: &Path) -> bool {
    let Ok(bytes) = session.world.read(path, syntax::MAX_BYTES as u64) else { return true };
    let mut sources = SourceMap::default();
    String::from_utf8(bytes).is_ok_and(|text| {
        let file = sources.add(path.to_owned(), text.clone());
        syntax::parse(file, &text).1.is_empty()
    })
}

fn unlocked(loaded: &Loaded<'_>, lock_path: PathBuf) -> Result<FileKind, OpsError> {
    check(loaded)?;
    Ok(match &loaded.recipe {
        recipe if !recipe.machines.is_empty() => FileKind::Machines(lock_path),
        recipe if !recipe.goals.is_empty() => FileKind::Parts(lock_path),
        _ => FileKind::Nothing(RecipeState::Library),
    })
}

/// Every recipe file that was read but the first.
fn imported(session: &Session<'_>, sources: &SourceMap, itself: &Path) -> BTreeSet<PathBuf> {
    let real = sources.paths().filter_map(|path| session.world.canonical(path).ok());
    real.filter(|path| path != itself).collect()
}

/// A lock whose recipe is gone. Other programs have files with this ending, too, and those that cannot be read are theirs.
fn alone(session: &Session<'_>, path: PathBuf) -> Option<Checked> {
    let recipe = project::recipe_path(&session.world.canonical(&path).unwrap_or_else(|_| path.clone()));
    if inside::is_there(&recipe) {
        return None;
    }
    let text = load::lock_text(session.world, &path).ok()??;
    let ours = !matches!(locks::read(&text), Err(ReadError::Syntax { .. }));
    let finding = RecipeFinding::no_recipe(&places::from_here(session, &recipe));
    ours.then(|| Checked::stray(path, finding))
}

/// What the recipes of a tree import from it.
pub(super) fn libraries(checked: &[Checked]) -> Libraries {
    let files: BTreeSet<PathBuf> = checked.iter().flat_map(|checked| checked.imports.iter().cloned()).collect();
    let directories = checked.iter().flat_map(|checked| {
        let own = checked.real.parent();
        let others = checked.imports.iter().filter_map(|file| file.parent());
        others.filter(move |directory| Some(*directory) != own).map(Path::to_owned)
    });
    let directories = directories.collect();
    let findings = checked.iter().flat_map(|checked| &checked.findings);
    let errors = findings.filter(|finding| finding.severity == FindingSeverity::Error).filter_map(key).collect();
    Libraries { files, directories, errors }
}

fn key(finding: &RecipeFinding) -> Option<(PathBuf, usize, String)> {
    let place = finding.place.as_ref()?;
    Some((place.file.clone(), place.line, finding.message.clone()))
}

impl Checked {
    fn stray(path: PathBuf, finding: RecipeFinding) -> Checked {
        let (kind, findings) = (FileKind::Stray, vec![finding]);
        Checked { real: path.clone(), path, kind, findings, imports: BTreeSet::new() }
    }

    /// With what the tree says of it.
    pub(super) fn verdict(mut self, session: &Session<'_>, libraries: &Libraries) -> RecipeVerdict {
        self.findings.retain(|finding| finding.severity == FindingSeverity::Error || !libraries.fails_by(finding));
        let state = match self.kind {
            FileKind::Locked => RecipeState::Verified,
            FileKind::Nothing(state) => state,
            FileKind::Parts(_) if libraries.has(&self.real) => RecipeState::Library,
            FileKind::Machines(lock) | FileKind::Parts(lock) => {
                self.findings.push(RecipeFinding::not_locked(&places::from_here(session, &lock)));
                RecipeState::NotLocked
            }
            FileKind::Stray => RecipeState::Failed,
        };
        let mut verdict = RecipeVerdict { recipe: self.path, state, findings: self.findings };
        if verdict.class().is_some() {
            verdict.state = RecipeState::Failed;
        }
        verdict
    }
}

impl Libraries {
    /// Whether others import the file, or files beside it: a collection of images to start from is not all used.
    fn has(&self, real: &Path) -> bool {
        self.files.contains(real) || real.parent().is_some_and(|directory| self.directories.contains(directory))
    }

    fn fails_by(&self, finding: &RecipeFinding) -> bool {
        key(finding).is_some_and(|key| self.errors.contains(&key))
    }
}
