//! Does to a recipe what a hint says, as a reader would who takes its words literally.

use std::ops::Range;
use std::path::PathBuf;

use kiln::base::{SourceMap, Span};
use kiln::syntax::parse;
use kiln::syntax::tree::Entry;

/// A change of the text.
type Edit = (Range<usize>, String);

/// What precedes the piece of a hint that is being read.
#[derive(Clone, Copy, PartialEq)]
enum Verb {
    Write,
    Add,
    Remove,
}

/// What is written under a place, instead of which something else is to be written everywhere.
fn replaced(text: &str, at: Span, name: &str) -> String {
    text.replace(&text[range(at)], name)
}

/// The text after the first thing that `hint` offers was done; nothing if it says nothing that can be done without thinking.
pub(super) fn apply(text: &str, at: Span, hint: &str) -> Option<String> {
    let mut sources = SourceMap::default();
    let file = sources.add(PathBuf::from("fixture.kiln"), text.to_owned());
    let (tree, _) = parse(file, text);
    if let Some(name) = quoted(hint, "write another name everywhere, such as `") {
        return Some(replaced(text, at, name));
    }
    let mut edits = edits(&tree.entries, at, offered(hint))?;
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut changed = text.to_owned();
    edits.into_iter().for_each(|(range, new)| changed.replace_range(range, &new));
    Some(changed)
}

/// Of alternatives the first, without what is said about other ways.
fn offered(hint: &str) -> &str {
    let begin = ["; else ", "; for the others "];
    let hint = begin.iter().find_map(|words| Some(hint.split_once(words)?.1)).unwrap_or(hint);
    let end = [", or ", "; as it is", "; whoever", ": "];
    end.iter().fold(hint, |hint, words| hint.split_once(words).map_or(hint, |(first, _)| first))
}

fn edits(entries: &[Entry], at: Span, hint: &str) -> Option<Vec<Edit>> {
    let chain = chain(entries, at);
    let innermost = *chain.last()?;
    if let Some(what) = hint.strip_prefix("remove this ") {
        let what = what.trim_matches('`').split(' ').next();
        let named = chain.iter().find(|entry| Some(&*entry.keyword.value) == what);
        return Some(vec![(range(named.unwrap_or(&innermost).span), String::new())]);
    }
    if hint == "remove one of the two" {
        return Some(vec![(range(innermost.span), String::new())]);
    }
    if let Some(piece) = hint.split_once("give all of them `").and_then(|(_, rest)| rest.strip_suffix('`')) {
        let mut edits = Vec::new();
        everywhere(entries, piece, &mut edits);
        return Some(edits);
    }
    if let Some(name) = quoted(hint, "remove node `") {
        return Some(vec![(range(find(entries, "node", name)?.span), String::new())]);
    }
    let pieces: Vec<&str> = hint.split('`').collect();
    let (mut verb, mut edits, mut position) = (None, Vec::new(), 0);
    while position + 1 < pieces.len() {
        for word in pieces[position].split(' ') {
            verb = match word {
                "write" | "mean" => Some(Verb::Write),
                "add" => Some(Verb::Add),
                "remove" => Some(Verb::Remove),
                _ => verb,
            };
        }
        let (piece, after) = (pieces[position + 1], pieces.get(position + 2).copied().unwrap_or_default());
        let place = match after.trim().split_once(' ').map_or(after.trim(), |(_, kind)| kind) {
            "machine" | "the machine" => Some(chain[0]),
            kind @ ("node" | "memory" | "expander" | "bridge") => Some(find(entries, kind, pieces.get(position + 3)?)?),
            _ => None,
        };
        edits.push(edit(&chain, at, (verb?, piece), place)?);
        position += if place.is_some_and(|place| place.keyword.value != "machine") { 4 } else { 2 };
    }
    (!edits.is_empty()).then_some(edits)
}

fn edit(chain: &[&Entry], at: Span, (verb, piece): (Verb, &str), place: Option<&Entry>) -> Option<Edit> {
    let block = place.or_else(|| chain.iter().rev().copied().find(|entry| entry.body.is_some()))?;
    let word = piece.split(' ').next()?;
    let field = |block: &Entry| block.body.iter().flatten().find(|child| child.keyword.value == word).cloned();
    match (verb, word) {
        (Verb::Remove, _) => {
            let blocks = place.into_iter().chain(chain.iter().rev().copied());
            let found = blocks.into_iter().find_map(field)?;
            Some((range(found.span), String::new()))
        }
        (_, "window") => Some(inserted(chain.iter().find(|entry| entry.keyword.value == "cxl")?, piece)),
        (_, "latency" | "bandwidth" | "distance") if piece.contains('=') => Some(inserted(chain[0], piece)),
        (_, "join") => Some((range(chain.last()?.span), piece.to_owned())),
        _ if piece.contains(" = ") => Some(match field(block) {
            Some(child) => (range(child.span), piece.to_owned()),
            None => inserted(block, piece),
        }),
        (Verb::Write, _) => Some((range(at), piece.to_owned())),
        (Verb::Add, _) => None,
    }
}

/// At the end of a block.
fn inserted(block: &Entry, piece: &str) -> Edit {
    let end = range(block.span).end - 1;
    (end..end, format!(" {piece} "))
}

/// The entries around a place, from the outermost.
fn chain(mut entries: &[Entry], at: Span) -> Vec<&Entry> {
    let mut chain = Vec::new();
    while let Some(entry) = entries.iter().find(|entry| entry.span.start <= at.start && at.end <= entry.span.end) {
        chain.push(entry);
        entries = entry.body.as_deref().unwrap_or_default();
    }
    chain
}

/// The block of a kind and a name, wherever it stands.
fn find<'e>(entries: &'e [Entry], kind: &str, name: &str) -> Option<&'e Entry> {
    entries.iter().find_map(|entry| {
        let named = entry.keyword.value == kind && entry.arguments.iter().any(|argument| is_name(argument, name));
        if named { Some(entry) } else { find(entry.body.as_deref().unwrap_or_default(), kind, name) }
    })
}

/// A field in every expander that has it.
fn everywhere(entries: &[Entry], piece: &str, edits: &mut Vec<Edit>) {
    let word = piece.split(' ').next();
    for entry in entries {
        let children = entry.body.as_deref().unwrap_or_default();
        let fields =
            children.iter().filter(|child| entry.keyword.value == "expander" && Some(&*child.keyword.value) == word);
        edits.extend(fields.map(|child| (range(child.span), piece.to_owned())));
        everywhere(children, piece, edits);
    }
}

fn is_name(argument: &kiln::base::Spanned<kiln::syntax::tree::Expression>, name: &str) -> bool {
    matches!(&argument.value, kiln::syntax::tree::Expression::Name(found) if found == name)
}

fn quoted<'h>(hint: &'h str, begin: &str) -> Option<&'h str> {
    Some(hint.strip_prefix(begin)?.split_once('`')?.0)
}

fn range(span: Span) -> Range<usize> {
    span.start as usize..span.end as usize
}
