//! What stops a resolution, shown in the recipe where a line of it is to be changed.

use super::error::{ResolveError, UnsolvedSet};
use crate::base::{Diagnostic, Foreign, Span};
use crate::debian::solve::Unsolvable;
use crate::recipe::Recipe;
use crate::recipe::packages::PackageSet;

impl ResolveError {
    /// The mistakes in the recipe that it tells of; none where the recipe is not to blame.
    pub fn diagnostics(&self, recipe: &Recipe) -> Vec<Diagnostic> {
        let at = |span: Option<Span>| span.map(|span| self.at(span)).into_iter().collect();
        match self {
            ResolveError::Unsolvable(sets) => {
                let mut all: Vec<Diagnostic> = sets.iter().flat_map(|set| of_set(recipe, set)).collect();
                all.sort_by_key(|one| one.span);
                // Images that extend one another ask for the same package at the same place.
                all.dedup_by(|a, b| (a.span, &a.message) == (b.span, &b.message));
                all
            }
            ResolveError::SetTwice(name) => {
                let spans: Vec<Span> = all_sets(recipe).filter(|set| set.name == *name).map(|set| set.span).collect();
                let mut places = spans.into_iter();
                let first = places.next().map(|span| self.at(span));
                first.map(|first| places.fold(first, |all, span| all.related(span, "and here"))).into_iter().collect()
            }
            ResolveError::Keys { archive, .. } | ResolveError::NoIndex { archive, .. } => {
                at(recipe.archives.get(archive).map(|archive| archive.span))
            }
            ResolveError::Source { owner, .. } => {
                let kernel = recipe.kernels.get(owner).map(|kernel| kernel.span);
                at(kernel.or_else(|| recipe.images.get(owner).map(|image| image.span)))
            }
            _ => Vec::new(),
        }
    }

    /// The whole message at one place; what follows its first line is a hint.
    fn at(&self, span: Span) -> Diagnostic {
        let text = self.to_string();
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let report = Diagnostic::new(span, first).label("here");
        match rest.trim_start().strip_prefix("help: ") {
            Some(help) => report.hint(help),
            None => report,
        }
    }
}

fn all_sets(recipe: &Recipe) -> impl Iterator<Item = &PackageSet> {
    recipe.package_sets.values().chain(recipe.sets())
}

fn of_set(recipe: &Recipe, unsolved: &UnsolvedSet) -> Vec<Diagnostic> {
    let set = all_sets(recipe).find(|set| set.name == unsolved.set).map(|set| set.span);
    let label = format!("requested in package set `{}`", unsolved.set);
    match &unsolved.source {
        Unsolvable::Requests(requests) => {
            let one = |request: &crate::debian::solve::RefusedRequest| {
                let message = Foreign(&request.message).to_string();
                let report = Diagnostic::new(request.span.or(set)?, message).label(label.clone());
                Some(match &request.help {
                    Some(help) => report.hint(Foreign(help).to_string()),
                    None => report,
                })
            };
            requests.iter().filter_map(one).collect()
        }
        Unsolvable::Conflict { words, requests } => {
            let mut places = requests.iter().copied().chain(set);
            let Some(first) = places.next() else { return Vec::new() };
            let message = "these packages cannot be installed together";
            let report = Diagnostic::new(first, message).label(label);
            let related = requests.iter().skip(1).fold(report, |report, span| report.related(*span, "and here"));
            let lines: Vec<String> = words.lines().map(|line| Foreign(line).to_string()).collect();
            vec![related.note(lines.join("\n"))]
        }
    }
}
