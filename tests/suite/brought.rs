//! What a recipe brings along: files of any size, read piece by piece, and compared with what they were.

mod trees;
mod working_trees;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kiln::base::Digest;
use kiln::exec::ExecError;
use kiln::exec::event::IgnoreSteps;
use kiln::exec::fetch::Fetcher;
use kiln::plan::Fetch;
use kiln::plan::step::FetchPlace;
use kiln::recipe::content::{DiskSource, FileContent, MAX_HELD};
use kiln::recipe::{self, Mistakes, Recipe};
use kiln::store::Store;
use kiln::world::{RealWorld, World, WorldError, contents};

use super::store::scratch;

/// A directory with a recipe: `image i` with these statements in it.
pub(super) struct Brought {
    pub(super) root: PathBuf,
}

impl Drop for Brought {
    fn drop(&mut self) {
        let _ = kiln::world::fs::remove_tree(&self.root);
    }
}

impl Brought {
    pub(super) fn new(name: &str) -> Brought {
        let root = scratch(name);
        std::fs::create_dir_all(&root).unwrap();
        Brought { root: root.canonicalize().unwrap() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(super) fn check(&self, statements: &str) -> Result<Recipe, Mistakes> {
        let text = format!(
            "packages t {{ include = [\"busybox-static\", \"e2fsprogs\", \"kmod\"] }}\nimage i {{\n  size = 64MiB\n  \
             tools = t\n  packages = [\"udev\"]\n{statements}\n}}\n"
        );
        self.write("main.kiln", text.as_bytes());
        recipe::check(&RealWorld::default(), &self.path("main.kiln"), &[])
    }

    /// The first mistake, with its label and its hint.
    pub(super) fn mistake(&self, statements: &str) -> String {
        let first = self.check(statements).unwrap_err().diagnostics.remove(0);
        format!("{}; {}; {}", first.message, first.label, first.hint.unwrap_or_default())
    }
}

fn large() -> Vec<u8> {
    (0..MAX_HELD / 4 + 1).flat_map(|number| (number as u32).to_le_bytes()).collect()
}

fn fetch(path: &Path, bytes: &[u8]) -> Fetch {
    Fetch {
        label: "big.bin".to_owned(),
        size: bytes.len() as u64,
        digest: Digest::of(bytes),
        place: FetchPlace::Recipe(DiskSource::File(path.to_owned())),
    }
}

fn import(store: &Store, fetch: &Fetch, private: bool) -> Result<(), ExecError> {
    let (world, nowhere) = (RealWorld::default(), |_: &FetchPlace| Vec::new());
    let hidden = private.then_some(fetch.digest).into_iter().collect();
    Fetcher::new(store, &world, &nowhere, &IgnoreSteps, &|| false).hiding(&hidden).fetch(&[fetch])
}

#[test]
fn small_files_are_held_and_large_ones_stay_on_disk() {
    let brought = Brought::new("brought-held");
    let bytes = large();
    brought.write("small", &bytes[..MAX_HELD as usize]);
    brought.write("big", &bytes);
    let recipe =
        brought.check("file \"/a\" { source = file \"small\" } file \"/b\" { source = file \"big\" }").unwrap();
    let (small, big) = (&recipe.files["small"], &recipe.files["big"]);
    assert_eq!(small.bytes(), Some(&bytes[..MAX_HELD as usize]));
    assert_eq!((big.digest, big.size), (Digest::of(&bytes), bytes.len() as u64));
    assert!(big.content == FileContent::OnDisk(DiskSource::File(brought.path("big"))));
}

#[test]
fn a_large_file_comes_into_the_store_and_a_private_one_stays_private() {
    for (name, private, mode) in [("brought-open", false, 0o444), ("brought-private", true, 0o400)] {
        let (brought, bytes) = (Brought::new(name), large());
        brought.write("big", &bytes);
        let store = Store::open(&brought.path("store")).unwrap();
        let fetch = fetch(&brought.path("big"), &bytes);
        import(&store, &fetch, private).unwrap();
        let path = store.path(&fetch.digest).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode);
        // What is there is not read again.
        std::fs::remove_file(brought.path("big")).unwrap();
        import(&store, &fetch, private).unwrap();
    }
}

#[test]
fn a_file_that_changed_since_is_an_error_and_leaves_nothing_in_the_store() {
    let (brought, mut bytes) = (Brought::new("brought-changed"), large());
    let fetch = fetch(&brought.path("big"), &bytes);
    let store = Store::open(&brought.path("store")).unwrap();
    bytes[7] ^= 1;
    for other in [bytes.clone(), bytes[1..].to_vec(), Vec::new()] {
        brought.write("big", &other);
        let error = import(&store, &fetch, false).unwrap_err();
        assert!(matches!(&error, ExecError::Changed { file } if file == "big.bin"), "{error}");
        assert!(!store.has(&fetch.digest) && !store.has(&Digest::of(&other)));
    }
    std::fs::remove_file(brought.path("big")).unwrap();
    assert!(import(&store, &fetch, false).unwrap_err().to_string().contains("cannot open"));
}

#[test]
fn a_file_that_grows_while_it_is_read_is_an_error() {
    struct Growing<'a>(&'a Path, u64);
    impl std::io::Write for Growing<'_> {
        fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
            let mut file = std::fs::OpenOptions::new().append(true).open(self.0)?;
            file.write_all(buffer)?;
            self.1 += buffer.len() as u64;
            Ok(buffer.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (brought, bytes) = (Brought::new("brought-growing"), large());
    brought.write("big", &bytes);
    let path = brought.path("big");
    let mut growing = Growing(&path, 0);
    let error = contents::stream(&path, &mut growing).unwrap_err();
    assert!(matches!(error, WorldError::Changed { .. }), "{error}");
    // It read no more than there was at first.
    assert_eq!(growing.1, bytes.len() as u64);
}

#[test]
fn what_is_no_plain_file_is_no_file_of_a_recipe() {
    let brought = Brought::new("brought-odd");
    rustix::fs::mknodat(rustix::fs::CWD, brought.path("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    std::fs::create_dir(brought.path("directory")).unwrap();
    for (name, noun) in [("pipe", "a named pipe"), ("directory", "a directory")] {
        let said = brought.mistake(&format!("file \"/a\" {{ source = file \"{name}\" }}"));
        assert!(said.contains(noun), "{said}");
    }
    assert!(RealWorld::default().stream(&brought.path("pipe"), &mut std::io::sink()).is_err());
}

#[test]
fn a_local_address_says_what_to_write() {
    let brought = Brought::new("brought-address");
    for address in ["file:///srv/big.img", "/srv/big.img"] {
        let said = brought.mistake(&format!("file \"/a\" {{ source = url \"{address}\" }}"));
        assert!(said.contains("unsupported URL") && said.contains("is written `file \"PATH\"`"), "{said}");
    }
    let said = brought.mistake("file \"/a\" { source = url \"ftp://mirror.example/x\" }");
    assert!(said.contains("expected `https://HOST/PATH` or `http://HOST/PATH`") && !said.contains("`file"), "{said}");
}
