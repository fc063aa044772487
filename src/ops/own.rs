//! What kiln itself writes cannot be part of what a recipe is made of: it would be another tree after every command.

use std::path::{Path, PathBuf};

use super::project;
use crate::base::Diagnostic;
use crate::recipe::Recipe;
use crate::recipe::image::Content;
use crate::store::Store;
use crate::world::World;

/// A tree of the recipe that has kiln's own files in it is a mistake at the tree.
pub(super) fn files(world: &dyn World, recipe: &Recipe, lock: &Path) -> Vec<Diagnostic> {
    let mut mistakes = Vec::new();
    let own = own(world, lock);
    let trees = recipe.images.values().flat_map(|image| &image.files);
    for file in trees {
        let Content::Tree(key) = &file.content else { continue };
        let Some(directory) = recipe.files.get(key).and_then(|tree| tree.as_directory()) else { continue };
        for Own { what, path } in own.iter().filter(|own| own.path.starts_with(&directory.path)) {
            let below = path.strip_prefix(&directory.path).unwrap_or(path).display();
            let wrong = Diagnostic::new(file.span, format!("the directory of this tree holds {what}: `{below}`"));
            let wrong = wrong.label("it would be another tree after each command");
            mistakes.push(wrong.hint("put what belongs into the image into a directory of its own"));
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
