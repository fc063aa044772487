//! The order in which packages are configured: a total order, the same on every machine.
//!
//! dpkg configures the members of a dependency cycle in no fixed order (Debian bug 963788), and maintainer scripts that
//! create users take the next free number; so kiln hands packages over one after the other, in this order.

use std::collections::{BTreeMap, BTreeSet};

use super::Chosen;
use super::pool::{Pool, Ver};

/// Dependencies first; among packages that wait for nothing, by name. Where all that are left wait for each other, the ties
/// of `Depends` are cut before those of `Pre-Depends`, at the first name of the first cycle.
pub(super) fn configure<'a>(pool: &mut Pool<'a>, chosen: Vec<(Ver, String)>) -> Vec<Chosen<'a>> {
    let mut by_name: BTreeMap<&'a str, (Ver, String)> = BTreeMap::new();
    for (version, why) in chosen {
        by_name.insert(pool.version(version).stanza.name(), (version, why));
    }
    let graph = needs(pool, &by_name);
    let mut rest: BTreeSet<&str> = by_name.keys().copied().collect();
    let mut order = Vec::with_capacity(rest.len());
    for component in components(&graph) {
        let mut left: BTreeSet<&str> = component.into_iter().collect();
        while !left.is_empty() {
            let waits = |name: &&&str, strict: bool| {
                graph[**name].iter().any(|(need, pre)| (*pre || !strict) && need != *name && left.contains(need))
            };
            let next = left
                .iter()
                .find(|name| !waits(name, false))
                .or_else(|| left.iter().find(|name| !waits(name, true)))
                .or_else(|| left.first())
                .copied()
                .expect("the loop ends when nothing is left");
            left.remove(next);
            rest.remove(next);
            order.push(next);
        }
    }
    debug_assert!(rest.is_empty(), "every package is in one component");
    let taken = order.into_iter().filter_map(|name| by_name.remove(name));
    taken
        .map(|(version, why)| {
            let version = pool.version(version);
            Chosen { stanza: version.stanza, archive: pool.offers[version.offer].archive, why }
        })
        .collect()
}

/// What each package needs configured before it, and whether by `Pre-Depends`.
type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, bool>>;

fn needs<'a>(pool: &mut Pool<'a>, chosen: &BTreeMap<&'a str, (Ver, String)>) -> Graph<'a> {
    let mut graph = Graph::new();
    for (name, (version, _)) in chosen {
        let stanza = pool.version(*version).stanza;
        let relations = pool.version(*version).relations.clone();
        let pre = crate::debian::relation::parse(stanza.relation("Pre-Depends")).map_or(0, |clauses| clauses.len());
        let mut needs = BTreeMap::new();
        for (i, (clause, must)) in relations.wants.iter().enumerate() {
            if !must {
                continue;
            }
            for found in clause.iter().flat_map(|atom| pool.matching(atom)).collect::<Vec<_>>() {
                let need = pool.version(found).stanza.name();
                if chosen.get(need).is_some_and(|(version, _)| *version == found) && need != *name {
                    *needs.entry(need).or_insert(false) |= i < pre;
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
