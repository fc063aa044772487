//! The order in which packages are configured: a total order, the same on every machine.
//!
//! dpkg configures the members of a dependency cycle in no fixed order (Debian bug 963788), and maintainer scripts that
//! create users take the next free number; so a set states one order, and whoever configures it passes neighbours in this
//! order to dpkg together where it can.

use std::collections::{BTreeMap, BTreeSet};

use super::pool::Pool;
use super::{Chosen, Picked};

/// Essential packages first, with all that they depend on: every script may take for granted what they do, without a
/// dependency, once they were configured (Debian policy 3.8 and 7.2). Then the others.
///
/// Among both, dependencies first; among packages that wait for nothing, by name. Where all that are left wait for each other, the ties
/// of `Depends` are cut before those of `Pre-Depends`, at the first name of the first cycle.
pub(super) fn configure<'a>(pool: &mut Pool<'a>, chosen: Vec<Picked>) -> Vec<Chosen<'a>> {
    let mut by_name: BTreeMap<&'a str, Picked> = BTreeMap::new();
    for picked in chosen {
        by_name.insert(pool.version(picked.version).stanza.name(), picked);
    }
    let graph = needs(pool, &by_name);
    let essential = by_name.iter().filter(|(_, picked)| pool.version(picked.version).stanza.essential());
    let order = tiers(&graph, essential.map(|(name, _)| *name));
    debug_assert!(order.len() == by_name.len(), "every package is in one tier and one component");
    let taken = order.into_iter().filter_map(|name| by_name.remove(name));
    taken
        .map(|Picked { version, why }| {
            let version = pool.version(version);
            Chosen { stanza: version.stanza, archive: pool.offers[version.offer].archive, why }
        })
        .collect()
}

/// What each package needs configured before it.
type Graph<'a> = BTreeMap<&'a str, Needs<'a>>;
type Needs<'a> = BTreeMap<&'a str, Tie>;

/// By which field one package needs another; the stronger one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tie {
    Depends,
    PreDepends,
}

/// All names of the graph: those of `first` and whatever they need, then the others.
fn tiers<'a>(graph: &Graph<'a>, first: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut within = BTreeSet::new();
    let mut open: Vec<&str> = first.collect();
    while let Some(name) = open.pop() {
        if within.insert(name) {
            open.extend(graph[name].keys());
        }
    }
    let tier = |is_first: bool| -> Graph<'a> {
        let of_tier = |name: &&str| within.contains(*name) == is_first;
        let needs = |needs: &Needs<'a>| {
            needs.iter().filter(|(name, _)| of_tier(name)).map(|(name, tie)| (*name, *tie)).collect()
        };
        graph.iter().filter(|(name, _)| of_tier(name)).map(|(name, all)| (*name, needs(all))).collect()
    };
    [tier(true), tier(false)].iter().flat_map(by_needs).collect()
}

/// All names of the graph, each after what it needs.
fn by_needs<'a>(graph: &Graph<'a>) -> Vec<&'a str> {
    let mut order = Vec::with_capacity(graph.len());
    for component in components(graph) {
        let mut left: BTreeSet<&str> = component.into_iter().collect();
        while !left.is_empty() {
            let waits = |name: &&&str, weakest: Tie| {
                graph[**name].iter().any(|(need, tie)| *tie >= weakest && need != *name && left.contains(need))
            };
            let next = left
                .iter()
                .find(|name| !waits(name, Tie::Depends))
                .or_else(|| left.iter().find(|name| !waits(name, Tie::PreDepends)))
                .or_else(|| left.first())
                .copied()
                .expect("the loop ends when nothing is left");
            left.remove(next);
            order.push(next);
        }
    }
    order
}

fn needs<'a>(pool: &mut Pool<'a>, chosen: &BTreeMap<&'a str, Picked>) -> Graph<'a> {
    let mut graph = Graph::new();
    for (name, picked) in chosen {
        let stanza = pool.version(picked.version).stanza;
        let relations = pool.version(picked.version).relations.clone();
        let pre = crate::debian::relation::parse(stanza.relation("Pre-Depends")).map_or(0, |clauses| clauses.len());
        let mut needs = Needs::new();
        for (i, want) in relations.wants.iter().enumerate().filter(|(_, want)| want.must()) {
            let tie = if i < pre { Tie::PreDepends } else { Tie::Depends };
            for found in want.clause.iter().flat_map(|atom| pool.matching(atom)).collect::<Vec<_>>() {
                let need = pool.version(found).stanza.name();
                if chosen.get(need).is_some_and(|picked| picked.version == found) && need != *name {
                    let known = needs.entry(need).or_insert(tie);
                    *known = tie.max(*known);
                }
            }
        }
        graph.insert(name, needs);
    }
    graph
}

/// Strongly connected components, dependencies first, deterministic: Tarjan's algorithm without recursion.
fn components<'a>(graph: &Graph<'a>) -> Vec<Vec<&'a str>> {
    let mut index: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let (mut stack, mut on_stack, mut found) = (Vec::new(), BTreeSet::new(), Vec::new());
    for start in graph.keys() {
        if index.contains_key(start) {
            continue;
        }
        let mut work = vec![(*start, graph[start].keys())];
        enter(&mut index, start);
        stack.push(*start);
        on_stack.insert(*start);
        while let Some((name, needs)) = work.last_mut() {
            let name = *name;
            if let Some(need) = needs.next() {
                if !index.contains_key(need) {
                    enter(&mut index, need);
                    stack.push(*need);
                    on_stack.insert(*need);
                    work.push((*need, graph[need].keys()));
                } else if on_stack.contains(need) {
                    let number = index[need].0;
                    lower(&mut index, name, number);
                }
                continue;
            }
            work.pop();
            let (own, low) = index[name];
            if let Some((parent, _)) = work.last() {
                lower(&mut index, parent, low);
            }
            if own == low {
                let at = stack.iter().rposition(|other| *other == name).expect("a component's root is on the stack");
                let component: Vec<&str> = stack.split_off(at);
                component.iter().for_each(|name| _ = on_stack.remove(name));
                found.push(component);
            }
        }
    }
    found
}

fn enter<'a>(index: &mut BTreeMap<&'a str, (usize, usize)>, name: &'a str) {
    let number = index.len();
    index.insert(name, (number, number));
}

fn lower(index: &mut BTreeMap<&str, (usize, usize)>, name: &str, low: usize) {
    if let Some(entry) = index.get_mut(name) {
        entry.1 = entry.1.min(low);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(lines: &[(&'static str, &[(&'static str, Tie)])]) -> Graph<'static> {
        lines.iter().map(|(name, needs)| (*name, needs.iter().copied().collect())).collect()
    }

    #[test]
    fn essential_packages_and_what_they_need_come_before_all_others() {
        let graph = graph(&[
            ("app", &[("adduser", Tie::Depends)]),
            ("adduser", &[("passwd", Tie::Depends)]),
            ("bash", &[("libtinfo", Tie::PreDepends)]),
            ("libtinfo", &[]),
            ("passwd", &[("zlib", Tie::Depends)]),
            ("util-linux", &[("zlib", Tie::PreDepends)]),
            ("zlib", &[]),
        ]);
        let order = tiers(&graph, ["bash", "util-linux"].into_iter());
        assert_eq!(order, ["libtinfo", "bash", "zlib", "util-linux", "passwd", "adduser", "app"]);
    }

    #[test]
    fn ties_are_cut_at_depends_before_pre_depends() {
        let graph =
            graph(&[("a", &[("b", Tie::PreDepends)]), ("b", &[("a", Tie::Depends)]), ("c", &[("a", Tie::Depends)])]);
        assert_eq!(tiers(&graph, std::iter::empty()), ["b", "a", "c"]);
    }
}
