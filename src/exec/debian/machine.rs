//! The machine that packages are configured for, where scripts and programs look for it: names, locale, time zone.
//!
//! Input: a tree whose packages are unpacked or configured. Output: the same tree with those small files of `/etc`. It must
//! not decide whether a base depends on any of them.

use crate::exec::failure::StepFailure;
use crate::exec::tree::{RootError, Tree};
use crate::plan::Statement;
use crate::plan::root::BaseSpec;
use crate::recipe::image::MachineField;
use crate::recipe::nearest::nearest;

/// Before any script runs.
pub(super) fn describe(tree: &Tree, spec: &BaseSpec) -> Result<(), RootError> {
    names(tree, &spec.hostname)?;
    locale(tree, &spec.locale)?;
    timezone(tree, &spec.timezone)
}

/// Writes the host name where hostname(1), `hostname --fqdn` and the C library look for it.
pub(super) fn names(tree: &Tree, host: &str) -> Result<(), RootError> {
    tree.directory("etc")?;
    tree.put("etc/hostname", format!("{host}\n").as_bytes(), 0o644)?;
    // The full name first, which is what `hostname --fqdn` answers (hosts(5)).
    let short = host.split_once('.').map_or(String::new(), |(short, _)| format!("\t{short}"));
    let hosts = format!(
        "127.0.0.1\tlocalhost\n127.0.1.1\t{host}{short}\n\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
    );
    Ok(tree.put("etc/hosts", hosts.as_bytes(), 0o644)?)
}

/// Removes what [`names`] wrote: images of several names may share the tree.
pub(super) fn forget_names(tree: &Tree) -> Result<(), RootError> {
    tree.remove("etc/hostname")?;
    Ok(tree.remove("etc/hosts")?)
}

/// Writes the locale that logins and services get.
pub(super) fn locale(tree: &Tree, locale: &str) -> Result<(), RootError> {
    tree.directory("etc/default")?;
    // `/etc/default/locale` has been a link to `/etc/locale.conf` since Debian 13.
    let linked = tree.stat("etc/default/locale")?.is_some_and(|stat| stat.link());
    let name = if linked { "etc/locale.conf" } else { "etc/default/locale" };
    Ok(tree.put(name, format!("LANG={locale}\n").as_bytes(), 0o644)?)
}

/// Sets the time zone, where the image has it; else the recipe is wrong.
pub(super) fn timezone(tree: &Tree, zone: &str) -> Result<(), RootError> {
    let name = format!("usr/share/zoneinfo/{zone}");
    if is_zone_name(zone) && tree.find(&name)?.is_some_and(|stat| !stat.directory()) {
        tree.link("etc/localtime", format!("/{name}"))?;
        return Ok(tree.put("etc/timezone", format!("{zone}\n").as_bytes(), 0o644)?);
    }
    // Without tzdata every system is on UTC already.
    if matches!(zone, "UTC" | "Etc/UTC") {
        return Ok(());
    }
    let table = tree.text("usr/share/zoneinfo/tzdata.zi")?;
    Err(StepFailure::recipe(Statement::Field(MachineField::Timezone), format!("the image has no time zone `{zone}`"))
        .help(way_out(zone, table.as_deref()))
        .into())
}

/// Tables and links of the same directory begin with a small letter: `zone.tab`, `localtime`.
fn is_zone_name(zone: &str) -> bool {
    let parts = zone.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    parts && zone.rsplit('/').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// What to do about a zone that is not there. The table of tzdata has every name that there ever was, also those whose files
/// Debian moved to another package: `L America/Los_Angeles US/Pacific` is a name for another zone, `Z Asia/Tokyo ...` a zone.
fn way_out(zone: &str, table: Option<&str>) -> String {
    let Some(table) = table else { return "add the package `tzdata`, which has the time zones".to_owned() };
    let entry = |line: &'_ str| {
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("L"), Some(other), Some(name)) => Some((name.to_owned(), Some(other.to_owned()))),
            (Some("Z"), Some(name), _) => Some((name.to_owned(), None)),
            _ => None,
        }
    };
    let entries: Vec<(String, Option<String>)> = table.lines().filter_map(entry).collect();
    let plain = zone.strip_prefix("posix/").or_else(|| zone.strip_prefix("right/")).unwrap_or(zone);
    let near = || nearest(zone, entries.iter().map(|(name, _)| name.as_str()));
    match (entries.iter().find(|(name, _)| name == plain), near()) {
        (Some((_, Some(other))), _) if plain == zone => {
            format!("it is in tzdata-legacy: add that package, or write `{other}`, which is the same zone")
        }
        (Some(_), _) => "it is in tzdata-legacy: add that package".to_owned(),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) => "a zone is named as in `Europe/Berlin`: a file below /usr/share/zoneinfo".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "# version 2026f\nR d 1916 o - Jun 14 23s 1 S\nZ America/Los_Angeles -7:52:58 - LMT 1883\n\
                         -8 u P%sT 1946\nL America/Los_Angeles US/Pacific\nZ EST -5 - EST\n";

    #[test]
    fn a_zone_that_moved_says_where_it_is() {
        let said = way_out("US/Pacific", Some(TABLE));
        assert!(said.starts_with("it is in tzdata-legacy") && said.contains("`America/Los_Angeles`"), "{said}");
        for moved in ["EST", "right/America/Los_Angeles", "posix/US/Pacific"] {
            assert_eq!(way_out(moved, Some(TABLE)), "it is in tzdata-legacy: add that package", "{moved}");
        }
        assert_eq!(way_out("US/Pacifc", Some(TABLE)), "did you mean `US/Pacific`?");
        assert!(way_out("Mars/Olympus", Some(TABLE)).contains("Europe/Berlin"));
        assert!(way_out("US/Pacific", None).contains("`tzdata`"));
    }

    #[test]
    fn what_lies_beside_the_zones_is_none() {
        for zone in ["Europe/Berlin", "UTC", "Etc/GMT+1", "posix/Asia/Tokyo"] {
            assert!(is_zone_name(zone), "{zone}");
        }
        for other in ["localtime", "zone.tab", "tzdata.zi", "", "/UTC", "../UTC", "Europe/", "posixrules"] {
            assert!(!is_zone_name(other), "{other}");
        }
    }
}
