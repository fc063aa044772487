//! The crates that kiln is made of: each is named by some file, comes from the registry, and has a licence that `deny.toml`
//! allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{files, root};

fn toml(file: &str) -> toml::Table {
    fs::read_to_string(root().join(file)).unwrap().parse().unwrap()
}

fn words(places: &[&str]) -> BTreeSet<String> {
    let texts = places.iter().flat_map(|place| files(place, "rs")).chain([root().join("build.rs")]);
    let mut words = BTreeSet::new();
    for text in texts.map(|path| fs::read_to_string(path).unwrap()) {
        words.extend(text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned));
    }
    words
}

#[test]
fn every_dependency_is_named_somewhere() {
    let manifest = toml("Cargo.toml");
    let (program, all) = (words(&["src"]), words(&["src", "tests", "benches"]));
    let mut wrong = Vec::new();
    for (table, named) in [("dependencies", &program), ("build-dependencies", &program), ("dev-dependencies", &all)] {
        let names = manifest[table].as_table().unwrap().keys();
        let unnamed = names.filter(|name| !named.contains(&name.replace('-', "_")));
        wrong.extend(unnamed.map(|name| format!("[{table}] {name}")));
    }
    assert!(wrong.is_empty(), "no file names these crates:\n{}", wrong.join("\n"));
}

#[test]
fn every_profile_names_crates_that_are_there() {
    let (manifest, lock) = (toml("Cargo.toml"), toml("Cargo.lock"));
    let locked: BTreeSet<&str> =
        lock["package"].as_array().unwrap().iter().map(|package| package["name"].as_str().unwrap()).collect();
    let mut named = Vec::new();
    for profile in ["dev", "release"] {
        let packages: Vec<&String> = manifest["profile"][profile]["package"].as_table().unwrap().keys().collect();
        for name in &packages {
            assert!(
                locked.contains(name.as_str()),
                "profile.{profile}.package names {name}, which is not in Cargo.lock"
            );
        }
        named.push(packages);
    }
    assert_eq!(named[0], named[1], "what is fast in a release is fast in tests, too");
}

/// The gate checks the fuzz targets in kiln's own build directory: what is equal is compiled once.
#[test]
fn fuzz_targets_use_the_versions_and_settings_of_kiln() {
    let versions = |lock: &toml::Table| {
        let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in lock["package"].as_array().unwrap() {
            let text = |field: &str| package[field].as_str().unwrap().to_owned();
            versions.entry(text("name")).or_default().insert(text("version"));
        }
        versions
    };
    let (own, fuzz) = (versions(&toml("Cargo.lock")), versions(&toml("fuzz/Cargo.lock")));
    let other = |(name, found): &(&String, &BTreeSet<String>)| own.get(*name).is_some_and(|own| !found.is_subset(own));
    let others: Vec<_> = fuzz.iter().filter(other).collect();
    assert!(others.is_empty(), "`cargo update --precise` in fuzz/ gives these kiln's versions: {others:?}");
    assert_eq!(toml("fuzz/Cargo.toml")["profile"]["dev"], toml("Cargo.toml")["profile"]["dev"]);
}

/// Whether a licence in SPDX's grammar leaves a choice that is allowed.
fn is_allowed(licence: &str, allowed: &BTreeSet<&str>) -> bool {
    let licence = licence.trim();
    // The innermost parentheses first: what is within becomes one word.
    if let Some(open) = licence.rfind('(') {
        let close = open + licence[open..].find(')').unwrap();
        let inner = if is_allowed(&licence[open + 1..close], allowed) { *allowed.first().unwrap() } else { "refused" };
        return is_allowed(&format!("{}{inner}{}", &licence[..open], &licence[close + 1..]), allowed);
    }
    // `AND` binds tighter than `OR`, which older manifests write as a slash.
    let mut choices = licence.split(" OR ").flat_map(|choice| choice.split('/'));
    choices.any(|choice| choice.split(" AND ").all(|part| allowed.contains(part.trim())))
}

#[test]
fn every_crate_has_a_licence_and_a_source_that_deny_toml_allows() {
    let deny = toml("deny.toml");
    let allowed = deny["licenses"]["allow"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let banned: Vec<&str> =
        deny["bans"]["deny"].as_array().unwrap().iter().map(|crate_| crate_["name"].as_str().unwrap()).collect();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "metadata",
        "--offline",
        "--locked",
        "--format-version",
        "1",
        "--filter-platform",
        "x86_64-unknown-linux-gnu",
    ]);
    let output = cargo.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_allowed(licence, &allowed) {
            wrong.push(format!("{name}: licence {licence:?}"));
        }
        if banned.contains(&name) {
            wrong.push(format!("{name}: banned"));
        }
        if package["source"].as_str().is_some_and(|source| !source.starts_with("registry+")) {
            wrong.push(format!("{name}: from {}", package["source"]));
        }
    }
    assert!(wrong.is_empty(), "see deny.toml:\n{}", wrong.join("\n"));
}

#[test]
fn a_licence_without_an_allowed_choice_is_seen() {
    let allowed = BTreeSet::from(["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]);
    for licence in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-3.0/MIT",
        "MIT AND ISC",
        "(GPL-2.0 OR ISC) AND MIT",
        "Apache-2.0 WITH LLVM-exception OR X",
    ] {
        assert!(is_allowed(licence, &allowed), "{licence}");
    }
    for licence in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-2.0 AND ISC) OR X", "MITX"] {
        assert!(!is_allowed(licence, &allowed), "{licence}");
    }
}
