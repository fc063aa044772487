//! Who attacks with what, what came of it, and the sum: `attacks: N tried, M succeeded`.

use std::collections::BTreeSet;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;

use super::{FRONTS, Ground};
use crate::suite::archive_support::Package;

/// One kind of attack. It may be tried in many ways.
pub(super) struct Attack {
    /// The row of the table in `SECURITY.md` that it belongs to.
    pub(super) row: u32,
    pub(super) name: &'static str,
    pub(super) run: fn(&Ground, &mut Tally),
}

/// Attacks that share an archive.
pub(super) struct Front {
    pub(super) name: &'static str,
    /// The packages of the attacks, whose targets lie below this directory.
    pub(super) packages: fn(&Path) -> Vec<Package>,
    pub(super) attacks: &'static [Attack],
}

/// What came of the ways in which an attack was tried.
#[derive(Default)]
pub(super) struct Tally {
    tried: usize,
    succeeded: Vec<String>,
    skipped: Vec<String>,
}

impl Tally {
    /// One way, and how it succeeded, if it did.
    pub(super) fn case(&mut self, way: &str, success: Option<String>) {
        self.tried += 1;
        self.succeeded.extend(success.map(|how| format!("{way}: {how}")));
    }

    /// Something that cannot be tried on this machine.
    pub(super) fn skip(&mut self, why: &str) {
        self.skipped.push(why.to_owned());
    }

    /// Whether steps can be carried out here; says why not.
    pub(super) fn can_build(&mut self, ground: &Ground) -> bool {
        if let Some(why) = ground.why_not() {
            self.skip(why);
        }
        ground.why_not().is_none()
    }
}

/// The sum over all fronts that are over.
#[derive(Default)]
struct Sum {
    fronts: BTreeSet<&'static str>,
    rows: BTreeSet<u32>,
    tried: usize,
    succeeded: usize,
    skipped: usize,
}

static SUM: Mutex<Option<Sum>> = Mutex::new(None);

/// Carries all attacks of a front out; fails when one of them succeeded.
pub(super) fn carry_out(front: &'static Front) {
    let only = std::env::var("KILN_ATTACK").ok();
    let chosen = |attack: &&Attack| only.as_ref().is_none_or(|name| name == attack.name);
    let attacks: Vec<&Attack> = front.attacks.iter().filter(chosen).collect();
    if attacks.is_empty() {
        return;
    }
    let directory = Ground::place(front.name);
    let ground = Ground::new(&directory, (front.packages)(&directory));
    let mut wrong = Vec::new();
    let (mut tried, mut skipped, mut rows) = (0, 0, BTreeSet::new());
    for attack in attacks {
        let mut tally = Tally::default();
        let began = std::time::Instant::now();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (attack.run)(&ground, &mut tally))) {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            tally.case("the attack itself", Some(format!("panicked: {}", words.unwrap_or_default())));
        }
        if tally.tried > 0 {
            rows.insert(attack.row);
        }
        tried += tally.tried;
        skipped += tally.skipped.len();
        let (name, ways, how_many) = (attack.name, tally.tried, tally.succeeded.len());
        println!("{name}: {ways} ways, {how_many} succeeded ({:.1} s)", began.elapsed().as_secs_f64());
        tally.skipped.iter().for_each(|why| say(&format!("skipped: {name}: {}", shortened(why))));
        wrong.extend(tally.succeeded.into_iter().map(|how| format!("{name}: {}", shortened(&how))));
    }
    add(front.name, &rows, (tried, wrong.len(), skipped));
    assert!(wrong.is_empty(), "{} of {tried} attacks succeeded:\n{}", wrong.len(), wrong.join("\n"));
}

/// Adds a front to the sum, and says the sum when all fronts are over.
fn add(name: &'static str, rows: &BTreeSet<u32>, (tried, succeeded, skipped): (usize, usize, usize)) {
    let mut guard = SUM.lock().unwrap();
    let sum = guard.get_or_insert_default();
    sum.fronts.insert(name);
    sum.rows.extend(rows);
    sum.tried += tried;
    sum.succeeded += succeeded;
    sum.skipped += skipped;
    if sum.fronts.len() == FRONTS.len() {
        let Sum { tried, succeeded, skipped, .. } = sum;
        say(&format!(
            "attacks: {tried} tried, {succeeded} succeeded, {skipped} kinds skipped; {} of 20 rows covered",
            sum.rows.len()
        ));
    }
}

/// To the terminal, even where the harness keeps what tests print.
pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Whole outputs are long; control characters stay out of the report.
fn shortened(text: &str) -> String {
    let plain: String = text
        .chars()
        .flat_map(|c| {
            if c == '\n' {
                vec![c]
            } else if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect();
    let count = plain.chars().count();
    if count <= 1500 {
        return plain;
    }
    let end: String = plain.chars().skip(count - 900).collect();
    format!("{} [...] {end}", plain.chars().take(500).collect::<String>())
}
