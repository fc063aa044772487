//! Pieces of HTML: text that is escaped wherever it comes from, tables that a screen reader can read, sections with headings.
//!
//! Input: texts of anybody. Output: markup. Nothing else of the report writes a tag with somebody else's words in it.

use crate::base::{Digest, tell, xml};

/// Markup that is complete by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Html(pub(super) String);

/// One cell of a table.
pub(super) enum Cell {
    Text(String),
    /// Aligned with the numbers above and below it.
    Number(String),
    Digest(Digest),
    Html(Html),
}

/// A table with its caption.
pub(super) struct Table<'a> {
    pub(super) caption: String,
    pub(super) columns: &'a [&'a str],
    /// The first cell of a row names it.
    pub(super) rows: Vec<Vec<Cell>>,
}

/// Somebody's words as text: without a meaning to a browser, and without characters that hide or turn around what is read.
pub(super) fn text(words: &str) -> String {
    xml::escape(&tell::plain(words)).replace('\'', "&#39;")
}

/// The same of a text of several lines.
pub(super) fn lines(words: &str) -> String {
    words.lines().map(|line| format!("{}\n", text(line))).collect()
}

pub(super) fn code(words: &str) -> Html {
    Html(format!("<code>{}</code>", text(words)))
}

impl Cell {
    pub(super) fn text(words: impl Into<String>) -> Cell {
        Cell::Text(words.into())
    }

    /// The cell with its tag; the first of a row is its heading.
    fn html(&self, is_first: bool) -> String {
        let (class, inner) = match self {
            Cell::Text(words) => ("", text(words)),
            Cell::Number(number) => (" class=\"number\"", text(number)),
            Cell::Digest(digest) => (" class=\"digest\"", digest.to_string()),
            Cell::Html(Html(html)) => ("", html.clone()),
        };
        if is_first { format!("<th scope=\"row\"{class}>{inner}</th>") } else { format!("<td{class}>{inner}</td>") }
    }
}

impl Table<'_> {
    /// In a region that scrolls by itself where the page is narrow, and that the keyboard reaches.
    pub(super) fn html(&self) -> Html {
        let numbers: Vec<bool> = (0..self.columns.len())
            .map(|at| self.rows.iter().any(|row| matches!(row.get(at), Some(Cell::Number(_)))))
            .collect();
        let head = self.columns.iter().zip(numbers).map(|(column, is_number)| {
            let class = if is_number { " class=\"number\"" } else { "" };
            format!("<th scope=\"col\"{class}>{}</th>", text(column))
        });
        let head: String = head.collect();
        let row = |row: &Vec<Cell>| {
            let cells: String = row.iter().enumerate().map(|(at, cell)| cell.html(at == 0)).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let rows: String = self.rows.iter().map(row).collect();
        let caption = text(&self.caption);
        Html(format!(
            "<div class=\"scroll\" role=\"group\" aria-label=\"{caption}\" tabindex=\"0\">\n<table>\n<caption>{caption}</caption>\n\
             <thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
        ))
    }
}

/// Terms with what is said of each.
pub(super) fn terms(terms: Vec<(&str, Cell)>) -> Html {
    let term = |(name, cell): &(&str, Cell)| {
        let (class, inner) = match cell {
            Cell::Text(words) | Cell::Number(words) => ("", text(words)),
            Cell::Digest(digest) => (" class=\"digest\"", digest.to_string()),
            Cell::Html(Html(html)) => ("", html.clone()),
        };
        format!("<dt>{}</dt><dd{class}>{inner}</dd>\n", text(name))
    };
    Html(format!("<dl>\n{}</dl>\n", terms.iter().map(term).collect::<String>()))
}

/// What is shown when its summary is activated.
pub(super) fn details(summary: &str, inner: &Html) -> Html {
    Html(format!("<details>\n<summary>{}</summary>\n{}</details>\n", text(summary), inner.0))
}

pub(super) fn paragraph(words: &str) -> Html {
    Html(format!("<p>{}</p>\n", text(words)))
}

/// A section with its heading, to which the contents lead.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) heading: &'static str,
    pub(super) parts: Vec<Html>,
}

/// A page of its own: it loads nothing and runs nothing.
pub(super) fn page(title: &str, lead: &Html, sections: &[Section]) -> String {
    let title = text(title);
    let link = |section: &Section| format!("<li><a href=\"#{}\">{}</a></li>\n", section.id, section.heading);
    let contents: String = sections.iter().map(link).collect();
    let section = |Section { id, heading, parts }: &Section| {
        let parts: String = parts.iter().map(|Html(part)| part.as_str()).collect();
        format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{heading}</h2>\n{parts}</section>\n")
    };
    let body: String = sections.iter().map(section).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the content</a>\n\
         <header>\n<h1>{title}</h1>\n{lead}</header>\n<nav aria-label=\"Contents\">\n<ul>\n{contents}</ul>\n</nav>\n\
         <main id=\"main\">\n{body}</main>\n<footer>\n<p>Made by kiln {version}. Only the lock and the recipe say what is true.</p>\n</footer>\n\
         </body>\n</html>\n",
        style = include_str!("style.css"),
        lead = lead.0,
        version = env!("CARGO_PKG_VERSION"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_are_text_wherever_they_stand() {
        let hostile = "\"><script>alert('1')</script>&amp;\u{202e}\u{1b}[31m";
        let table = Table {
            caption: hostile.to_owned(),
            columns: &[hostile, "b"],
            rows: vec![vec![Cell::text(hostile), Cell::Html(code(hostile))]],
        };
        let parts =
            vec![table.html(), details(hostile, &paragraph(hostile)), terms(vec![(hostile, Cell::text(hostile))])];
        let page = page(hostile, &paragraph(hostile), &[Section { id: "a", heading: "A", parts }]);
        assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;").count(), 12);
        assert!(page.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'));
        assert_eq!(page.matches('"').count() % 2, 0, "every attribute ends");
    }
}
