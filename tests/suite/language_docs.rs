//! The pages with examples: every block of kiln in them is a valid recipe, and every error in them is what kiln prints.

use std::path::{Path, PathBuf};

use kiln::base::render::render;
use kiln::recipe;
use kiln::world::memory::MemoryWorld;

const MAIN: &str = "/r/recipes/main.kiln";

/// The fenced blocks of a page, with what stands after the fence and the line it starts on.
fn blocks(page: &str) -> Vec<(&str, usize, String)> {
    let mut blocks: Vec<(&str, usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in page.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(kind) => {
                blocks.push((kind, number + 2, String::new()));
                open = true;
            }
            None if open => blocks.last_mut().unwrap().2.push_str(&format!("{line}\n")),
            None => {}
        }
    }
    assert!(!open, "a block is not closed");
    blocks
}

/// The repository's own library beside the recipe, and a key.
fn world(text: &str) -> MemoryWorld {
    let mut world = MemoryWorld::default();
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/lib");
    for directory in [library.clone(), library.join("keys")] {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let key: PathBuf = path.strip_prefix(&library).unwrap().to_owned();
                world.files.insert(Path::new("/r/recipes/lib").join(key), std::fs::read(&path).unwrap());
            }
        }
    }
    world.files.insert("/r/recipes/keys/me.pub".into(), b"ssh-ed25519 AAAA me\n".to_vec());
    world.files.insert("/r/recipes/srv".into(), b"\x7fELF".to_vec());
    world.files.insert("/r/recipes/hello.c".into(), b"int init_module(void) { return 0; }\n".to_vec());
    world.files.insert("/r/recipes/tool_1.0_amd64.deb".into(), b"!<arch>\n".to_vec());
    world.directories.insert("/r/recipes/app".into(), library.join("keys"));
    world.files.insert(MAIN.into(), text.as_bytes().to_vec());
    world
}

fn said(text: &str) -> Option<String> {
    let mistakes = recipe::check(&world(text), Path::new(MAIN), &[]).err()?;
    Some(render(&mistakes.sources, &mistakes.diagnostics, false))
}

/// Checks every fenced block of a page, and how many there are of each kind.
fn check(name: &str) -> (usize, usize) {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let blocks = blocks(&page);
    for (at, (kind, line, text)) in blocks.iter().enumerate() {
        match *kind {
            "kiln" => {
                if let Some(report) = said(text) {
                    panic!("{name}:{line}: this example has errors\n{report}");
                }
            }
            "kiln-mistake" => assert_eq!(said(text).as_deref(), Some(blocks[at + 1].2.as_str()), "{name}:{line}"),
            "text" => {}
            other => panic!("{name}:{line}: nobody checks a block of {other:?}"),
        }
    }
    let count = |wanted: &str| blocks.iter().filter(|(kind, ..)| *kind == wanted).count();
    (count("kiln"), count("kiln-mistake"))
}

#[test]
fn language_page_is_true() {
    assert!(check("docs/language.md").0 > 8, "the examples are gone");
}

#[test]
fn build_page_is_true() {
    assert_eq!(check("docs/build.md").0, 4, "an example is gone");
}

#[test]
fn the_page_about_memory_is_true() {
    assert_eq!(check("docs/memory.md").0, 2, "an example is gone");
}

#[test]
fn the_page_about_directories_is_true() {
    let (recipes, mistakes) = check("docs/directories.md");
    assert_eq!((recipes, mistakes), (1, 0));
}

#[test]
fn language_errors_page_is_true() {
    assert!(check("docs/errors.md").1 > 0, "the examples are gone");
}

/// The page of images has an example for every word that their checker asks for.
#[test]
fn images_page_is_true_and_complete() {
    assert!(check("docs/images.md").0 > 4, "the examples are gone");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/images.md")).unwrap();
    let examples: String =
        blocks(&page).into_iter().filter(|(kind, ..)| *kind == "kiln").map(|(.., text)| text).collect();
    let words: Vec<&str> = examples.split_whitespace().collect();
    let call = r#"(?:reader\.|word\(&mut reader, |account\(&mut reader, )[a-z_:<>A-Za-z]*\(?"([a-z-]+)""#;
    let call = regex::Regex::new(call).unwrap();
    let mut checkers = vec![root.join("src/recipe/packages.rs")];
    let files = std::fs::read_dir(root.join("src/recipe/image")).unwrap();
    checkers.extend(files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    let mut asked = 0;
    for source in checkers {
        for found in call.captures_iter(&std::fs::read_to_string(source).unwrap()) {
            assert!(words.contains(&&found[1]), "docs/images.md has no example of `{}`", &found[1]);
            asked += 1;
        }
    }
    assert!(asked > 20, "only {asked} words of images were found in their checkers");
}

#[test]
fn the_page_about_kernels_is_true() {
    assert_eq!(check("docs/kernel.md").0, 3, "an example is gone");
}
