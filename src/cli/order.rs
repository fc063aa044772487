//! The command line in the order in which clap reads it.
//!
//! Input: the words as they were typed. Output: the same words, where an option that may stand without a value is followed
//! by the recipe: `kiln lock --update bash a.kiln`, `kiln run --print a.kiln`. clap alone would take the recipe for a value.

use std::ffi::OsString;

use super::PrintForm;
use clap::ValueEnum;

/// Moves the recipe from behind `--update` and `--print`, if it stands there.
pub fn ordered(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    // Words after `--` are not options.
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    match words.get(1).and_then(|verb| verb.to_str()) {
        Some("lock") => update(&mut words, end),
        Some("run") => print(&mut words, end),
        _ => {}
    }
    words
}

/// `--update a b r.kiln` becomes `r.kiln --update a b`: no package is called like a recipe.
fn update(words: &mut Vec<OsString>, end: usize) {
    let mut inside = false;
    let found = words[..end].iter().position(|word| {
        if is_option(word) {
            inside = word == "--update";
        }
        inside && is_recipe(word)
    });
    if let Some(at) = found {
        let recipe = words.remove(at);
        words.insert(2, recipe);
    }
}

/// `--print r.kiln` becomes `--print=sh r.kiln`.
fn print(words: &mut [OsString], end: usize) {
    let Some(option) = words[..end].iter().position(|word| word == "--print") else { return };
    let is_form = |word: &OsString| word.to_str().is_some_and(|word| PrintForm::from_str(word, false).is_ok());
    if words[option + 1..end].first().is_some_and(|word| !is_option(word) && !is_form(word)) {
        words[option] = "--print=sh".into();
    }
}

fn is_option(word: &OsString) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

fn is_recipe(word: &OsString) -> bool {
    let bytes = word.as_encoded_bytes();
    bytes.ends_with(b".kiln") || bytes.contains(&b'/')
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, LockArgs, RunArgs, Verb};
    use super::*;

    fn parsed(line: &str) -> Result<Verb, clap::Error> {
        let words = ordered(line.split_whitespace().map(OsString::from));
        Cli::try_parse_from(words).map(|cli| cli.verb)
    }

    fn lock(line: &str) -> LockArgs {
        match parsed(line) {
            Ok(Verb::Lock(args)) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn run(line: &str) -> RunArgs {
        match parsed(line) {
            Ok(Verb::Run(args)) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_packages_of_an_update_may_stand_before_the_recipe_and_after_it() {
        for line in [
            "kiln lock --update a b r.kiln",
            "kiln lock r.kiln --update a b",
            "kiln lock --update a --update b -- r.kiln",
            "kiln lock --update a --update b r.kiln",
            "kiln lock --update a r.kiln --update b",
            "kiln lock r.kiln --update a --update b",
        ] {
            let args = lock(line);
            assert_eq!(args.recipe.recipe.as_os_str(), "r.kiln", "{line}");
            assert_eq!(args.update.as_deref(), Some(["a".to_owned(), "b".to_owned()].as_slice()), "{line}");
        }
        for line in ["kiln lock --update r.kiln", "kiln lock r.kiln --update", "kiln lock --update -- r.kiln"] {
            assert_eq!(lock(line).update.as_deref(), Some([].as_slice()), "{line}");
        }
        let args = lock("kiln lock --update a ./r --set x=1 --lock l.lock");
        assert_eq!((args.recipe.recipe.as_os_str(), args.recipe.set.len()), ("./r".as_ref(), 1));
        assert!(parsed("kiln lock --update a").is_err(), "a recipe is needed");
    }

    #[test]
    fn the_form_of_a_printed_command_may_be_left_out_before_the_recipe() {
        for (line, form) in [
            ("kiln run --print r.kiln", PrintForm::Sh),
            ("kiln run r.kiln --print", PrintForm::Sh),
            ("kiln run --print json r.kiln", PrintForm::Json),
            ("kiln run r.kiln --print argv", PrintForm::Argv),
            ("kiln run --print=argv r.kiln", PrintForm::Argv),
            ("kiln run --print --machine m r.kiln", PrintForm::Sh),
        ] {
            let args = run(line);
            assert_eq!((args.recipe.recipe.as_os_str(), args.print), ("r.kiln".as_ref(), Some(form)), "{line}");
        }
    }
}
