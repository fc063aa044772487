//! The links that `update-alternatives(1)` would make (`awk`, `cc`, `pager`), read from `postinst` scripts.
//!
//! Scripts are not run. Nearly all of them call the program with plain words; calls with variables in them are left
//! out, and so are links to files that are not there.

use std::collections::BTreeMap;

use crate::exec::tree::Tree;
use crate::exec::tree::layout::place;

/// One `--install LINK NAME PATH PRIORITY [--slave LINK NAME PATH]...`.
#[derive(Debug, PartialEq, Eq)]
struct Offer {
    priority: i64,
    /// Link and path; the first one is the master.
    links: Vec<(String, String)>,
}

/// Links to make, relative to the root, with their targets: of every group the offer with the highest priority, and
/// among equals the first. Files that packages ship are never replaced.
pub(super) fn choose(scripts: &[String], tree: &Tree) -> BTreeMap<String, String> {
    let there = |path: &str| tree.at(place(path.trim_start_matches('/'))).is_ok_and(|place| place.taken());
    let mut best: BTreeMap<String, Offer> = BTreeMap::new();
    for offer in scripts.iter().flat_map(|script| offers(script)) {
        let (link, path) = &offer.links[0];
        if there(path) && best.get(link).is_none_or(|other| other.priority < offer.priority) {
            best.insert(link.clone(), offer);
        }
    }
    let mut links = BTreeMap::new();
    for (link, path) in best.into_values().flat_map(|offer| offer.links) {
        let name = place(link.trim_start_matches('/'));
        let climbs = name.split('/').any(|part| part == ".." || part.is_empty());
        if !climbs && there(&path) && !there(&link) && through_directories(tree, &name) {
            links.insert(name, path);
        }
    }
    links
}

/// Whether no part above the last is a link or a file: a link made there would lie elsewhere.
fn through_directories(tree: &Tree, name: &str) -> bool {
    let stat = |end: usize| tree.at(&name[..end]).and_then(|place| place.stat());
    name.match_indices('/').all(|(end, _)| stat(end).map_or(true, |stat| stat.directory()))
}

fn offers(script: &str) -> Vec<Offer> {
    let joined = script.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| offer(line.split_once("update-alternatives")?.1)).collect()
}

fn offer(line: &str) -> Option<Offer> {
    let words: Vec<&str> = line.split_ascii_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
    let at = words.iter().position(|word| *word == "--install")?;
    let master = words.get(at + 1..at + 5)?;
    let mut links = vec![link(master[0], master[2])?];
    for (at, _) in words.iter().enumerate().filter(|(_, word)| **word == "--slave") {
        let slave = words.get(at + 1..at + 4)?;
        links.extend(link(slave[0], slave[2]));
    }
    Some(Offer { priority: master[3].trim_end_matches(';').parse().ok()?, links })
}

fn link(link: &str, path: &str) -> Option<(String, String)> {
    let plain = |text: &str| text.starts_with('/') && !text.contains(['$', '`', '*', '?', '(']);
    (plain(link) && plain(path)).then(|| (link.to_owned(), path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_may_span_lines_and_have_slaves() {
        let script = "case \"$1\" in\n configure)\n  update-alternatives --quiet --install /usr/bin/awk awk \\\n\
                      /usr/bin/mawk 5 --slave /usr/bin/nawk nawk /usr/bin/mawk ;;\nesac\n";
        let links = [("/usr/bin/awk", "/usr/bin/mawk"), ("/usr/bin/nawk", "/usr/bin/mawk")];
        let links = links.map(|(link, path)| (link.to_owned(), path.to_owned())).to_vec();
        assert_eq!(offers(script), [Offer { priority: 5, links }]);
    }

    #[test]
    fn calls_with_variables_are_left_out() {
        assert_eq!(offers("update-alternatives --install /usr/bin/$name x /usr/bin/y 5"), []);
        assert_eq!(offers("# update-alternatives --install /usr/bin/x x /usr/bin/y 5"), []);
        assert_eq!(offers("update-alternatives --install /usr/bin/x"), []);
    }
}
