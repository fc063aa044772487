//! What a hostile or broken file may do to kiln: nothing but get an error, soon.

use std::path::Path;

use kiln::recipe::{self, Mistakes};
use kiln::world::RealWorld;
use kiln::world::memory::MemoryWorld;

fn check(bytes: &[u8]) -> Result<kiln::recipe::Recipe, Mistakes> {
    let mut world = MemoryWorld::default();
    world.files.insert("/r/main.kiln".into(), bytes.to_vec());
    recipe::check(&world, Path::new("/r/main.kiln"), &[])
}

fn messages(bytes: &[u8]) -> Vec<String> {
    let mistakes = check(bytes).err().map(|mistakes| mistakes.diagnostics).unwrap_or_default();
    mistakes.into_iter().map(|mistake| mistake.message).collect()
}

#[test]
fn language_files_full_of_one_thing_are_refused() {
    const BYTES: usize = 1 << 20;
    for piece in [
        "{", "}", "[", "]", "a{", "a=[", "\"", "\"\"\"\n", "a=\"${", "#", "a ", "a=1 ", "@\n", "\u{e9}", "a b{\n", "0",
        "a..", "\\",
    ] {
        let text = piece.repeat(BYTES / piece.len());
        let said = messages(text.as_bytes()).len();
        assert!((1..=101).contains(&said) || (piece == "#" && said == 0), "{piece}: {said} mistakes");
    }
}

#[test]
fn language_limits_are_said() {
    let large = vec![b'#'; (1 << 20) + 1];
    assert!(messages(&large)[0].contains("larger than"), "{:?}", messages(&large));
    assert!(messages(b"let a = 1\n\xff")[0].contains("UTF-8"));
    let said = messages("a = 1 ".repeat(20_000).as_bytes());
    assert!(said.iter().any(|message| message == "too many entries"), "{said:?}");
}

#[test]
fn language_a_missing_recipe_is_named() {
    let world = MemoryWorld::default();
    let mistakes = recipe::check(&world, Path::new("/r/none.kiln"), &[]).unwrap_err();
    assert!(mistakes.diagnostics[0].message.contains("/r/none.kiln"));
}

#[test]
fn language_a_recipe_is_named_after_its_file() {
    let mut world = MemoryWorld::default();
    world.files.insert("/r/two words.kiln".into(), Vec::new());
    let mistakes = recipe::check(&world, Path::new("/r/two words.kiln"), &[]).unwrap_err();
    assert!(mistakes.diagnostics[0].message.contains("two words"));
}

#[test]
fn language_a_link_does_not_lead_out_of_the_root() {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("language-link");
    let _ = std::fs::remove_dir_all(&scratch);
    std::fs::create_dir_all(scratch.join("recipes")).unwrap();
    std::fs::write(scratch.join("secret.kiln"), "let a = 1\n").unwrap();
    std::fs::write(scratch.join("recipes/inside.kiln"), "let b = 1\n").unwrap();
    std::os::unix::fs::symlink("../secret.kiln", scratch.join("recipes/link.kiln")).unwrap();
    std::os::unix::fs::symlink("inside.kiln", scratch.join("recipes/good.kiln")).unwrap();
    let main = scratch.join("recipes/main.kiln");
    std::fs::write(&main, "import \"link.kiln\"\n").unwrap();
    let mistakes = recipe::check(&RealWorld::default(), &main, &[]).unwrap_err();
    assert!(mistakes.diagnostics[0].message.contains("is outside of the recipe's root"));
    std::fs::write(&main, "import \"good.kiln\"\n").unwrap();
    assert!(recipe::check(&RealWorld::default(), &main, &[]).is_ok());
}

#[test]
fn language_a_recipe_carries_what_it_means() {
    let mut world = MemoryWorld::default();
    let main = b"import \"lib/a.kiln\"\nparam size = 1GiB\nparam name = \"x\"\nimage i extends base { size = size hostname = name }\n";
    let library = b"packages t { include = [\"busybox-static\", \"e2fsprogs\", \"kmod\"] }\nimage base {\n  tools = t\n  size = 64MiB\n  \
        packages = [\"udev\"]\n  file \"/k\" { source = file \"k\" }\n}\n";
    world.files.insert("/p/recipes/deep/main.kiln".into(), main.to_vec());
    world.files.insert("/p/recipes/deep/lib/a.kiln".into(), library.to_vec());
    world.files.insert("/p/recipes/deep/lib/k".into(), b"bytes".to_vec());
    let set = [("size".to_owned(), "1024MiB".to_owned()), ("name".to_owned(), "two".to_owned())];
    let recipe = recipe::check(&world, Path::new("/p/recipes/deep/main.kiln"), &set).unwrap();
    assert_eq!(recipe.name, "main");
    assert_eq!(recipe.root, Path::new("/p/recipes"));
    assert_eq!(recipe.files.keys().collect::<Vec<_>>(), ["deep/lib/a.kiln", "deep/lib/k", "deep/main.kiln"]);
    assert_eq!(recipe.files["deep/lib/k"].bytes(), Some(b"bytes".as_slice()));
    assert_eq!(recipe.params["size"], "1GiB");
    assert_eq!(recipe.params["name"], "\"two\"");
    let image = &recipe.images["i"];
    assert_eq!(
        (image.machine_disk().size, image.hostname.as_str(), image.packages.name.as_str()),
        (1 << 30, "two", "i")
    );
    assert_eq!(image.packages.requests[0].name, "udev");
    assert_eq!(image.files[0].content, recipe::image::Content::File("deep/lib/k".to_owned()));
    assert_eq!(image.machine_disk().tools.name, "t");
}
