//! The rules of choice, on archives small enough to see what is right.

use kiln::lock::resolve::{ResolveError, Update};
use kiln::lock::{read, satisfies, write};
use kiln::recipe::packages::{Base, PackageSet};

use super::super::archive_support::{Package, TinyArchive, recipe, set};
use super::{lock, shown};

fn pick(packages: Vec<Package>, requests: &[&str]) -> Result<String, ResolveError> {
    pick_with(packages, set("s", &["trixie"], requests))
}

fn pick_with(packages: Vec<Package>, set: PackageSet) -> Result<String, ResolveError> {
    let mut archive = TinyArchive::new("trixie");
    archive.packages = packages;
    lock(&[&archive], &recipe(&[&archive], vec![set])).map(|lock| shown(&lock, "s"))
}

fn new(name: &str, version: &str) -> Package {
    Package::new(name, version)
}

#[test]
fn the_first_alternative_unless_another_is_there_already() {
    let packages = || vec![new("a", "1").depends("x | y"), new("b", "1").depends("y"), new("x", "1"), new("y", "1")];
    assert_eq!(pick(packages(), &["a"]).unwrap(), "a 1, x 1");
    assert_eq!(pick(packages(), &["b", "a"]).unwrap(), "a 1, b 1, y 1");
    assert_eq!(pick(packages(), &["a", "y"]).unwrap(), "a 1, y 1");
}

#[test]
fn the_real_package_before_its_providers_and_the_more_important_provider_first() {
    let packages = || {
        vec![
            new("a", "1").depends("mail"),
            new("exim", "1").field("Provides", "mail").field("Priority", "standard"),
            new("postfix", "1").field("Provides", "mail"),
        ]
    };
    assert_eq!(pick(packages(), &["a"]).unwrap(), "a 1, exim 1");
    let mut real = packages();
    real.push(new("mail", "3").field("Priority", "extra"));
    assert_eq!(pick(real, &["a"]).unwrap(), "a 1, mail 3");
}

#[test]
fn only_a_versioned_provides_satisfies_a_versioned_dependency() {
    let with = |provides: &str| vec![new("a", "1").depends("api (>= 2)"), new("b", "9").field("Provides", provides)];
    assert_eq!(pick(with("api (= 2.1)"), &["a"]).unwrap(), "a 1, b 9");
    for provides in ["api", "api (= 1.9)"] {
        assert!(matches!(pick(with(provides), &["a"]), Err(ResolveError::Unsolvable(_))), "{provides}");
    }
}

#[test]
fn a_conflict_sends_the_search_back_to_another_alternative() {
    let packages =
        vec![new("a", "1").depends("x | y, z"), new("x", "1"), new("y", "1"), new("z", "1").field("Conflicts", "x")];
    assert_eq!(pick(packages, &["a"]).unwrap(), "a 1, y 1, z 1");
}

#[test]
fn the_conflict_may_be_far_from_the_choice() {
    let packages = vec![
        new("a", "1").depends("x | y"),
        new("b", "1").depends("deep"),
        new("deep", "1").field("Breaks", "low (<< 2)"),
        new("x", "1").depends("low"),
        new("y", "1"),
        new("low", "1"),
    ];
    assert_eq!(pick(packages, &["a", "b"]).unwrap(), "a 1, b 1, deep 1, y 1");
}

#[test]
fn a_package_may_conflict_with_the_name_it_provides() {
    let packages =
        vec![new("a", "1").field("Provides", "mail").field("Conflicts", "mail"), new("b", "1").depends("mail")];
    assert_eq!(pick(packages, &["b"]).unwrap(), "a 1, b 1");
}

#[test]
fn what_cannot_be_is_explained() {
    let packages = || {
        vec![
            new("app", "1").depends("left, right"),
            new("left", "1").depends("base (= 1)"),
            new("right", "1").depends("base (= 2)"),
            new("base", "1"),
        ]
    };
    let error = pick(packages(), &["app"]).unwrap_err().to_string();
    for word in ["package set `s`", "app", "right", "base", "= 2"] {
        assert!(error.contains(word), "{word} is not in:\n{error}");
    }
    let clash = vec![new("one", "1").field("Conflicts", "two"), new("two", "1")];
    let error = pick(clash, &["one", "two"]).unwrap_err().to_string();
    assert!(error.contains("one 1") && error.contains("two"), "{error}");
}

#[test]
fn names_that_are_not_there() {
    let packages = || {
        vec![new("nginx", "1"), new("exim", "1").field("Provides", "mta"), new("postfix", "1").field("Provides", "mta")]
    };
    for (request, words) in [
        ("ngnix", "did you mean `nginx`?"),
        ("nginx=2", "there is 1 from trixie"),
        ("nginx/trixie", ""),
        ("mta", "virtual package"),
    ] {
        match pick(packages(), &[request]) {
            Ok(found) => assert_eq!((words, found.as_str()), ("", "nginx 1")),
            Err(error) => assert!(error.to_string().contains(words), "{error}"),
        }
    }
    let one = vec![new("exim", "1").field("Provides", "mta")];
    assert_eq!(pick(one, &["mta"]).unwrap(), "exim 1");
}

#[test]
fn a_virtual_name_is_met_by_what_is_there_anyway() {
    let archive = || {
        let mut archive = TinyArchive::new("trixie");
        archive.packages = vec![
            new("exim", "1").field("Provides", "mta, smtp (= 2)"),
            new("postfix", "1").field("Provides", "mta"),
            new("mawk", "1").field("Priority", "required").field("Provides", "awk"),
            new("gawk", "1").field("Provides", "awk"),
            new("base-files", "1").field("Priority", "required"),
        ];
        archive
    };
    // Wherever the provider stands, and also where it is the only one or part of the base; the lock answers its recipe.
    for (requests, base, expected) in [
        (&["mta", "postfix"][..], Base::None, "postfix 1"),
        (&["postfix", "mta"], Base::None, "postfix 1"),
        (&["smtp", "exim", "mta"], Base::None, "exim 1"),
        (&["smtp", "mta"], Base::None, "exim 1"),
        (&["mta", "smtp"], Base::None, ""),
        (&["awk"], Base::Required, "base-files 1, mawk 1"),
        (&["awk"], Base::None, ""),
    ] {
        let archive = archive();
        let recipe = recipe(&[&archive], vec![PackageSet { base, ..set("s", &["trixie"], requests) }]);
        match lock(&[&archive], &recipe) {
            Ok(locked) => {
                assert_eq!(shown(&locked, "s"), expected, "{requests:?}");
                satisfies(&recipe, &read(&write(&locked)).unwrap()).unwrap();
                let again = super::again(&[], &recipe, Some(&locked), &Update::Keep);
                assert_eq!(again.unwrap(), locked, "it is kept without asking any archive");
            }
            Err(error) => {
                assert!(expected.is_empty() && error.to_string().contains("virtual"), "{requests:?}: {error}")
            }
        }
    }
}

#[test]
fn base_packages_recommendations_and_exclusions() {
    let packages = || {
        vec![
            new("dpkg", "1").essential().depends("tar"),
            new("mawk", "1").field("Priority", "required"),
            new("tar", "1"),
            new("a", "1").field("Recommends", "b"),
            new("b", "1"),
        ]
    };
    let with = |base, recommends, exclude: &[&str]| {
        let exclude = exclude.iter().map(|name| (*name).to_owned()).collect();
        pick_with(packages(), PackageSet { base, recommends, exclude, ..set("s", &["trixie"], &["a"]) })
    };
    assert_eq!(with(Base::None, false, &[]).unwrap(), "a 1");
    assert_eq!(with(Base::None, true, &[]).unwrap(), "a 1, b 1");
    assert_eq!(with(Base::None, true, &["b"]).unwrap(), "a 1");
    assert_eq!(with(Base::Essential, false, &[]).unwrap(), "a 1, dpkg 1, tar 1");
    assert_eq!(with(Base::Required, false, &[]).unwrap(), "a 1, dpkg 1, mawk 1, tar 1");
    let error = with(Base::Essential, false, &["tar"]).unwrap_err().to_string();
    assert!(error.contains("dpkg") && error.contains("tar"), "{error}");
}

#[test]
fn backports_only_when_asked_for_or_when_nothing_else_will_do() {
    let stable = TinyArchive::new("trixie")
        .package(new("qemu", "10").depends("bios"))
        .package(new("bios", "1"))
        .package(new("tool", "1").depends("lib (>= 2)"))
        .package(new("lib", "1"));
    let backports = TinyArchive::new("trixie-backports")
        .package(new("qemu", "11").depends("bios (>= 2), lib"))
        .package(new("bios", "2"))
        .package(new("lib", "2"));
    let pick = |requests: &[&str]| {
        let archives = [&stable, &backports];
        let set = set("s", &["trixie", "trixie-backports"], requests);
        lock(&archives, &recipe(&archives, vec![set])).map(|lock| shown(&lock, "s"))
    };
    assert_eq!(pick(&["qemu"]).unwrap(), "bios 1, qemu 10");
    assert_eq!(pick(&["qemu/trixie-backports"]).unwrap(), "bios 2, lib 1, qemu 11");
    assert_eq!(pick(&["tool"]).unwrap(), "lib 2, tool 1");
}

#[test]
fn the_configure_order_is_total_and_cuts_cycles_at_depends_by_name() {
    let archive = TinyArchive::new("trixie")
        .package(new("c", "1").depends("a"))
        .package(new("a", "1").depends("b"))
        .package(new("b", "1").depends("c").field("Pre-Depends", "base"))
        .package(new("base", "1"))
        .package(new("late", "1").depends("c"))
        .package(new("early", "1"));
    let set = set("s", &["trixie"], &["late", "early"]);
    let lock = lock(&[&archive], &recipe(&[&archive], vec![set])).unwrap();
    let order: Vec<&str> = lock.sets["s"].iter().map(|package| package.name.as_str()).collect();
    assert_eq!(order, ["base", "a", "c", "b", "early", "late"]);
}

#[test]
fn all_unknown_names_of_all_sets_are_reported_with_where_they_are() {
    let stable = TinyArchive::new("trixie").package(new("vim", "1")).package(new("python3-dev", "1"));
    let other = TinyArchive::new("sid").package(new("only-there", "1")).package(new("x", "1"));
    let archives = [&stable, &other];
    let sets = vec![
        set("a", &["trixie"], &["vmi", "only-there", "unheard-of"]),
        set("b", &["trixie"], &["python3-de", "python"]),
        set("c", &["sid"], &["x"]),
    ];
    let Err(ResolveError::Unsolvable(unsolved)) = lock(&archives, &recipe(&archives, sets)) else { panic!("a lock") };
    let text = unsolved.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for words in [
        "package set `a`: package `vmi` is not in archive `trixie`\n  help: did you mean `vim`?",
        "package `only-there` is not in archive `trixie`\n  help: archive `sid` has it, from which the set takes nothing",
        "package `unheard-of` is not in archive `trixie`\npackage set `b`",
        "`python3-de` is not in archive `trixie`\n  help: did you mean `python3-dev`?",
        "`python` is not in archive `trixie`\n  help: did you mean `python3-dev`?",
    ] {
        assert!(text.contains(words), "it does not say:\n{words}\n{text}");
    }
}
