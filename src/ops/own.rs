//! What kiln itself writes cannot be part of what a recipe is made of: it would be another tree after every command.

use std::path::{Path, PathBuf};

use super::project;
use crate::base::Diagnostic;
use crate::recipe::Recipe;
use crate::recipe::build::BuildSource;
use crate::recipe::git::GIT;
use crate::recipe::image::Content;
use crate::recipe::local::{LocalPlace, LocalUse};
use crate::store::Store;
use crate::world::World;

/// A tree of the recipe that has kiln's own files in it is a mistake at the tree.
pub(super) fn files(world: &dyn World, recipe: &Recipe, lock: &Path) -> Vec<Diagnostic> {
    let mut mistakes = Vec::new();
    let own = own(world, lock);
    let of_images = recipe.images.values().flat_map(|image| &image.files).filter_map(|file| match &file.content {
        Content::Tree(key) => Some((key, file.span)),
        _ => None,
    });
    let sources = recipe.builds.values().flat_map(|build| build.sources.values());
    let of_builds = sources.filter_map(|source| match &source.value {
        BuildSource::Directory(key) => Some((key, source.span)),
        _ => None,
    });
    for (key, span) in of_images.chain(of_builds) {
        let Some(directory) = recipe.files.get(key).and_then(|tree| tree.as_directory()) else { continue };
        for Own { what, path } in own.iter().filter(|own| own.path.starts_with(&directory.path)) {
            let below = path.strip_prefix(&directory.path).unwrap_or(path).display();
            let wrong = Diagnostic::new(span, format!("the directory of this tree holds {what}: `{below}`"));
            let wrong = wrong.label("it would be another tree after each command");
            mistakes.push(wrong.hint("put what the recipe needs into a directory of its own"));
        }
    }
    for LocalUse { reader, place, span, .. } in recipe.local() {
        let LocalPlace::At(path) = place else { continue };
        let is_working_tree = || world.directory(path).is_ok_and(|directory| directory.kind(GIT).is_ok());
        if let Some(Own { what, path: inside }) = own.iter().find(|own| own.path.starts_with(path))
            && !is_working_tree()
        {
            let below = inside.strip_prefix(path).unwrap_or(inside).display();
            let wrong = Diagnostic::new(span, format!("the directory of {} holds {what}: `{below}`", reader.words()));
            let wrong = wrong.label("it would be another source after each command");
            mistakes
                .push(wrong.hint("put what is to be built into a directory of its own, or into a git working tree"));
        }
    }
    mistakes
}

/// Something that kiln writes.
struct Own {
    what: &'static str,
    path: PathBuf,
}

fn own(world: &dyn World, lock: &Path) -> Vec<Own> {
    let directory = lock.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let lock = world.canonical(directory).ok().zip(lock.file_name()).map(|(parent, name)| parent.join(name));
    let results = world.canonical(Path::new(project::RESULTS)).ok();
    let store = Store::default_root(world).and_then(|root| world.canonical(&root).ok());
    let of = |what, path: Option<PathBuf>| path.map(|path| Own { what, path });
    [of("the lock of the recipe", lock), of("results of builds", results), of("kiln's store", store)]
        .into_iter()
        .flatten()
        .collect()
}
