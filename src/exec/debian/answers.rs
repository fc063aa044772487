//! Answers to what packages ask while they are configured: into debconf's database before the first script of their layer
//! runs, and compared with it after the last one.
//!
//! Input: the answers of a base, a tree. Output: a line of the script that configures it; a refusal of answers that no package
//! asks for or that are none of a question's choices; warnings about answers that scripts replaced.

use std::collections::BTreeMap;
use std::ops::Range;

use super::parts::locale;
use crate::base::Foreign;
use crate::exec::failure::{Fault, StepFailure};
use crate::exec::tree::{RootError, Tree};
use crate::plan::Statement;
use crate::plan::root::{BaseSpec, RootAnswer};
use crate::recipe::image::AnswerType;
use crate::recipe::nearest::nearest;

/// Reads answers from a file, and needs no package to be configured for it.
const PROGRAM: &str = "usr/bin/debconf-set-selections";
/// Where the script finds them; `/tmp` of a sandbox is its own.
const FILE: &str = "var/cache/debconf/kiln-answers";
/// What [`PROGRAM`] makes of a question that no package has brought yet; a package that does replaces it.
const DUMMY: &str = "Dummy template";

/// Lays the answers for the packages of a layer down, and says how the script takes them: before everything else, since any
/// package may ask.
pub(super) fn prepare(tree: &Tree, spec: &BaseSpec, layer: &Range<usize>) -> Result<&'static str, RootError> {
    let is_absent = |answer: &&RootAnswer| !spec.packages.iter().any(|package| package.name == answer.package);
    if let Some(stranger) = spec.answers.iter().find(is_absent) {
        let text =
            format!("the package `{}`, which asks `{}`, is not in the image", stranger.package, stranger.question);
        return Err(of(stranger, text).into());
    }
    let able = tree.has(PROGRAM)?;
    if let (Some(first), false) = (spec.answers.first(), able) {
        return Err(of(first, "the image has no debconf, which would take this answer".to_owned()).into());
    }
    let first = layer.start == 0;
    let mut lines: String = if able && first { of_locale(tree, spec)? } else { None }.unwrap_or_default();
    // Whoever is not among all packages was refused, so each answer is of one layer.
    let own = |answer: &&RootAnswer| spec.packages[layer.clone()].iter().any(|package| package.name == answer.package);
    for RootAnswer { package, question, kind, value } in spec.answers.iter().filter(own) {
        lines.push_str(&format!("{package} {question} {} {value}\n", kind.name()));
    }
    if lines.is_empty() {
        return Ok("");
    }
    tree.directory("var/cache/debconf")?;
    tree.put(FILE, lines.as_bytes(), 0o600)?;
    Ok("debconf-set-selections /var/cache/debconf/kiln-answers\nrm /var/cache/debconf/kiln-answers")
}

/// What the recipe's locale answers the package `locales`, which then makes it.
fn of_locale(tree: &Tree, spec: &BaseSpec) -> Result<Option<String>, RootError> {
    const QUESTION: &str = "locales/locales_to_be_generated";
    let asked = tree.has("usr/sbin/locale-gen")? && !locale::is_built_in(&spec.locale);
    if !asked || spec.answers.iter().any(|answer| answer.question == QUESTION) {
        return Ok(None);
    }
    let line = locale::supported(tree, &spec.locale)?;
    Ok(line.map(|line| format!("locales {QUESTION} multiselect {line}\n")))
}

/// Compares the answers with what the packages asked; what is worth a warning is told to `warn`.
pub(super) fn check(tree: &Tree, spec: &BaseSpec, warn: &dyn Fn(String)) -> Result<(), RootError> {
    if spec.answers.is_empty() {
        return Ok(());
    }
    let database = Database::read(tree)?;
    let mut wrong: Option<StepFailure> = None;
    for answer in &spec.answers {
        match database.judge(answer) {
            Err(failure) => wrong = Some(wrong.map_or(failure.clone(), |first| both(first, failure))),
            Ok(Some(doubt)) => warn(doubt),
            Ok(None) => {}
        }
    }
    wrong.map_or(Ok(()), |failure| Err(failure.into()))
}

/// All mistakes at once: each costs the user a build.
fn both(mut first: StepFailure, second: StepFailure) -> StepFailure {
    let help = second.help.map(|help| format!(" ({help})")).unwrap_or_default();
    first.message = format!("{}\n{}{help}", first.message, second.message);
    first.about.extend(second.about);
    first
}

fn of(answer: &RootAnswer, text: String) -> StepFailure {
    StepFailure { fault: Fault::Recipe, ..StepFailure::recipe(Statement::Answer(answer.question.clone()), text) }
}

type Stanza = BTreeMap<String, String>;

/// Debconf's files, by name of the question or the template.
struct Database {
    questions: BTreeMap<String, Stanza>,
    templates: BTreeMap<String, Stanza>,
}

impl Database {
    fn read(tree: &Tree) -> Result<Database, RootError> {
        let text = |name: &str| -> Result<String, RootError> { Ok(tree.text(name)?.unwrap_or_default()) };
        let mut questions = stanzas(&text("var/cache/debconf/config.dat")?);
        questions.extend(stanzas(&text("var/cache/debconf/passwords.dat")?));
        Ok(Database { questions, templates: stanzas(&text("var/cache/debconf/templates.dat")?) })
    }

    /// What a package made of a question that has an answer: a refusal, or a doubt.
    fn judge(&self, answer: &RootAnswer) -> Result<Option<String>, StepFailure> {
        let RootAnswer { question, kind, value, .. } = answer;
        let stanza = self.questions.get(question);
        let template = stanza.and_then(|stanza| self.templates.get(stanza.get("Template")?));
        let template = template.filter(|template| !is_dummy(template));
        let template = template.ok_or_else(|| self.unasked(answer))?;
        let of_package = template.get("Type").map(String::as_str).unwrap_or_default();
        if of_package != kind.name() {
            let text = format!("`{question}` has the type {}, not {}", Foreign(of_package), kind.name());
            return Err(of(answer, text));
        }
        if let Some(choices) =
            choices(template).filter(|_| matches!(kind, AnswerType::Select | AnswerType::Multiselect))
        {
            let given = if *kind == AnswerType::Select { vec![value.clone()] } else { split(value) };
            if let Some(odd) = given.iter().find(|given| !choices.contains(given)) {
                let help = format!("one of: {}", choices.join(", "));
                return Err(of(answer, format!("`{odd}` is no choice of `{question}`")).help(help));
            }
        }
        let now = stanza.and_then(|stanza| stanza.get("Value")).map(String::as_str).unwrap_or_default();
        Ok(doubt(answer, now))
    }

    fn unasked(&self, answer: &RootAnswer) -> StepFailure {
        let RootAnswer { package, question, .. } = answer;
        let failure = of(answer, format!("no package of the image asks `{question}`"));
        let asked = |(name, template): (&'_ String, &Stanza)| (!is_dummy(template)).then(|| name.clone());
        let names: Vec<String> = self.templates.iter().filter_map(asked).collect();
        if let Some(near) = nearest(question, names.iter().map(String::as_str)) {
            return failure.help(format!("did you mean `{near}`?"));
        }
        let owned = |name: &&String| {
            let owners = self.templates.get(*name).and_then(|template| template.get("Owners"));
            owners.is_some_and(|owners| owners.split(", ").any(|owner| owner.split('/').next() == Some(package)))
                || name.split('/').next() == Some(package)
        };
        let own: Vec<&str> = names.iter().filter(owned).map(String::as_str).take(20).collect();
        match own.is_empty() {
            true => failure.help(format!("the package `{package}` asks nothing")),
            false => failure.help(format!("the package `{package}` has: {}", own.join(", "))),
        }
    }
}

fn is_dummy(template: &Stanza) -> bool {
    template.get("Description").is_some_and(|text| text == DUMMY)
}

/// What a script replaced, and where a password is.
fn doubt(RootAnswer { question, kind, value, .. }: &RootAnswer, now: &str) -> Option<String> {
    match (kind, now == value) {
        (AnswerType::Password, true) if !value.is_empty() => Some(format!(
            "the password that answers `{question}` is in the image, in /var/cache/debconf/passwords.dat, and in the recipe"
        )),
        // Scripts that are careful forget a password as soon as they used it.
        (AnswerType::Password, _) | (_, true) => None,
        (_, false) => Some(format!(
            "a script of the packages replaced the answer `{value}` to `{question}` by `{}`",
            Foreign(now)
        )),
    }
}

/// The choices of a question, unless a script makes them up.
fn choices(template: &Stanza) -> Option<Vec<String>> {
    let text = template.get("Choices")?;
    (!text.contains("${")).then(|| split(text))
}

/// A list as debconf writes it: a backslash before a comma or a blank that does not separate.
fn split(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let last = items.len() - 1;
        match c {
            '\\' if chars.peek().is_some_and(|next| [',', ' '].contains(next)) => items[last].extend(chars.next()),
            ',' => items.push(String::new()),
            ' ' if items[last].is_empty() => {}
            c => items[last].push(c),
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items.into_iter().map(|item| item.trim_end().to_owned()).collect()
}

/// Stanzas of `Field: value`, by their field `Name`.
fn stanzas(text: &str) -> BTreeMap<String, Stanza> {
    let mut all = BTreeMap::new();
    for stanza in text.split("\n\n") {
        let fields = stanza.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_once(':'));
        let fields: Stanza = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        if let Some(name) = fields.get("Name").cloned() {
            all.insert(name, fields);
        }
    }
    all
}
