//! Sets to which packages are added, from which they are removed, and whose packages move.

use std::collections::BTreeMap;

use super::*;
use crate::debian::archive::ArchiveRef;
use crate::lock::tests::example;

fn package(name: &str, version: &str) -> LockedPackage {
    let mut package = example().sets["image"][0].clone();
    package.name = name.to_owned();
    package.version = version.to_owned();
    package
}

fn packages(names: &[&str]) -> Vec<LockedPackage> {
    names.iter().map(|name| package(name, "1")).collect()
}

fn lock(names: &[&str], layers: &[(usize, i64)]) -> Lock {
    let layers = layers.iter().map(|&(packages, epoch)| LockedLayer { packages, epoch: Timestamp(epoch) }).collect();
    Lock {
        sets: BTreeMap::from([("image".to_owned(), packages(names))]),
        layers: BTreeMap::from([("image".to_owned(), layers)]),
        epoch: Timestamp(100),
        ..example()
    }
}

/// The names in order, and the layers below the last as sizes and epochs.
fn arranged(lock: &Lock, solved: Vec<LockedPackage>, update: &Update) -> (String, Vec<(usize, i64)>) {
    let set = arrange(Some((lock, "image")), solved, update, &["tzdata"]);
    let names: Vec<&str> = set.packages.iter().map(|package| package.name.as_str()).collect();
    (names.join(" "), set.layers.iter().map(|layer| (layer.packages, layer.epoch.0)).collect())
}

#[test]
fn what_is_added_comes_after_what_is_there() {
    let before = lock(&["b", "a"], &[]);
    let solved = packages(&["a", "b", "c", "d"]);
    assert_eq!(arranged(&before, solved.clone(), &Update::Keep), ("b a c d".to_owned(), vec![(2, 100)]));
    let twice = lock(&["b", "a", "c", "d"], &[(2, 50)]);
    let more = packages(&["0", "a", "b", "c", "d"]);
    assert_eq!(arranged(&twice, more, &Update::Keep), ("b a c d 0".to_owned(), vec![(2, 50), (2, 100)]));
    // Nothing is added: the last layer is the last one.
    assert_eq!(arranged(&twice, solved.clone(), &Update::Keep), ("b a c d".to_owned(), vec![(2, 50)]));
    // From nothing, and where everything moves, there is one layer, in the order of the solver.
    assert_eq!(
        arrange(None, solved.clone(), &Update::Keep, &[]),
        LayeredSet { packages: solved.clone(), layers: Vec::new() }
    );
    assert_eq!(arranged(&twice, solved, &Update::All), ("a b c d".to_owned(), vec![]));
}

#[test]
fn a_layer_stays_as_long_as_all_of_its_packages_do() {
    let before = lock(&["b", "a", "c", "d"], &[(2, 50)]);
    // `c` is gone: what was added with it is added again.
    assert_eq!(arranged(&before, packages(&["a", "b", "d"]), &Update::Keep), ("b a d".to_owned(), vec![(2, 50)]));
    assert_eq!(arranged(&before, packages(&["a", "b"]), &Update::Keep), ("b a".to_owned(), vec![]));
    // Another version or other bytes of one below: everything is configured anew.
    let mut newer = packages(&["a", "b", "c", "d"]);
    newer[0].version = "2".to_owned();
    assert_eq!(arranged(&before, newer, &Update::Keep), ("a b c d".to_owned(), vec![]));
    let mut other = packages(&["a", "b", "c", "d"]);
    other[1].file.size += 1;
    assert_eq!(arranged(&before, other, &Update::Keep), ("a b c d".to_owned(), vec![]));
    // The same bytes in an earlier state of the archive.
    let mut moved = packages(&["a", "b", "c", "d", "e"]);
    moved[0].archive = ArchiveRef::earlier("trixie", Timestamp(1_795_227_046));
    let set = arrange(Some((&before, "image")), moved.clone(), &Update::Keep, &[]);
    assert_eq!(set.layers.len(), 2);
    assert_eq!(set.packages[1].archive, moved[0].archive);
}

#[test]
fn what_the_first_layer_relies_on_is_not_added_later() {
    let before = lock(&["b", "a"], &[]);
    assert_eq!(arranged(&before, packages(&["a", "b", "tzdata"]), &Update::Keep), ("a b tzdata".to_owned(), vec![]));
    let mut solved = packages(&["a", "b", "c"]);
    solved[2].why = Why::Essential;
    assert_eq!(arranged(&before, solved, &Update::Keep), ("a b c".to_owned(), vec![]));
}

#[test]
fn layers_are_few() {
    let before = lock(&["a", "b", "c", "d"], &[(1, 1), (1, 2), (1, 3)]);
    let solved = packages(&["a", "b", "c", "d", "e"]);
    assert_eq!(arranged(&before, solved, &Update::Keep), ("a b c d e".to_owned(), vec![(1, 1), (1, 2), (1, 3)]));
}

#[test]
fn an_order_that_a_merge_made_means_nothing() {
    let mut before = lock(&["b", "a"], &[]);
    let packages_of = before.sets.get_mut("image").unwrap();
    packages_of[0].why = Why::DependencyOf("b".to_owned());
    assert_eq!(arranged(&before, packages(&["a", "b", "c"]), &Update::Keep), ("a b c".to_owned(), vec![]));
}
