//! The Kconfig reader, judged by the kernel's own program on real source trees.
//!
//! `KILN_LINUX` names a directory with what the steps `kernel-kconfig` and `kernel-config` leave behind: `kconfig.tar`
//! and any number of `*.config`, each the outcome of `make olddefconfig`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kiln::kconfig::tree::{Symbol, Type};
use kiln::kconfig::{DotConfig, Tree, Tri, archive, dotconfig, explain};

fn trees() -> Option<(Tree, Vec<(PathBuf, DotConfig)>)> {
    let Some(directory) = std::env::var_os("KILN_LINUX") else {
        eprintln!("skipped: KILN_LINUX names no directory with a kconfig.tar and configurations");
        return None;
    };
    let directory = Path::new(&directory);
    let tar = std::fs::File::open(directory.join("kconfig.tar")).unwrap();
    let tree = Tree::read(&archive::read(tar, "x86").unwrap()).unwrap_or_else(|error| panic!("{error}"));
    let mut configs = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "config") {
            let config = dotconfig::read(&std::fs::read(&path).unwrap()).unwrap();
            configs.push((path, config));
        }
    }
    assert!(!configs.is_empty(), "{} holds no configuration", directory.display());
    Some((tree, configs))
}

fn is_switch(symbol: &Symbol) -> bool {
    matches!(symbol.kind, Some(Type::Bool | Type::Tristate))
}

/// For every option of the tree: what nobody may choose has exactly the value that the reader computes; what somebody
/// may choose lies between what is forced and what is visible.
#[test]
fn every_value_agrees_with_the_kernels_own_program() {
    let Some((tree, configs)) = trees() else { return };
    for (path, config) in configs {
        let (mut exact, mut bounded, mut probes, mut wrong) = (0, 0, 0, Vec::new());
        for (name, symbol) in tree.symbols.iter().filter(|(_, symbol)| is_switch(symbol)) {
            if symbol.definitions.iter().any(|definition| definition.choice.is_some()) {
                continue;
            }
            let found = config.tri(name);
            let (Some(visible), Some(forced)) = (tree.visible(symbol, &config), tree.forced(name, &config)) else {
                probes += 1;
                continue;
            };
            if visible != Tri::N {
                bounded += 1;
                if found < forced.min(Tri::Y) || found > visible.max(forced) {
                    wrong.push(format!("{name} is {found}, not between {forced} and {visible}"));
                }
                continue;
            }
            match tree.unchosen(name, &config) {
                None => probes += 1,
                Some(computed) => {
                    exact += 1;
                    if computed != found {
                        wrong.push(format!("{name} is {found}, computed {computed}"));
                    }
                }
            }
        }
        eprintln!("{}: {exact} exact, {bounded} bounded, {probes} hang on the compiler", path.display());
        assert!(exact > 1000 && bounded > 100, "the tree is too small to judge by");
        assert!(wrong.is_empty(), "{}: {} wrong\n{}", path.display(), wrong.len(), wrong.join("\n"));
    }
}

/// Every option that is on is one that the tree knows, and explaining any option ends (a fifth of them is asked).
#[test]
fn every_option_can_be_explained() {
    let Some((tree, configs)) = trees() else { return };
    for (path, config) in configs {
        let unknown: Vec<&String> = config.values.keys().filter(|name| !tree.symbols.contains_key(*name)).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", path.display());
        let mut longest = String::new();
        for name in tree.symbols.keys().step_by(5) {
            let sentence = explain(&tree, &config, name, Tri::Y).sentence(&BTreeSet::new());
            if sentence.len() > longest.len() {
                longest = sentence;
            }
        }
        eprintln!("{}: {longest}", path.display());
        assert!(longest.len() < 4000, "{longest}");
    }
}
