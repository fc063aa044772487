//! The texts that spans point into.

use std::path::{Path, PathBuf};

/// Names one file of a [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(u32);

/// Every source text read so far, in reading order.
#[derive(Debug, Default, Clone)]
pub struct SourceMap {
    files: Vec<(PathBuf, String)>,
}

impl SourceMap {
    /// Adds a text under the path that reports will show.
    pub fn add(&mut self, path: PathBuf, text: String) -> FileId {
        self.files.push((path, text));
        FileId((self.files.len() - 1) as u32)
    }

    /// The path a file was added under.
    pub fn path(&self, id: FileId) -> &Path {
        &self.files[id.0 as usize].0
    }

    /// The paths of all files, in reading order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    /// Line and column of a byte, from 1; columns in characters.
    pub fn position(&self, id: FileId, byte: u32) -> (usize, usize) {
        let text = self.text(id);
        let before = &text[..text.floor_char_boundary(byte as usize)];
        let line = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line..].chars().count() + 1)
    }

    /// The text of a file.
    pub fn text(&self, id: FileId) -> &str {
        &self.files[id.0 as usize].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_and_lines_begin_with_one() {
        let mut sources = SourceMap::default();
        let file = sources.add("a.kiln".into(), "eins\nzwölf x\n".to_owned());
        let at = |byte| sources.position(file, byte);
        assert_eq!([at(0), at(4), at(5), at(12), at(99)], [(1, 1), (1, 5), (2, 1), (2, 7), (3, 1)]);
    }
}
