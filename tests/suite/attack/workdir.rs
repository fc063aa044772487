//! A working directory that somebody else prepared: a checkout with links where kiln is going to write.

use super::ground::{Ground, Image, run};
use super::tally::{Attack, Front, Tally};

pub(super) static FRONT: Front = Front {
    name: "workdir",
    packages: |_| Vec::new(),
    attacks: &[
        Attack { row: 11, name: "workdir-temporary-names", run: temporary_names },
        Attack { row: 11, name: "workdir-result-links", run: results },
        Attack { row: 11, name: "workdir-lock-links", run: locks },
        Attack { row: 11, name: "workdir-other-outputs", run: others },
    ],
};

/// Whoever knows the name that a file has while it is written can put a link there. In a container process ids are small.
fn temporary_names(ground: &Ground, tally: &mut Tally) {
    let root = rustix::process::geteuid().is_root();
    let flags = if root { "-pf" } else { "-rpf" };
    let inside = ["unshare", flags];
    if run(ground.wrapped(&inside).arg("--version")).code != Some(0) {
        return tally.skip("no namespace in which process ids are small");
    }
    let canary = ground.canary("temporary");
    ground.recipe("planted", &Image::default());
    for pid in 1..200 {
        for name in ["planted.lock", "planted.kiln", "manifest.json", ".planted.lock"] {
            for form in [
                format!("{name}.{pid}.tmp"),
                format!("{name}.{pid}"),
                format!(".{name}.{pid}.tmp"),
                format!("{name}.tmp"),
            ] {
                let _ = std::os::unix::fs::symlink(canary.path().join("thesis.txt"), ground.path(&form));
            }
        }
    }
    for words in [&["lock", "planted.kiln"][..], &["lock", "planted.kiln", "--update"], &["fmt", "planted.kiln"]] {
        let ended = run(ground.wrapped(&inside).args(words));
        tally.case(&words.join(" "), canary.harm().or(ended.broken()));
    }
    if tally.can_build(ground) {
        let ended = run(ground.wrapped(&inside).args(["build", "--allow-leaks", "planted.kiln", "--out", "."]));
        tally.case("build --out .", canary.harm().or(ended.broken()));
    }
}

/// A result directory that is a link leads the artifacts of a build elsewhere.
fn results(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    for (number, (link, target)) in [
        ("result", "@"),
        ("result/carried", "@"),
        ("result/carried/disk.qcow2", "@/thesis.txt"),
        ("result/carried/manifest.json", "@/thesis.txt"),
        ("result/carried/launch.sh", "@/thesis.txt"),
        ("result/carried", "../../outside"),
    ]
    .into_iter()
    .enumerate()
    {
        let project = ground.path(&format!("project{number}"));
        let canary = ground.canary(&format!("result{number}"));
        let at = project.join(link);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        let target = target.replace('@', &canary.path().display().to_string());
        std::fs::create_dir_all(ground.path("outside")).unwrap();
        std::os::unix::fs::symlink(&target, &at).unwrap();
        ground.recipe("carried", &Image::default());
        for file in ["carried.kiln", "archive.asc"] {
            std::fs::copy(ground.path(file), project.join(file)).unwrap();
        }
        let locked = run(ground.kiln().current_dir(&project).args(["lock", "carried.kiln"]));
        let ended = run(ground.kiln().current_dir(&project).args(["build", "--allow-leaks", "carried.kiln"]));
        let outside = std::fs::read_dir(ground.path("outside")).unwrap().count();
        let outside = (outside > 0).then(|| format!("{outside} files outside of the project"));
        std::fs::remove_dir_all(ground.path("outside")).unwrap();
        tally.case(&format!("{link} -> {target}"), canary.harm().or(outside).or(locked.broken()).or(ended.broken()));
    }
}

/// The same for the directory of the locks.
fn locks(ground: &Ground, tally: &mut Tally) {
    for (number, (link, target)) in [
        ("lockfiles", "@"),
        ("lockfiles/carried.lock", "@/thesis.txt"),
        ("carried.lock", "@/thesis.txt"),
        ("carried.lock", "@/new"),
    ]
    .into_iter()
    .enumerate()
    {
        let project = ground.path(&format!("locked{number}"));
        let canary = ground.canary(&format!("lock{number}"));
        let at = project.join(link);
        std::fs::create_dir_all(project.join("recipes")).unwrap();
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target.replace('@', &canary.path().display().to_string()), &at).unwrap();
        ground.recipe("carried", &Image::default());
        for place in ["", "recipes"] {
            for file in ["carried.kiln", "archive.asc"] {
                std::fs::copy(ground.path(file), project.join(place).join(file)).unwrap();
            }
        }
        for recipe in ["carried.kiln", "recipes/carried.kiln"] {
            let ended = run(ground.kiln().current_dir(&project).args(["lock", recipe]));
            tally.case(&format!("{link} -> {target} for {recipe}"), canary.harm().or(ended.broken()));
        }
    }
}

/// Files that a user names: kiln replaces a link there, and does not follow it.
fn others(ground: &Ground, tally: &mut Tally) {
    let canary = ground.canary("others");
    let thesis = canary.path().join("thesis.txt");
    ground.recipe("picture", &Image::default());
    run(ground.kiln().args(["lock", "picture.kiln"]));
    for name in ["picture.svg", "junit.xml", "kept.qcow2", "formatted.kiln"] {
        let _ = std::os::unix::fs::symlink(&thesis, ground.path(name));
    }
    for words in [
        &["draw", "picture.kiln", "--svg", "picture.svg"][..],
        &["test", "picture.kiln", "--junit", "junit.xml"],
        &["fmt", "formatted.kiln"],
    ] {
        let ended = run(ground.kiln().args(words));
        tally.case(&words.join(" "), canary.harm().or(ended.broken()));
    }
}
