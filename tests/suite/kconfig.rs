//! The Kconfig reader, judged by the kernel's own program on real source trees.
//!
//! `KILN_LINUX` names a directory with what the steps `kernel-kconfig` and `kernel-config` leave behind: `kconfig.tar`
//! and any number of `*.config`, each the outcome of `make olddefconfig`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kiln::kconfig::tree::{Symbol, Type};
use kiln::kconfig::{DotConfig, KconfigTree, Tri, archive, dotconfig, explain};

fn trees() -> Option<(KconfigTree, Vec<(PathBuf, DotConfig)>)> {
    let Some(directory) = std::env::var_os("KILN_LINUX") else {
        eprintln!("skipped: KILN_LINUX names no directory with a kconfig.tar and configurations");
        return None;
    };
    let directory = Path::new(&directory);
    let tar = std::fs::File::open(directory.join("kconfig.tar")).unwrap();
    let tree = KconfigTree::read(&archive::read(tar, "x86").unwrap()).unwrap_or_else(|error| panic!("{error}"));
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

#[test]
fn every_value_agrees_with_the_kernels_own_program() {
    let Some((tree, configs)) = trees() else { return };
    configs.iter().for_each(|(path, config)| agrees(&tree, config, &path.display().to_string()));
}

#[test]
fn every_option_can_be_explained() {
    let Some((tree, configs)) = trees() else { return };
    configs.iter().for_each(|(path, config)| explains(&tree, config, &path.display().to_string()));
}

/// For every option of the tree: what nobody may choose has exactly the value that the reader computes; what somebody
/// may choose lies between what is forced and what is visible.
pub(super) fn agrees(tree: &KconfigTree, config: &DotConfig, shown: &str) {
    let (mut exact, mut bounded, mut probes, mut wrong) = (0, 0, 0, Vec::new());
    let members = |symbol: &Symbol| symbol.definitions.iter().any(|definition| definition.choice.is_some());
    for (name, symbol) in tree.symbols.iter().filter(|(_, symbol)| is_switch(symbol) && !members(symbol)) {
        let found = config.tri(name);
        match (tree.visible(symbol, config), tree.forced(name, config), tree.unchosen(name, config)) {
            (Some(Tri::N), _, Some(computed)) => {
                exact += 1;
                if computed != found {
                    wrong.push(format!("{name} is {found}, computed {computed}"));
                }
            }
            (Some(visible), Some(forced), _) if visible != Tri::N => {
                bounded += 1;
                if found < forced || found > visible.max(forced) {
                    wrong.push(format!("{name} is {found}, not between {forced} and {visible}"));
                }
            }
            _ => probes += 1,
        }
    }
    eprintln!("{shown}: {exact} exact, {bounded} bounded, {probes} hang on the compiler");
    assert!(exact > 1000 && bounded > 100 && probes < 200, "the tree is too small to judge by");
    assert!(wrong.is_empty(), "{shown}: {} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// Every option that has a value is one that the tree knows, and explaining an option ends (a part of them is asked).
pub(super) fn explains(tree: &KconfigTree, config: &DotConfig, shown: &str) {
    let unknown: Vec<&String> = config.values.keys().filter(|name| !tree.symbols.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "{shown}: {unknown:?}");
    let asked = tree.symbols.iter().filter(|(_, symbol)| symbol.kind.is_some()).map(|(name, _)| name).step_by(11);
    let longest = asked.map(|name| {
        let wanted = if config.value(name) == "n" { Tri::Y } else { Tri::N };
        let found = explain(tree, config, name, wanted);
        let sentence = found.sentence(&BTreeSet::new());
        // What nobody can see is not there for the asking.
        assert!(found.settable || !sentence.contains("although nothing"), "{sentence}");
        sentence
    });
    let longest = longest.max_by_key(String::len).unwrap();
    eprintln!("{shown}: {longest}");
    assert!(longest.len() < 4000, "{longest}");
}
