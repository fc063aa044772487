//! Reads `debconf = ["PACKAGE QUESTION TYPE VALUE", ...]` in an image: the four words of debconf-set-selections(1).

use super::{AnswerType, DebconfAnswer};
use crate::base::{Diagnostic, Spanned};
use crate::recipe::nearest::suggest;
use crate::recipe::packages::is_name;
use crate::recipe::reader::Reader;

/// Most bytes of one answer; debconf hands each to scripts as one line.
const LONGEST: usize = 64 << 10;

/// Every answer of an image, by question.
pub(super) fn answers(reader: &mut Reader<'_>) -> Vec<DebconfAnswer> {
    let mut answers: Vec<DebconfAnswer> = Vec::new();
    for text in reader.list::<String>("debconf") {
        let answer = match answer(&text) {
            Ok(answer) => answer,
            Err(wrong) => {
                reader.error(wrong);
                continue;
            }
        };
        match answers.iter().find(|known| known.question == answer.question) {
            // A base image may give it already.
            Some(first) if (first.kind, &first.value) == (answer.kind, &answer.value) => {}
            Some(first) => {
                let twice = Diagnostic::new(text.span, format!("`{}` has two answers", answer.question));
                let twice = twice.label("this one").related(first.span, "and this one");
                reader.error(twice.hint("keep one of the two; `debconf -= [...]` removes an inherited one"));
            }
            None => answers.push(answer),
        }
    }
    answers.sort_by(|a, b| a.question.cmp(&b.question));
    answers
}

const USAGE: &str = "write `\"PACKAGE QUESTION TYPE VALUE\"`, as in \
                     `\"wireshark-common wireshark-common/install-setuid boolean true\"`";

fn answer(text: &Spanned<String>) -> Result<DebconfAnswer, Diagnostic> {
    let wrong = |message: String, label: &str| Diagnostic::new(text.span, message).label(label);
    if text.value.len() > LONGEST || text.value.chars().any(char::is_control) {
        let message = "this cannot be an answer to debconf".to_owned();
        return Err(wrong(message, "expected one line without control characters, at most 64 KiB"));
    }
    let (package, rest) = word(&text.value);
    let (question, rest) = word(rest);
    let (kind, value) = word(rest);
    if kind.is_empty() {
        return Err(wrong("an answer to debconf needs four words".to_owned(), "some are missing").hint(USAGE));
    }
    if !is_name(package) {
        let message = format!("`{package}` cannot be the name of a Debian package");
        return Err(wrong(message, "the first word is the package that asks").hint(USAGE));
    }
    if !question.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("`{question}` cannot be the name of a question");
        return Err(wrong(message, "the second word is the name of the question").hint(USAGE));
    }
    let kind = answer_type(kind).map_err(|(message, label, hint)| {
        let wrong = wrong(message, label);
        if let Some(hint) = hint { wrong.hint(hint) } else { wrong }
    })?;
    let value = value.trim();
    let what = if value.is_empty() { "nothing".to_owned() } else { format!("`{value}`") };
    checked(kind, value).map_err(|label| wrong(format!("{what} cannot be the answer to `{question}`"), label))?;
    let (package, question, value) = (package.to_owned(), question.to_owned(), value.to_owned());
    Ok(DebconfAnswer { package, question, kind, value, span: text.span })
}

/// The first word, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(char::is_whitespace).unwrap_or((text, ""))
}

/// Debconf has types that nobody answers, too (debconf-devel(7)).
fn answer_type(word: &str) -> Result<AnswerType, (String, &'static str, Option<String>)> {
    if let Some(kind) = AnswerType::ALL.into_iter().find(|kind| kind.name() == word) {
        return Ok(kind);
    }
    let message = format!("`{word}` is not a type of answer");
    if ["note", "text", "title", "error"].contains(&word) {
        let hint = "leave it out: scripts do not wait for it";
        return Err((message, "debconf shows this and takes no answer", Some(hint.to_owned())));
    }
    if word == "seen" {
        let hint = "leave it out: questions that the recipe answers are never asked";
        return Err((message, "this is a flag", Some(hint.to_owned())));
    }
    let hint = suggest(word, &AnswerType::ALL.map(AnswerType::name));
    Err((message, "the third word is the type of the question", hint))
}

/// What debconf would take without a word, and scripts would not understand.
fn checked(kind: AnswerType, value: &str) -> Result<(), &'static str> {
    match kind {
        AnswerType::Boolean if !["true", "false"].contains(&value) => Err("expected `true` or `false`"),
        AnswerType::Select if value.is_empty() => Err("expected one of the choices"),
        // In the file that debconf reads, the next line would belong to it.
        _ if value.ends_with('\\') => Err("an answer cannot end with a backslash"),
        _ => Ok(()),
    }
}
