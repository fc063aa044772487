//! `kiln kconfig explain|diff`: what a kernel's configuration is, and why.

use std::path::Path;

use super::failure::Failure;
use super::output;
use super::questions::misplaced;
use crate::base::Foreign;
use crate::cli::{self, KconfigQuestion};
use crate::kconfig::explain::OptionReason;
use crate::kconfig::fragment::spelled;
use crate::kconfig::{self, OptionRequest, Tri};
use crate::ops::Session;
use crate::ops::kconfig::{Explained, configuration, explain};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::KconfigArgs) -> Result<(), Failure> {
    match &args.question {
        KconfigQuestion::Explain { option, recipe } => {
            let options = recipe.options();
            misplaced(option, ("option", "kconfig explain"), &options.path)?;
            let option = option.trim_start_matches("CONFIG_");
            let all = explain(session, &options, option)?;
            if all.iter().all(|explained| matches!(explained.found.why, OptionReason::Unknown { elsewhere: None, .. }))
            {
                let said: Vec<String> = all.iter().map(|explained| unknown(explained, option)).collect();
                return Err(Failure::usage(said.join("\n")));
            }
            output::print(&all.iter().map(|explained| answer(explained, option)).collect::<String>())
        }
        KconfigQuestion::Diff { a, b } => diff(session, a, b),
    }
}

/// What is said of a name that no Kconfig file of the kernel defines.
fn unknown(explained: &Explained, option: &str) -> String {
    let why = reasons(explained).join("\n");
    format!("kernel {} has no option {}\n{why}", explained.kernel, Foreign(option))
}

fn answer(explained: &Explained, option: &str) -> String {
    let Explained { kernel, asked, found, .. } = explained;
    let mut lines = vec![format!("{option} = {} in kernel {kernel}", found.value)];
    lines.extend(found.prompt.iter().map(|prompt| format!("  prompt: {}", Foreign(prompt))));
    for (file, line, depends) in &found.places {
        let depends = if depends.is_empty() { String::new() } else { format!("; depends on {depends}") };
        lines.push(format!("  defined: {}:{line}{}", Foreign(file), Foreign(depends)));
    }
    for (name, force) in &found.selected_by {
        let now = if *force == Tri::N { "not now".to_owned() } else { format!("now, to {force}") };
        lines.push(format!("  selected by {} ({now})", Foreign(name)));
    }
    lines.extend(asked.iter().map(|request| format!("  requested by: {}", request.text())));
    lines.extend(reasons(explained));
    lines.join("\n") + "\n"
}

/// Why the option has its value, and why it has not what was asked for.
fn reasons(explained: &Explained) -> Vec<String> {
    let Explained { on, asked, unmet, found, why, .. } = explained;
    let not = |(request, reason): &(OptionRequest, String)| {
        format!("  why not {}: {}", Foreign(&spelled(&request.value)), Foreign(reason))
    };
    if !unmet.is_empty() {
        return unmet.iter().map(not).collect();
    }
    let because = match &found.why {
        // What follows from other options is not there because somebody asked for it.
        OptionReason::Forced(by) if *on && (asked.is_empty() || !found.settable) => {
            format!("selected by {}", by.join(" and "))
        }
        OptionReason::Needs(_) if *on && !found.settable => format!("Kconfig default; to be set it {}", found.clause()),
        _ if *on && !found.settable => format!("it {}", found.clause()),
        _ if !asked.is_empty() => "requested by the recipe".to_owned(),
        // Nothing stands against another value, so that it is what somebody wanted.
        _ if *on => "base configuration or Kconfig default".to_owned(),
        _ => return vec![format!("  why: {}", Foreign(why))],
    };
    vec![format!("  because: {}", Foreign(&because))]
}

fn diff(session: &Session<'_>, a: &Path, b: &Path) -> Result<(), Failure> {
    let differences = kconfig::diff::diff(&configuration(session, a)?, &configuration(session, b)?);
    let lines = differences
        .iter()
        .map(|found| format!("{} {} -> {}\n", Foreign(&found.name), Foreign(&found.old), Foreign(&found.new)));
    output::print(&lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kconfig::tree::KconfigSource;
    use crate::kconfig::{KconfigTree, RequestJudge, RequestKind, dotconfig};
    use crate::ops::kconfig::explained;
    use crate::recipe::kernel::OptionValue;

    const KCONFIG: &str = "config SMP\n\tbool \"smp\"\nconfig NR_CPUS\n\tint \"cpus\" if SMP\n\trange 2 512 if SMP\n\t\
        range 1 1 if !SMP\nconfig LOG_BUF_SHIFT\n\tint \"log\"\n\trange 12 25\nconfig DEFAULT_HOSTNAME\n\tstring \"host \
        name\"\nconfig RANDOMIZE_BASE\n\tbool \"kaslr\"\nchoice\n\tprompt \"timer\"\nconfig HZ_250\n\tbool \"250\"\nconfig \
        HZ_1000\n\tbool \"1000\"\nendchoice\n";
    const CONFIG: &str =
        "CONFIG_NR_CPUS=1\nCONFIG_LOG_BUF_SHIFT=25\nCONFIG_DEFAULT_HOSTNAME=\"(none)\"\nCONFIG_HZ_250=y\n";

    /// What is said of the first option that is asked for.
    fn said(asked: &[(&str, OptionValue)]) -> String {
        let files = BTreeMap::from([("Kconfig".to_owned(), KCONFIG.as_bytes().to_vec())]);
        let tree = KconfigTree::read(&KconfigSource { files, variables: BTreeMap::new() }).unwrap();
        let config = dotconfig::read(CONFIG.as_bytes()).unwrap();
        let request = |(name, value): &(&str, OptionValue)| OptionRequest {
            name: (*name).to_owned(),
            value: value.clone(),
            by: "kernel k".to_owned(),
            kind: RequestKind::Option,
        };
        let requests: Vec<OptionRequest> = asked.iter().map(request).collect();
        let judge = RequestJudge { tree: &tree, config: &config, requests: &requests };
        answer(&explained("k", judge, asked[0].0), asked[0].0)
    }

    /// Whether the answer says that the option is as it was asked for.
    fn is_content(answer: &str) -> bool {
        answer.contains("because: requested by the recipe")
    }

    #[test]
    fn a_value_is_explained_by_the_request_only_if_it_is_what_was_requested() {
        let number = |text: &str| OptionValue::Number(text.to_owned());
        for (asked, why) in [
            (("NR_CPUS", number("512")), "why not 512: NR_CPUS needs SMP"),
            (("LOG_BUF_SHIFT", number("99")), "why not 99: "),
            (("DEFAULT_HOSTNAME", OptionValue::Yes), "why not y: "),
            (("HZ_1000", OptionValue::Yes), "why not y: "),
        ] {
            let answer = said(std::slice::from_ref(&asked));
            assert!(answer.contains(why) && !is_content(&answer), "{answer}");
        }
        for asked in [("LOG_BUF_SHIFT", number("25")), ("HZ_250", OptionValue::Yes)] {
            let answer = said(std::slice::from_ref(&asked));
            assert!(is_content(&answer) && !answer.contains("why not"), "{answer}");
        }
    }

    #[test]
    fn a_value_that_nobody_can_choose_is_not_explained_by_its_request() {
        let answer = said(&[("NR_CPUS", OptionValue::Number("1".to_owned()))]);
        let because = "because: Kconfig default; to be set it needs SMP, which is not set";
        assert!(answer.contains(because) && !answer.contains("why not"), "{answer}");
    }

    #[test]
    fn what_is_off_as_it_was_requested_is_not_proposed() {
        for name in ["RANDOMIZE_BASE", "HZ_1000"] {
            let answer = said(&[(name, OptionValue::No)]);
            assert!(is_content(&answer) && !answer.contains("add `option"), "{answer}");
        }
        // Two of a choice: the one that lost is not advised to be asked for once more.
        let answer = said(&[("HZ_1000", OptionValue::Yes), ("HZ_250", OptionValue::Yes)]);
        assert!(answer.contains("why not y: ") && !answer.contains("add `option HZ_1000"), "{answer}");
    }
}
