//! Statements of a recipe that cannot both be true of one tree: two at one path, and one below what is no directory.

use std::collections::BTreeMap;
use std::path::Path;

use super::file::below;
use super::partition::LINKS_INTO_USR;
use super::{Content, ImageFile};
use crate::base::Diagnostic;
use crate::recipe::reader::Reader;

/// Reports them. What packages make of a path shows when the image is built.
pub(super) fn report(files: &[ImageFile], reader: &Reader<'_>) {
    let mut places: BTreeMap<String, &ImageFile> = BTreeMap::new();
    for file in files {
        if let Some(first) = places.insert(place(&file.path), file) {
            let wrong = Diagnostic::new(file.span, format!("`{}` and `{}` are the same path", first.path, file.path));
            let wrong = wrong.label("again here").related(first.span, "first here");
            reader.error(wrong.hint("every Debian since 12 has links from `/bin`, `/lib` and `/sbin` into `/usr`"));
        }
    }
    for (path, file) in &places {
        let above = Path::new(path).ancestors().skip(1).filter_map(|above| places.get(above.to_str()?));
        if let Some((above, what)) = above.filter_map(|above| Some((above, no_directory(above)?))).last() {
            let wrong = Diagnostic::new(file.span, format!("`{}` cannot lie below `{}`", file.path, above.path));
            reader.error(wrong.label("below it").related(above.span, format!("this is {what}")));
        }
    }
}

/// Where a path of the recipe lies, as the links of merged `/usr` lead there.
fn place(path: &str) -> String {
    let linked = LINKS_INTO_USR.iter().any(|link| path != *link && below(path, link));
    if linked { format!("/usr{path}") } else { path.to_owned() }
}

fn no_directory(file: &ImageFile) -> Option<&'static str> {
    match file.content {
        Content::Directory | Content::Tree(_) | Content::OutputTree(_) => None,
        Content::Link(_) => Some("a link"),
        Content::Text(_) | Content::File(_) | Content::Url(_) | Content::Output(_) => Some("a file"),
    }
}
