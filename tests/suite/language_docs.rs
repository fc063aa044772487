//! docs/language.md: every block of kiln in it is a recipe without mistakes, and every report in it is what kiln says.

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
    world.files.insert(MAIN.into(), text.as_bytes().to_vec());
    world
}

fn said(text: &str) -> Option<String> {
    let mistakes = recipe::check(&world(text), Path::new(MAIN), &[]).err()?;
    Some(render(&mistakes.sources, &mistakes.diagnostics, false))
}

#[test]
fn language_page_is_true() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/language.md")).unwrap();
    let blocks = blocks(&page);
    assert!(blocks.iter().filter(|(kind, ..)| *kind == "kiln").count() > 8, "the examples are gone");
    for (at, (kind, line, text)) in blocks.iter().enumerate() {
        match *kind {
            "kiln" => {
                if let Some(report) = said(text) {
                    panic!("docs/language.md:{line}: this example has mistakes\n{report}");
                }
            }
            "kiln-mistake" => {
                assert_eq!(said(text).as_deref(), Some(blocks[at + 1].2.as_str()), "docs/language.md:{line}")
            }
            "text" => {}
            other => panic!("docs/language.md:{line}: nobody checks a block of {other:?}"),
        }
    }
}
