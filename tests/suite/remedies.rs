//! What a hint says to write helps: the report goes, and no other one comes. Done mechanically to every fixture of the
//! rules, and to topologies at random.

mod apply;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use kiln::base::Diagnostic;
use kiln::base::render::render;
use kiln::machine::rules::{self, RULES};

use super::machine_support::{Read, every, read};
use apply::apply;

/// Fixtures whose hints leave something to decide, so that nothing can be done literally.
const TO_DECIDE: [&str; 15] = [
    "address-space",
    "address-space--edge",
    "bridges",
    "cdat-coverage",
    "cdat-range",
    "firmware-words",
    "memory-cache--order",
    "networks",
    "networks--broadcast",
    "networks--name",
    "port-number--surplus",
    "port-shared",
    "qemu-args",
    "qemu-args--property",
    "switch-depth",
];

/// Tells of windows in which no region can be made while others do what they should.
const MILDER: &str = "equal-devices";

/// What each rule reports of the machines in a text.
fn verdicts(read: &Read) -> Vec<(&'static str, Diagnostic)> {
    let verdicts = read.machines.iter().flat_map(rules::judge);
    verdicts.map(|verdict| (verdict.rule.name, verdict.diagnostic)).collect()
}

fn names(verdicts: &[(&'static str, Diagnostic)]) -> BTreeMap<&'static str, usize> {
    let mut names = BTreeMap::new();
    verdicts.iter().for_each(|(rule, _)| *names.entry(*rule).or_default() += 1);
    names
}

/// Does what the reports of a rule say, one after the other; what is wrong if that does not help.
fn mend(text: &str, rule: &str) -> Result<String, String> {
    let before = names(&verdicts(&read(text)));
    let mut text = text.to_owned();
    for _ in 0..10 {
        let said = read(&text);
        let shown = |list: &[Diagnostic]| format!("{text}\n{}", render(&said.sources, list, false));
        if !said.mistakes.is_empty() {
            return Err(format!("what was written cannot be read:\n{}", shown(&said.mistakes)));
        }
        let now = verdicts(&said);
        let counts = names(&now);
        let count = |rule: &str| counts.get(rule).copied().unwrap_or(0);
        let earlier = |rule: &str| before.get(rule).copied().unwrap_or(0);
        // A window in which no region can be made is no error any more once another one reaches its devices.
        let milder = rule == "common-kind" && count(rule) + count(MILDER) <= earlier(rule) + earlier(MILDER);
        let new = |(other, _): &&(&'static str, Diagnostic)| {
            *other != rule && count(other) > earlier(other) && !(milder && *other == MILDER)
        };
        let new: Vec<Diagnostic> = now.iter().filter(new).map(|(_, diagnostic)| diagnostic.clone()).collect();
        if !new.is_empty() {
            return Err(format!("another report came:\n{}", shown(&new)));
        }
        let Some((_, first)) = now.iter().find(|(name, _)| *name == rule) else { return Ok(text) };
        let hint = first.hint.as_deref().unwrap_or_default();
        let Some(changed) = apply(&text, first.span, hint) else {
            return Err(format!("nothing to do literally:\n{}", shown(std::slice::from_ref(first))));
        };
        if changed == text {
            return Err(format!("it says what is there:\n{}", shown(std::slice::from_ref(first))));
        }
        text = changed;
    }
    let left = read(&text);
    let left: Vec<Diagnostic> = verdicts(&left).into_iter().map(|(_, diagnostic)| diagnostic).collect();
    Err(format!("the report stays:\n{text}\n{left:?}"))
}

#[test]
fn what_a_hint_says_makes_the_report_go_and_no_other_come() {
    let mut wrong = String::new();
    for (stem, text) in every("rules") {
        let rule = stem.split_once("--").map_or(stem.as_str(), |(rule, _)| rule);
        match (mend(&text, rule), TO_DECIDE.contains(&stem.as_str())) {
            (Err(why), false) => writeln!(wrong, "{stem}: {why}").unwrap(),
            (Ok(_), true) => writeln!(wrong, "{stem} can be done literally").unwrap(),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_report_has_a_hint_that_is_no_reference_and_a_note_that_is() {
    for (stem, text) in every("rules") {
        let read = read(&text);
        for (rule, diagnostic) in verdicts(&read) {
            let source = RULES.iter().find(|one| one.name == rule).unwrap().source;
            let hint = diagnostic.hint.unwrap_or_else(|| panic!("{stem}: {rule} has no hint"));
            assert!(diagnostic.notes.iter().any(|note| note == source), "{stem}: {rule} does not say why");
            for part in ["QEMU hw/", "QEMU util/", "Linux drivers/", ".c", "ACPI 6.5", "see "] {
                assert!(!hint.contains(part), "{stem}: the hint of {rule} refers to {part}: {hint}");
            }
            assert!(!hint.ends_with('.') && hint.starts_with(|c: char| c.is_lowercase()), "{stem}: {hint}");
        }
    }
}

/// A generator of numbers that is the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

/// Bridges with devices of some kinds and sizes, and windows over some of them.
fn topology(numbers: &mut Numbers) -> String {
    let mut text = "machine m {\n kernel = k\n image = i\n qemu = package \"qemu\"\n cxl {\n".to_owned();
    let bridges = 1 + numbers.below(4);
    for bridge in 0..bridges {
        write!(text, "  bridge b{bridge} {{").unwrap();
        for port in 0..numbers.below(4) {
            write!(text, " port p{port} {{ expander e{bridge}{port} {{").unwrap();
            let mask = 1 + numbers.below(7);
            let kinds = ["volatile", "persistent", "dynamic"].into_iter().enumerate();
            // Most devices have one kind of memory, and most of these the first.
            let kinds = kinds.filter(|(bit, _)| mask == 7 || mask >> bit & 1 == 1).take(1 + (mask == 7) as usize);
            for (_, kind) in kinds {
                write!(text, " {kind} = {}MiB", 256 * (1 + numbers.below(3))).unwrap();
            }
            text.push_str(" } }");
        }
        text.push_str(" }\n");
    }
    for window in 0..numbers.below(5) {
        let (first, count) = (numbers.below(bridges), 1 + numbers.below(bridges));
        let targets: Vec<String> = (0..count).map(|step| format!("b{}", (first + step) % bridges)).collect();
        // A name that a hint might want to use.
        let name = if numbers.below(4) == 0 { format!("b{}-alone", window % bridges) } else { format!("w{window}") };
        let size = 256 * (1 + numbers.below(8));
        writeln!(text, "  window {name} {{ targets = [{}] size = {size}MiB }}", targets.join(", ")).unwrap();
    }
    text + " }\n}\n"
}

#[test]
fn hints_about_windows_help_whatever_the_topology() {
    const ABOUT_WINDOWS: [&str; 4] = ["common-kind", "device-fits", "devices-fit", "no-window"];
    let (mut numbers, mut seen) = (Numbers(7), BTreeMap::<&str, usize>::new());
    for _ in 0..400 {
        let mut text = topology(&mut numbers);
        if verdicts(&read(&text)).iter().any(|(rule, _)| *rule == "names") {
            continue;
        }
        for rule in ABOUT_WINDOWS {
            if !names(&verdicts(&read(&text))).contains_key(rule) {
                continue;
            }
            *seen.entry(rule).or_default() += 1;
            text = mend(&text, rule).unwrap_or_else(|why| panic!("{rule}: {why}"));
        }
        text = mend_numbers(text, &mut seen);
        // Then nothing is left to say of windows but that devices differ in size.
        let left = verdicts(&read(&text));
        let left: BTreeSet<&str> = left.iter().map(|(rule, _)| *rule).collect();
        assert!(ABOUT_WINDOWS.iter().all(|rule| !left.contains(rule)), "{left:?}\n{text}");
    }
    assert!(seen.len() == 6 && seen.values().all(|count| *count > 5), "{seen:?}");
}

/// Does what is said about kinds and numbers of devices, until nothing is.
fn mend_numbers(mut text: String, seen: &mut BTreeMap<&'static str, usize>) -> String {
    let before = names(&verdicts(&read(&text)));
    for _ in 0..10 {
        let now = verdicts(&read(&text));
        let worse = names(&now)
            .into_iter()
            .find(|(rule, count)| *rule != "equal-devices" && *count > before.get(rule).copied().unwrap_or(0));
        assert!(worse.is_none(), "{worse:?} came:\n{text}");
        let told = now.iter().find(|(rule, one)| *rule == "equal-devices" && !one.message.contains("different sizes"));
        let Some((_, told)) = told else { return text };
        let what = if told.message.contains("numbers") { "numbers" } else { "kinds" };
        *seen.entry(what).or_default() += 1;
        let changed = apply(&text, told.span, told.hint.as_deref().unwrap());
        text = changed.unwrap_or_else(|| panic!("nothing to do: {told:?}\n{text}"));
    }
    panic!("reports stay:\n{text}");
}
