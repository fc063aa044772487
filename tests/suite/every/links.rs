//! Links in a tree that somebody else wrote: nothing is read, and so nothing shown, of what is outside.

use std::os::unix::fs::symlink;

use super::super::failure_support::{refused, text};
use super::Tree;

const SECRET: &str = "hidden_word = \"1\"\n";

/// A job for everybody's pull requests must not print files of the host that it runs on.
#[test]
fn what_a_link_leads_to_outside_of_the_tree_is_not_read() {
    let (tree, host) = (Tree::new("leave"), super::super::store::scratch("every-host"));
    let secret = host.join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::remove_file(tree.0.join("lockfiles/uefi.lock")).unwrap();
    for link in ["recipes/a.kiln", "lockfiles/uefi.lock", "lockfiles/other.lock"] {
        symlink(&secret, tree.0.join(link)).unwrap();
    }
    symlink("/proc/self/environ", tree.0.join("recipes/environ.kiln")).unwrap();
    symlink("/proc/self/fd/0", tree.0.join("recipes/fd.kiln")).unwrap();
    // A link that stays in the tree is a recipe.
    symlink("cxl-quick.kiln", tree.0.join("recipes/same.kiln")).unwrap();
    let target = secret.display();
    for format in ["text", "json", "junit", "sarif", "github", "gitlab"] {
        let output = tree.verify(&["--format", format]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{format}: {said}");
        assert!(!said.contains("hidden_word") && !said.contains("KILN_STORE"), "{format}: {said}");
    }
    for words in [
        format!("error: recipes/a.kiln: a link that leaves the tree, to {target}; it was not read"),
        format!("error: recipes/uefi.kiln: lockfiles/uefi.lock: a link that leaves the tree, to {target}"),
        format!("warning: lockfiles/other.lock: a link that leaves the tree, to {target}"),
        "error: recipes/environ.kiln: a link that leaves the tree, to /proc/".to_owned(),
        "error: recipes/fd.kiln: a link that leaves the tree, to /".to_owned(),
    ] {
        let said = text(&tree.verify(&[]));
        assert!(said.contains(&words), "{words}: {said}");
    }
    // The half of a tree that is no repository: its locks are beside it.
    std::fs::remove_dir(tree.0.join(".git")).unwrap();
    let output = tree.verify_from("recipes", &["."]);
    let said = text(&output);
    assert!(said.contains("error: a.kiln: a link that leaves the tree"), "{said}");
    assert!(said.contains("same.kiln: verified") && !said.contains("hidden_word"), "{said}");
    kiln::world::fs::remove_tree(&host).unwrap();
}

/// The other command of the same job.
#[test]
fn the_check_of_the_form_reads_no_link_out_of_the_repository() {
    let tree = Tree::new("form");
    std::fs::write(tree.0.join("recipes/lib/plain.kiln"), "let a = 1\n").unwrap();
    symlink("lib/plain.kiln", tree.0.join("recipes/same.kiln")).unwrap();
    symlink("/proc/self/environ", tree.0.join("recipes/a.kiln")).unwrap();
    let check = |name: &str| tree.kiln().args(["fmt", "--check", "--", name]).output().unwrap();
    let output = check("recipes/a.kiln");
    refused(&output, 2, &["recipes/a.kiln: a link that leaves the tree, to /proc/"]);
    assert!(!text(&output).contains("KILN_STORE"), "{}", text(&output));
    assert!(check("recipes/same.kiln").status.success());
}

#[test]
fn links_and_depths_lead_nowhere() {
    let tree = Tree::new("odd");
    symlink("..", tree.0.join("recipes/up")).unwrap();
    symlink("/dev/zero", tree.0.join("recipes/endless.kiln")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.0.join("recipes/pipe.kiln"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let output = tree.verify(&[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("error: recipes/endless.kiln: a link that leaves the tree, to /dev/zero; it was not"),
        "{said}"
    );
    assert!(said.contains("error: recipes/pipe.kiln: a named pipe, a socket or a device, not a file"), "{said}");
    let deep = tree.0.join("d/".repeat(70));
    std::fs::create_dir_all(deep).unwrap();
    refused(&tree.verify(&[]), 2, &["too many files or levels"]);
}
