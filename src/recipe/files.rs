//! The files of a recipe: read once, bounded, and never from outside the recipe's root.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::RecipeFile;
use super::directory::{Directory, Modes, TreeView};
use super::local::LocalPlace;
use crate::base::{ByteSize, FileId, SourceMap};
use crate::syntax::MAX_BYTES;
use crate::world::{World, WorldError};

/// Bytes of all files that are held in memory together.
const MAX_TOTAL: u64 = 128 << 20;

/// What has been read so far.
pub(super) struct Files<'w> {
    world: &'w dyn World,
    /// The directory that nothing may leave.
    pub(super) root: PathBuf,
    /// How reports show the root: the way the user wrote it.
    shown: PathBuf,
    /// Texts of recipes.
    pub(super) sources: SourceMap,
    /// Every file by its path relative to the root.
    pub(super) read: BTreeMap<String, RecipeFile>,
    /// Bytes of those that are held in memory.
    held: u64,
    /// The key of every text.
    keys: BTreeMap<FileId, String>,
}

/// What reads a directory that is part of the recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DirectoryReader {
    /// An image, or a name that is given to it: all of it.
    Image,
    /// A build, as its source: of a git working tree what git sees.
    Build,
}

/// Why a file cannot be part of the recipe: a message, and a hint.
pub(super) struct Refused(pub(super) String, pub(super) Option<String>);

impl<'w> Files<'w> {
    /// Finds the root of the recipe at `path`, and the recipe's key in it.
    pub(super) fn open(world: &'w dyn World, path: &Path) -> Result<(Files<'w>, String), WorldError> {
        let real = world.canonical(path)?;
        let home = real.parent().unwrap_or(Path::new("/"));
        let library = home.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == "recipes"));
        let root = library.unwrap_or(home).to_owned();
        let relative = real.strip_prefix(&root).unwrap_or(&real).to_owned();
        let mut shown = path.to_owned();
        // `recipes/a/b.kiln` with the key `a/b.kiln`: reports show other files below `recipes`, too.
        if !path.ends_with(&relative) || !relative.components().all(|_| shown.pop()) {
            shown.clone_from(&root);
        }
        let key = relative.to_string_lossy().into_owned();
        let (read, keys) = (BTreeMap::new(), BTreeMap::new());
        Ok((Files { world, root, shown, sources: SourceMap::default(), read, held: 0, keys }, key))
    }

    /// The key of the file that `path` means in the text `from`.
    pub(super) fn key(&self, from: FileId, path: &str) -> Result<String, Refused> {
        let key = self.path(from, path)?;
        if key.is_empty() { Err(Refused(format!("`{path}` is not a file"), None)) } else { Ok(key) }
    }

    /// What `path` means in the text `from`, relative to the root; empty for the root itself.
    fn path(&self, from: FileId, path: &str) -> Result<String, Refused> {
        if Path::new(path).is_absolute() {
            let hint = "paths are relative to the file they stand in";
            return Err(Refused(format!("`{path}` is an absolute path"), Some(hint.to_owned())));
        }
        let home = self.keys.get(&from).map_or(Path::new(""), |key| Path::new(key).parent().unwrap_or(Path::new("")));
        let mut parts: Vec<&str> = home.iter().filter_map(|part| part.to_str()).collect();
        for component in Path::new(path).components() {
            match component {
                Component::Normal(part) => parts.extend(part.to_str()),
                Component::ParentDir if parts.pop().is_none() => return Err(self.outside(path)),
                _ => {}
            }
        }
        if path.contains('\0') {
            return Err(Refused(format!("`{path}` is not a file"), None));
        }
        Ok(parts.join("/"))
    }

    fn outside(&self, path: &str) -> Refused {
        let hint =
            format!("the root is the nearest directory called `recipes`, else the recipe's own: {}", self.shown());
        Refused(format!("`{path}` is outside of the recipe's root"), Some(hint))
    }

    fn shown(&self) -> String {
        let shown = self.shown.display().to_string();
        if shown.is_empty() { "this directory".to_owned() } else { format!("`{shown}`") }
    }

    /// Reads a file that is copied into an image or a build, of any size.
    pub(super) fn copy(&mut self, key: &str) -> Result<(), Refused> {
        if self.read.contains_key(key) {
            return Ok(());
        }
        let real = self.real(key)?;
        let file = RecipeFile::read(self.world, &real).map_err(|error| {
            let hint = format!(
                "a whole directory is written `directory \"{key}\"`: in a `tree` of an image, or as the source of a kernel or a build"
            );
            let is_directory = self.world.directory(&real).is_ok();
            let Refused(message, none) = self.refuse(key, error);
            Refused(message, is_directory.then_some(hint).or(none))
        })?;
        self.keep(key, file)
    }

    /// Reads a directory, whole or as a source is read; its key, which is no file's.
    pub(super) fn directory(
        &mut self,
        from: FileId,
        path: &str,
        (modes, read): (Modes, DirectoryReader),
    ) -> Result<String, Refused> {
        let below = self.path(from, path)?;
        let shown = if below.is_empty() { "." } else { &below };
        let key = match modes {
            Modes::Executable => format!("{shown}/"),
            Modes::Exact => format!("{shown}//exact"),
        };
        let known = self.read.get(&key).and_then(RecipeFile::as_directory);
        let other = match read {
            DirectoryReader::Image => TreeView::Git,
            DirectoryReader::Build => TreeView::Whole,
        };
        match known {
            // Under its key, a lock has one digest.
            Some(known) if known.is_working_tree() && known.view == other => {
                let message = format!("a build reads what git sees of `{shown}`, and an image takes all of it");
                let hint = "let the build leave a directory, and write `tree \"/path\" { source = output \"NAME\" from BUILD }`";
                return Err(Refused(message, Some(hint.to_owned())));
            }
            Some(_) => return Ok(key),
            None => {}
        }
        let real = self.real(&below)?;
        let opened = self.world.directory(&real).map_err(|error| self.no_directory(&below, error))?;
        let tree = match read {
            DirectoryReader::Image => Directory::of(&opened, modes),
            DirectoryReader::Build => Directory::of_source(&opened, modes),
        };
        let tree = tree.and_then(RecipeFile::directory);
        let tree = tree.map_err(|error| Refused(format!("cannot read `{shown}` as a tree: {error}"), None))?;
        self.keep(&key, tree)?;
        Ok(key)
    }

    /// Where a directory is that is read later, if at all.
    pub(super) fn local(&self, from: FileId, path: &str) -> LocalPlace {
        let Ok(key) = self.path(from, path) else { return LocalPlace::Outside };
        match self.world.canonical(&self.root.join(&key)) {
            Ok(real) if !real.starts_with(&self.root) => LocalPlace::Outside,
            Ok(real) if self.world.directory(&real).is_ok() => LocalPlace::At(real),
            Ok(_) => LocalPlace::Missing(format!("`{}` is not a directory", self.shown.join(&key).display())),
            Err(_) => LocalPlace::Missing(format!("there is no directory `{}`", self.shown.join(&key).display())),
        }
    }

    /// Whether a path leads out of the root: by its own words, or through a link.
    pub(super) fn is_outside(&self, from: FileId, path: &str) -> bool {
        !path.contains('\0') && self.local(from, path) == LocalPlace::Outside
    }

    fn no_directory(&self, key: &str, error: WorldError) -> Refused {
        let refused = self.refuse(key, error);
        let hint = "a single file is put into an image by `file \"/path\" { source = file \"...\" }`";
        let is_file = self.world.stream(&self.root.join(key), &mut std::io::sink()).is_ok();
        if is_file { Refused(refused.0, Some(hint.to_owned())) } else { refused }
    }

    /// Reads a recipe's text.
    pub(super) fn text(&mut self, key: &str) -> Result<FileId, Refused> {
        if !self.read.contains_key(key) {
            let real = self.real(key)?;
            let bytes = self.world.read(&real, MAX_BYTES as u64).map_err(|error| self.refuse(key, error))?;
            self.keep(key, RecipeFile::held(bytes))?;
        }
        let text = std::str::from_utf8(self.read[key].bytes().unwrap_or_default());
        let text = text.map_err(|wrong| {
            Refused(format!("`{key}` is not UTF-8"), Some(format!("byte {} cannot be read", wrong.valid_up_to())))
        })?;
        let id = self.sources.add(self.shown.join(key), text.to_owned());
        self.keys.insert(id, key.to_owned());
        Ok(id)
    }

    /// Adds a text that stands in no file: a value from the command line, relative to the main recipe's directory.
    pub(super) fn virtual_text(&mut self, name: &str, text: String, home: &str) -> FileId {
        let id = self.sources.add(PathBuf::from(name), text);
        self.keys.insert(id, home.to_owned());
        id
    }

    /// The path of a file without links, which must not lead out of the root.
    fn real(&self, key: &str) -> Result<PathBuf, Refused> {
        let real = self.world.canonical(&self.root.join(key)).map_err(|error| self.refuse(key, error))?;
        if real.starts_with(&self.root) {
            return Ok(real);
        }
        let Refused(message, hint) = self.outside(key);
        Err(Refused(format!("{message}: it leads through a symbolic link"), hint))
    }

    fn keep(&mut self, key: &str, file: RecipeFile) -> Result<(), Refused> {
        self.held += file.bytes().map_or(0, |bytes| bytes.len() as u64);
        if self.held > MAX_TOTAL {
            let most = ByteSize(MAX_TOTAL);
            let message = format!("the small files of this recipe exceed {most} together");
            let hint = "one `tree` with `source = directory \"...\"` takes any number of files";
            return Err(Refused(message, Some(hint.to_owned())));
        }
        self.read.insert(key.to_owned(), file);
        Ok(())
    }

    fn refuse(&self, key: &str, error: WorldError) -> Refused {
        let shown = self.shown.join(key).display().to_string();
        match error {
            WorldError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Refused(format!("there is no file `{shown}`"), None)
            }
            WorldError::File { source, .. } => Refused(format!("cannot read `{shown}`: {source}"), None),
            WorldError::TooLarge { limit, .. } => {
                Refused(format!("`{shown}` is larger than {}", ByteSize(limit)), None)
            }
            other => Refused(other.to_string(), None),
        }
    }
}
