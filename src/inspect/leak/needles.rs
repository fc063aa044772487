//! What is known of the building machine, as needles.
//!
//! A name that many machines have says nothing (`localhost`, `debian`, `user`), and a plain word of a language is found
//! in any image; so a bare user name is never a needle, only with its host or its home directory, and a host's name is
//! one by itself only with a digit or a hyphen in it. What the recipe or the lock mentions is there on purpose.

use super::{Needle, TraceKind};
use crate::base::Timestamp;
use crate::plan::root::PLACEHOLDER_LABELS;

/// Shorter names are part of everything.
const MIN_NEEDLE_LENGTH: usize = 4;
/// Shorter host names are found by chance (`vm-1`).
const MIN_HOST_NAME_LENGTH: usize = 6;

/// What a builder's machine is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildHost {
    pub store: String,
    /// The user's home directory.
    pub home: Option<String>,
    pub user: Option<String>,
    pub host: String,
    /// `uname -r`
    pub kernel: String,
    /// Now.
    pub now: Timestamp,
}

/// What to look for. `epoch` is the date that artifacts carry, `known` the text of recipe and lock.
pub fn needles(machine: &BuildHost, epoch: Timestamp, known: &[&[u8]]) -> Vec<Needle> {
    let mut found = Vec::new();
    let mut add = |kind, text: &str| {
        let text = text.as_bytes().to_vec();
        let mentioned = known.iter().any(|known| known.windows(text.len()).any(|window| window == text));
        if text.len() >= MIN_NEEDLE_LENGTH && !mentioned {
            found.push(Needle { text, kind, year: machine.now.civil().0.to_string() });
        }
    };
    if parts(&machine.store) >= 2 && machine.store.len() >= 8 {
        add(TraceKind::Store, &machine.store);
    }
    if let Some(home) = machine.home.as_deref().filter(|home| home.starts_with("/home/") && parts(home) >= 2) {
        // An image may have a user of that name.
        let name = home.rsplit('/').next().unwrap_or(home).as_bytes();
        if !known.iter().any(|known| known.windows(name.len()).any(|window| window == name)) {
            add(TraceKind::Home, home);
        }
    }
    if let Some(user) = &machine.user
        && !machine.host.is_empty()
        && !common(&machine.host)
    {
        add(TraceKind::Account, &format!("{user}@{}", machine.host));
    }
    let particular = machine.host.bytes().any(|byte| byte.is_ascii_digit() || byte == b'-');
    if machine.host.len() >= MIN_HOST_NAME_LENGTH && particular && !common(&machine.host) {
        add(TraceKind::Host, &machine.host);
    }
    // `6.12.0` alone is a version of many things.
    if machine.kernel.bytes().any(|byte| byte.is_ascii_alphabetic()) && machine.kernel.len() >= 8 {
        add(TraceKind::Kernel, &machine.kernel);
    }
    for (kind, text) in dates(machine.now, epoch) {
        add(kind, &text);
    }
    for label in PLACEHOLDER_LABELS {
        add(TraceKind::Placeholder, label);
        add(TraceKind::Placeholder, &label.to_uppercase());
    }
    found
}

fn parts(path: &str) -> usize {
    path.split('/').filter(|part| !part.is_empty()).count()
}

/// Names that containers, installers and images give to everybody, numbered or not.
fn common(host: &str) -> bool {
    let plain = host.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    ["localhost", "debian", "ubuntu", "fedora", "kiln", "linux", "host", "server", "node", "build", "builder", "runner"]
        .contains(&plain)
        || host.starts_with("localhost")
}

/// Today, in UTC as all steps see it, unless the artifacts carry this very date, or a later one.
fn dates(now: Timestamp, epoch: Timestamp) -> Vec<(TraceKind, String)> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // 1970-01-01 was a Thursday.
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let day = |instant: Timestamp| instant.0.div_euclid(86_400);
    if day(now) <= day(epoch) {
        return Vec::new();
    }
    let (year, number, date, ..) = now.civil();
    let (month, name) = (MONTHS[number as usize - 1], DAYS[day(now).rem_euclid(7) as usize]);
    vec![
        (TraceKind::Date, format!("{year}-{number:02}-{date:02}")),
        (TraceKind::Date, format!("{year}{number:02}{date:02}")),
        (TraceKind::Date, format!("{month} {date} {year}")),
        (TraceKind::Date, format!("{date} {month} {year}")),
        (TraceKind::Clock, format!("{name} {month} {date:2}")),
    ]
}
