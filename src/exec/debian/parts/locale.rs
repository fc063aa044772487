//! The recipe's locale: made by the image's own `locale-gen` where the package `locales` is there, else looked for.

use crate::exec::debian::run::Runner;
use crate::exec::failure::StepFailure;
use crate::exec::tree::parts::Addition;
use crate::exec::tree::{RootError, Tree};
use crate::plan::Statement;
use crate::recipe::image::MachineField;

/// Which locales the image has (locale.gen(5)), and which ones `locales` can make.
const WANTED: &str = "etc/locale.gen";
const SUPPORTED: &str = "usr/share/i18n/SUPPORTED";

/// Makes it unless it is there, or refuses a recipe whose packages cannot.
pub(super) fn apply(addition: &Addition<'_>, runner: &Runner<'_>) -> Result<(), RootError> {
    let Addition { spec, tree, .. } = addition;
    let locale = spec.locale.as_str();
    let able = tree.has("usr/sbin/locale-gen")?;
    let given = addition.named(&["/etc/locale.gen"]).is_some();
    if given && able {
        generate(runner)?;
    }
    if is_built_in(locale) || is_there(tree, locale, runner)? {
        return Ok(());
    }
    if able && !given {
        want(tree, locale)?;
        generate(runner)?;
        if is_there(tree, locale, runner)? {
            return Ok(());
        }
    }
    Err(missing(locale).help(help(given)).into())
}

fn generate(runner: &Runner<'_>) -> Result<(), RootError> {
    runner.script("locale-gen", "locale-gen", &mut |line| (runner.log)(line))
}

fn is_there(tree: &Tree, locale: &str, runner: &Runner<'_>) -> Result<bool, RootError> {
    let mut there = false;
    if tree.has("usr/bin/locale")? {
        runner.script("locale -a", "locale -a", &mut |line| there |= normal(line.trim()) == normal(locale))?;
    }
    Ok(there)
}

fn help(given: bool) -> &'static str {
    match given {
        true => "the recipe's /etc/locale.gen does not name it, or the package `locales` is not in the image",
        false => "add the package `locales`, which makes the locale, or `locales-all`, which has all of them",
    }
}

fn missing(locale: &str) -> StepFailure {
    StepFailure::recipe(Statement::Field(MachineField::Locale), format!("the image has no locale `{locale}`"))
}

/// What the C library has without any file, and what libc-bin ships.
pub(crate) fn is_built_in(locale: &str) -> bool {
    matches!(normal(locale).as_str(), "C" | "POSIX" | "C.utf8")
}

/// As `locale -a` spells it: the code set in small letters and digits alone.
fn normal(locale: &str) -> String {
    let Some((language, rest)) = locale.split_once('.') else { return locale.to_owned() };
    let (codeset, modifier) = rest.split_at(rest.find('@').unwrap_or(rest.len()));
    let codeset: String = codeset.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{language}.{}{modifier}", codeset.to_ascii_lowercase())
}

/// The line of the list from which `locales` makes this locale.
pub(crate) fn supported(tree: &Tree, locale: &str) -> Result<Option<String>, RootError> {
    let list = tree.text(SUPPORTED)?.unwrap_or_default();
    Ok(list.lines().find(|line| makes(line, locale)).map(|line| line.trim().to_owned()))
}

/// Adds a line to the list, in the place of the same line as a comment.
fn want(tree: &Tree, locale: &str) -> Result<(), RootError> {
    let Some(line) = supported(tree, locale)? else {
        let list = tree.text(SUPPORTED)?.unwrap_or_default();
        let names = list.lines().filter_map(|line| line.split_whitespace().next());
        let near = crate::recipe::nearest::nearest(locale, names).map(|name| format!("did you mean `{name}`?"));
        let failure = missing(locale);
        return Err(failure.help(near.unwrap_or_else(|| format!("/{SUPPORTED} lists those that can be made"))).into());
    };
    if !tree.has(WANTED)? {
        tree.put(WANTED, b"", 0o644)?;
    }
    Ok(tree.edit(WANTED, |text| listed(text, &line))?)
}

/// Whether a line such as `de_DE.UTF-8 UTF-8` or `ca_ES@valencia UTF-8` is about this locale. The code set is often in the
/// second word alone.
fn makes(line: &str, locale: &str) -> bool {
    let mut words = line.split_whitespace();
    let (Some(name), Some(codeset)) = (words.next(), words.next()) else { return false };
    let (language, modifier) = name.split_at(name.find('@').unwrap_or(name.len()));
    let full = format!("{}.{codeset}{modifier}", language.split('.').next().unwrap_or_default());
    [name, &full].into_iter().any(|name| normal(name) == normal(locale))
}

fn listed(text: &str, wanted: &str) -> String {
    let plain = |line: &str| line.trim_start_matches(['#', ' ']).trim_end().to_owned();
    let mut lines: Vec<&str> = text.lines().collect();
    if lines.iter().any(|line| line.trim() == wanted) {
        return text.to_owned();
    }
    match lines.iter_mut().find(|line| plain(line) == wanted) {
        Some(line) => *line = wanted,
        None => lines.push(wanted),
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_sets_are_compared_as_the_c_library_does() {
        assert_eq!(normal("de_DE.UTF-8"), "de_DE.utf8");
        assert_eq!(normal("de_DE.ISO-8859-15@euro"), "de_DE.iso885915@euro");
        assert!(is_built_in("C.UTF-8") && is_built_in("POSIX") && !is_built_in("de_DE"));
        assert!(makes("de_DE.UTF-8 UTF-8", "de_DE.utf8") && !makes("de_DE ISO-8859-1", "de_DE.utf8"));
        assert!(makes("de_DE ISO-8859-1", "de_DE") && makes("de_DE ISO-8859-1", "de_DE.ISO-8859-1"));
        assert!(makes("ca_ES@valencia UTF-8", "ca_ES.UTF-8@valencia") && !makes("ca_ES@valencia UTF-8", "ca_ES.UTF-8"));
        assert!(!makes("", "de_DE") && !makes("de_DE", "de_DE"));
    }

    #[test]
    fn a_line_takes_the_place_of_its_comment() {
        let text = "# de_AT.UTF-8 UTF-8\n# de_DE.UTF-8 UTF-8\n";
        assert_eq!(listed(text, "de_DE.UTF-8 UTF-8"), "# de_AT.UTF-8 UTF-8\nde_DE.UTF-8 UTF-8\n");
        assert_eq!(listed("", "x UTF-8"), "x UTF-8\n");
        assert_eq!(listed("x UTF-8\n", "x UTF-8"), "x UTF-8\n");
    }
}
