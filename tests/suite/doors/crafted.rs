//! Locks with anything left out, emptied, doubled or put in another's place: refused with words, or as good as before.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use kiln::lock::{Lock, read, satisfies};
use kiln::ops::lock::agrees;
use kiln::recipe::{self, Recipe};
use kiln::world::RealWorld;
use toml::{Table, Value};

use super::promptly;
use crate::suite::archive_support::{Package, TinyArchive};
use crate::suite::failure_support::{Lab, RECIPE, archive, refused, text};

/// Where something stands in a lock: names of tables and positions of arrays.
type Path_ = Vec<Step>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    At(usize),
}

fn recipe(name: &str) -> (Recipe, Value) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("recipes").join(format!("{name}.kiln"));
    let recipe = recipe::check(&RealWorld::default(), &path, &[]).unwrap_or_else(|_| panic!("mistakes")).reachable();
    (recipe, lock_at(&root.join("lockfiles").join(format!("{name}.lock"))))
}

/// A lock as TOML, without its checksum: whoever crafts one makes that fit.
fn lock_at(path: &Path) -> Value {
    let mut lock: Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    lock.remove("checksum").unwrap();
    Value::Table(lock)
}

/// What a place is one of: a name in a table of names, and a position in a list, count as any other.
fn kind(path: &Path_) -> String {
    let word = |(depth, step): (usize, &Step)| match step {
        Step::Key(key) if depth != 1 || path[0] == Step::Key("recipe".to_owned()) => key.clone(),
        _ => "*".to_owned(),
    };
    path.iter().enumerate().map(word).collect::<Vec<_>>().join(".")
}

/// The first and the last of everything of a kind; a set may have hundreds of packages.
fn places(value: &Value, at: &Path_, found: &mut Vec<Path_>) {
    let below: Vec<(Step, &Value)> = match value {
        Value::Table(table) => table.iter().map(|(key, value)| (Step::Key(key.clone()), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(at, value)| (Step::At(at), value)).collect(),
        _ => Vec::new(),
    };
    let many = matches!(value, Value::Array(_)) || below.len() > 12;
    let last = below.len().saturating_sub(1);
    for (position, (step, value)) in below.into_iter().enumerate() {
        if !many || position == 0 || position == last {
            let path = [at.clone(), vec![step]].concat();
            places(value, &path, found);
            found.push(path);
        }
    }
}

fn inside<'a>(value: &'a mut Value, path: &[Step]) -> &'a mut Value {
    path.iter().fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key.as_str()).unwrap(),
        Step::At(at) => value.get_mut(*at).unwrap(),
    })
}

/// Every change to what stands in a place.
fn changes(lock: &Value, path: &Path_) -> Vec<(&'static str, Value)> {
    let (last, parent) = path.split_last().unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut lock = lock.clone();
        change(inside(&mut lock, parent));
        lock
    };
    let removed = with(&|parent| match (parent, last) {
        (Value::Table(table), Step::Key(key)) => drop(table.remove(key)),
        (Value::Array(list), Step::At(at)) => drop(list.remove(*at)),
        _ => unreachable!(),
    });
    let doubled = with(&|parent| match (parent, last) {
        (Value::Table(table), Step::Key(key)) => drop(table.insert(format!("{key}2"), table[key].clone())),
        (Value::Array(list), Step::At(at)) => list.push(list[*at].clone()),
        _ => unreachable!(),
    });
    let mut all = vec![("removed", removed), ("doubled", doubled)];
    let mut lock = lock.clone();
    let value = inside(&mut lock, path);
    let others: Vec<(&'static str, Value)> = match value {
        Value::String(_) => ["", "x", "../x", "\u{1b}[2J\n", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "a:b"]
            .map(|text| ("another text", Value::String(text.to_owned())))
            .to_vec(),
        Value::Integer(_) => [0, -1, 1, 65_535, 1 << 40, i64::MAX, i64::MIN]
            .map(|number| ("another number", Value::Integer(number)))
            .to_vec(),
        Value::Array(_) => vec![("emptied", Value::Array(Vec::new()))],
        Value::Table(_) => vec![("emptied", Value::Table(Table::new()))],
        other => vec![("another kind", Value::String(other.to_string()))],
    };
    for (what, other) in others {
        let mut lock = lock.clone();
        *inside(&mut lock, path) = other;
        all.push((what, lock));
    }
    all
}

/// A set without one of its packages, listed and configured; or with none at all.
fn thinned(lock: &Value, set: &str, leave: impl Fn(&str) -> bool) -> Value {
    let mut lock = lock.clone();
    let set = inside(&mut lock, &[Step::Key("sets".to_owned()), Step::Key(set.to_owned())]);
    let list = |value: &mut Value, name: &str| match &mut value[name] {
        Value::Array(list) => std::mem::take(list),
        other => panic!("{other}"),
    };
    let (packages, order) = (list(set, "packages"), list(set, "configure"));
    let packages = packages.into_iter().filter(|package| leave(package["name"].as_str().unwrap()));
    let order = order.into_iter().filter(|key| leave(key.as_str().unwrap().split(':').next().unwrap()));
    let (packages, order) = (packages.collect(), order.collect());
    set["packages"] = Value::Array(packages);
    set["configure"] = Value::Array(order);
    lock
}

/// What every command does with a lock before it touches anything: whether it was refused, and in words.
fn carried(recipe: &Recipe, text: &str) -> Result<(), String> {
    let lock: Lock = read(text).map_err(|error| error.to_string())?;
    satisfies(recipe, &lock).map_err(|wrong| wrong.first().map(ToString::to_string).unwrap_or_default())?;
    // A lock that satisfies its recipe can be lowered, whatever else is wrong with it.
    let plan = kiln::plan::lower(recipe, &lock);
    assert_eq!(kiln::plan::id::by_name(&plan).len(), plan.steps.len());
    let _: u64 = plan.fetches.values().map(|fetch| fetch.size).sum();
    agrees(recipe, &lock).map_err(|failure| failure.to_string())
}

/// Tries locks; how many there were and how many were refused.
fn try_all(recipe: &Recipe, locks: Vec<(String, Value)>) -> (usize, usize) {
    let (count, mut refused) = (locks.len(), 0);
    for (what, lock) in locks {
        let text = toml::to_string(&lock).unwrap();
        match catch_unwind(AssertUnwindSafe(|| carried(recipe, &text))) {
            Ok(Ok(())) => {}
            Ok(Err(words)) => {
                assert!(!words.is_empty() && words.len() < 4096, "{what}: {words}");
                assert!(!words.contains('\u{1b}'), "{what}: {words:?}");
                refused += 1;
            }
            Err(_) => panic!("a lock with {what} is a panic"),
        }
    }
    (count, refused)
}

fn mutilated(recipe: &Recipe, lock: &Value) -> (usize, usize) {
    assert_eq!(carried(recipe, &toml::to_string(lock).unwrap()), Ok(()), "the lock itself");
    let mut found = Vec::new();
    places(lock, &Vec::new(), &mut found);
    // Every table and every entry of one, but of what is in them one of each kind.
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|path| path.len() <= 2 || seen.insert(kind(path)));
    let mut sums = (0, 0);
    for path in &found {
        let changed = changes(lock, path).into_iter().map(|(what, lock)| (format!("{path:?} {what}"), lock));
        let (tried, refused) = try_all(recipe, changed.collect());
        sums = (sums.0 + tried, sums.1 + refused);
    }
    sums
}

#[test]
fn a_lock_with_anything_changed_is_refused_or_good_and_never_a_panic() {
    let (recipe, lock) = recipe("uefi");
    let (tried, refused) = mutilated(&recipe, &lock);
    println!("uefi: {refused} of {tried} changed locks refused");
    assert!(tried > 300 && refused > tried / 2, "{refused} of {tried}");
}

#[test]
fn a_set_without_what_its_recipe_asks_for_is_refused() {
    for name in ["cxl-quick", "uefi", "seabios"] {
        let (recipe, lock) = recipe(name);
        for (set, asked) in kiln::lock::resolve::sets(&recipe).unwrap() {
            let empty = try_all(&recipe, vec![(format!("an empty {set}"), thinned(&lock, set, |_| false))]);
            assert_eq!(empty, (1, usize::from(!asked.requests.is_empty())), "{name}: {set}");
            for request in &asked.requests {
                let without = thinned(&lock, set, |package| package != request.name);
                let what = format!("{set} without {}", request.name);
                assert_eq!(try_all(&recipe, vec![(what.clone(), without)]), (1, 1), "{name}: {what}");
            }
        }
    }
}

/// A recipe with a file by address, and a lock that says another.
#[test]
fn a_source_from_elsewhere_is_not_the_recipes() {
    let recipe = |server: &str| {
        let file = format!("base = essential\n  file \"/etc/x\" {{ source = url \"{server}/released/x\" }}\n}}");
        RECIPE.replace("base = essential }", &file)
    };
    let lab = Lab::unlocked("crafted-source", archive(), recipe);
    lab.server.put("/released/x", b"released".to_vec());
    let locked = promptly(lab.kiln().args(["lock", "tiny.kiln"]));
    assert!(locked.status.success(), "{}", text(&locked));
    let path = lab.directory.join("tiny.lock");
    let lock = lock_at(&path);
    let Value::Table(sources) = &lock["sources"] else { panic!("{lock}") };
    let (name, files) = sources.iter().next().unwrap();
    let to_file = [
        Step::Key("sources".into()),
        Step::Key(name.clone()),
        Step::Key(files.as_table().unwrap().keys().next().unwrap().clone()),
    ];
    let mut elsewhere = lock.clone();
    inside(&mut elsewhere, &to_file)["from"] = Value::String("http://169.254.169.254/latest".to_owned());
    let mut emptied = lock.clone();
    *inside(&mut emptied, &to_file[..2]) = Value::Table(Table::new());
    let mut removed = lock.clone();
    inside(&mut removed, &to_file[..1]).as_table_mut().unwrap().clear();
    for (lock, words) in
        [(elsewhere, "does not match the recipe"), (emptied, "does not match"), (removed, "is not in the lock")]
    {
        std::fs::write(&path, toml::to_string(&lock).unwrap()).unwrap();
        for verb in [["plan", "tiny.kiln"].as_slice(), &["build", "tiny.kiln"], &["lock", "--check", "tiny.kiln"]] {
            refused(&promptly(lab.kiln().args(verb)), 1, &["source `", words, "help: run `kiln lock`"]);
        }
    }
    let checked = recipe::check(&RealWorld::default(), &lab.directory.join("tiny.kiln"), &[]);
    let checked = checked.unwrap_or_else(|_| panic!("mistakes")).reachable();
    let (tried, refused) = mutilated(&checked, &lock);
    println!("tiny: {refused} of {tried} changed locks refused");
}

/// Something else that calls itself busybox-static has no busybox where the initramfs takes it from.
#[test]
fn what_archives_offer_instead_of_a_tool_is_refused_while_locking() {
    let mut offered: TinyArchive = archive();
    offered.packages.retain(|package| package.name != "busybox-static");
    let offered = offered.package(Package::new("other-busybox", "1.0").field("Provides", "busybox-static"));
    let lab = Lab::unlocked("crafted-provides", offered, |_| RECIPE.to_owned());
    let output = promptly(lab.kiln().args(["lock", "tiny.kiln"]));
    let words =
        ["package set `image-tools` has no package called `busybox-static`", "--> ", "^", "add `busybox-static`"];
    refused(&output, 1, &words);
}

#[test]
fn a_plan_of_a_machine_that_breaks_a_rule_is_refused_like_its_build() {
    let lab = Lab::new("crafted-firmware");
    let path = lab.directory.join("tiny.kiln");
    let recipe = RECIPE.replace("memory = 256MiB }", "memory = 256MiB firmware = uefi }");
    std::fs::write(&path, &recipe).unwrap();
    let digest = |text: &str| kiln::base::Digest::of(text.as_bytes()).hex();
    let lock = std::fs::read_to_string(lab.directory.join("tiny.lock")).unwrap();
    let mut lock: Table = toml::from_str(&lock.replace(&digest(RECIPE), &digest(&recipe))).unwrap();
    lock.remove("checksum");
    let checked = recipe::check(&RealWorld::default(), &path, &[]).unwrap_or_else(|_| panic!("mistakes"));
    let files = checked.files.iter().map(|(path, file)| (path.clone(), file.digest)).collect();
    let own = kiln::lock::recipe_digest(&files, &checked.params).hex();
    lock["recipe"]["digest"] = Value::String(own);
    std::fs::write(lab.directory.join("tiny.lock"), toml::to_string(&lock).unwrap()).unwrap();
    refused(&promptly(lab.kiln().args(["plan", "tiny.kiln"])), 1, &["this firmware needs"]);
}
