//! Draws diagnostics the way rustc does: file, line, caret, hint.

use annotate_snippets::renderer::{DecorStyle, Renderer};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Snippet};

use super::diagnostic::Diagnostic;
use super::source::{FileId, SourceMap};
use super::span::Span;

/// Every mistake as text, with a blank line between two.
pub fn render(sources: &SourceMap, diagnostics: &[Diagnostic], color: bool) -> String {
    render_as(Level::ERROR, sources, diagnostics, color)
}

/// Every doubt as text: what works, slowly or only with care.
pub fn render_warnings(sources: &SourceMap, diagnostics: &[Diagnostic], color: bool) -> String {
    render_as(Level::WARNING, sources, diagnostics, color)
}

fn render_as(level: Level<'static>, sources: &SourceMap, diagnostics: &[Diagnostic], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let reports = diagnostics.iter().map(|diagnostic| renderer.render(&[group(level.clone(), sources, diagnostic)]));
    reports.map(|report| places(&report) + "\n").collect::<Vec<_>>().join("\n")
}

/// A second file is written as the first one is: CI services obey lines that begin with two colons, so that `::: FILE` would have to be
/// spelled otherwise.
fn places(report: &str) -> String {
    let shown = |line: &str| match line.find(":::") {
        Some(at) if is_blank(&line[..at]) => format!("{}-->{}", &line[..at], &line[at + 3..]),
        _ => line.to_owned(),
    };
    report.split('\n').map(shown).collect::<Vec<_>>().join("\n")
}

/// Whether a terminal shows nothing of it: spaces and colours.
fn is_blank(text: &str) -> bool {
    let mut parts = text.split('\x1b');
    let spaces = |text: &str| text.bytes().all(|byte| byte == b' ');
    parts.next().is_none_or(spaces) && parts.all(|part| part.split_once('m').is_some_and(|(_, rest)| spaces(rest)))
}

fn group<'a>(level: Level<'a>, sources: &'a SourceMap, diagnostic: &'a Diagnostic) -> Group<'a> {
    let mut places = vec![(AnnotationKind::Primary, diagnostic.span, &*diagnostic.label)];
    let related = diagnostic.related.iter();
    places.extend(related.map(|(span, label)| (AnnotationKind::Context, *span, label.as_str())));
    let mut files: Vec<FileId> = Vec::new();
    for (_, span, _) in &places {
        if !files.contains(&span.file) {
            files.push(span.file);
        }
    }
    let mut group = level.primary_title(diagnostic.message.as_str()).elements([] as [Snippet<'_, Annotation<'_>>; 0]);
    for file in files {
        let here: Vec<_> = places.iter().filter(|(_, span, _)| span.file == file).collect();
        group = group.element(snippet(sources, file, &here));
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    match &diagnostic.hint {
        Some(hint) => group.element(Level::HELP.message(hint.as_str())),
        None => group,
    }
}

type Place<'a> = (AnnotationKind, Span, &'a str);

/// The lines of one file from the first to the last annotated one: the renderer need not look at the rest.
fn snippet<'a>(sources: &'a SourceMap, file: FileId, places: &[&Place<'a>]) -> Snippet<'a, Annotation<'a>> {
    let text = sources.text(file);
    let bounds = |span: Span| {
        let start = text.floor_char_boundary(span.start as usize);
        (start, text.floor_char_boundary(span.end as usize).max(start))
    };
    let first = places.iter().map(|(_, span, _)| bounds(*span).0).min().unwrap_or(0);
    let last = places.iter().map(|(_, span, _)| bounds(*span).1).max().unwrap_or(0);
    let from = text[..first].rfind('\n').map_or(0, |newline| newline + 1);
    let to = text[last..].find('\n').map_or(text.len(), |newline| last + newline);
    let line = text[..from].matches('\n').count() + 1;
    let annotations = places.iter().map(|(kind, span, label)| {
        let (start, end) = bounds(*span);
        let annotation = kind.span(start - from..end - from);
        if label.is_empty() { annotation } else { annotation.label(*label) }
    });
    let path = sources.path(file).to_string_lossy().into_owned();
    Snippet::source(&text[from..to]).line_start(line).path(path).annotations(annotations)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> (SourceMap, FileId) {
        let mut sources = SourceMap::default();
        let file = sources.add("a.kiln".into(), text.to_owned());
        (sources, file)
    }

    #[test]
    fn a_report_shows_place_words_and_hint() {
        let (sources, file) = sources("# one\nsize = 4\nname = \"é\"\n");
        let wrong = Diagnostic::new(Span { file, start: 13, end: 14 }, "expected a size").label("a number");
        let wrong = wrong.related(Span { file, start: 22, end: 26 }, "unlike this").hint("write `4GiB`");
        let expected = "\
error: expected a size
 --> a.kiln:2:8
  |
2 | size = 4
  |        ^ a number
3 | name = \"é\"
  |        --- unlike this
  |
  = help: write `4GiB`
";
        assert_eq!(render(&sources, &[wrong], false), expected);
    }

    #[test]
    fn a_second_file_is_shown_in_words_that_no_ci_service_obeys() {
        let mut sources = SourceMap::default();
        let main = sources.add("a.kiln".into(), "import \"ie/m.kiln\"\n".to_owned());
        let other = sources.add("ie/m.kiln".into(), "size = 4\n".to_owned());
        let wrong = Diagnostic::new(Span { file: other, start: 7, end: 8 }, "expected a size");
        let wrong = wrong.related(Span { file: main, start: 7, end: 18 }, "imported here");
        for color in [false, true] {
            let text = render(&sources, std::slice::from_ref(&wrong), color);
            assert!(!text.contains(":::") && crate::base::tell::plain(&text).matches("\\u{3a}").count() == 0, "{text}");
            assert_eq!(text.matches("--> ").count(), 2, "{text}");
        }
    }

    #[test]
    fn notes_stand_before_the_hint_and_may_have_lines() {
        let (sources, file) = sources("size = 4\n");
        let wrong = Diagnostic::new(Span { file, start: 7, end: 8 }, "too small").note("one\ntwo").hint("write more");
        let text = render(&sources, &[wrong], false);
        assert!(text.contains("= note: one\n") && text.contains("  two\n"), "{text}");
        assert!(text.find("note").unwrap() < text.find("help").unwrap(), "{text}");
    }

    #[test]
    fn a_span_outside_the_text_or_inside_a_character_is_no_panic() {
        let (sources, file) = sources("é");
        for (start, end) in [(1, 1), (0, 9), (7, 9), (2, 1)] {
            let wrong = Diagnostic::new(Span { file, start, end }, "m");
            assert!(render(&sources, &[wrong], true).contains("a.kiln"));
        }
    }
}
