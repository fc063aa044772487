//! Fields of an image that write a file which the recipe may write as well: only one of the two can be in the image.

use super::ImageFile;
use crate::base::{Diagnostic, Spanned};
use crate::recipe::reader::Reader;

/// The fields, and the files that programs read for them.
const FIELDS: [(&str, &[&str]); 3] = [
    ("hostname", &["/etc/hostname"]),
    ("locale", &["/etc/default/locale", "/etc/locale.conf"]),
    ("timezone", &["/etc/localtime", "/etc/timezone"]),
];

/// Rejects files beside a field that is stated. Without the field, the file takes the place of what kiln would write.
pub(super) fn once(stated: [&Option<Spanned<String>>; 3], files: &[ImageFile], reader: &Reader<'_>) {
    for ((field, paths), stated) in FIELDS.into_iter().zip(stated) {
        let Some(Spanned { span, .. }) = stated else { continue };
        for file in files.iter().filter(|file| paths.contains(&file.path.as_str())) {
            let wrong = Diagnostic::new(*span, format!("`{field}` and `{}` say the same thing twice", file.path));
            let wrong = wrong.label("this field would be without effect").related(file.span, "this replaces its file");
            reader.error(wrong.hint(format!("leave out `{}`, or the field", file.path)));
        }
    }
}
