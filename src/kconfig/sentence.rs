//! Explanations in words: the chain as one sentence, and the options that would resolve it.

use std::collections::BTreeSet;

use super::explain::{Follows, Need, OptionReason, ValueSource};
use super::explanation::Explanation;
use super::value::Tri;

impl Explanation {
    /// `DEV_DAX_CXL needs DEV_DAX, which needs TRANSPARENT_HUGEPAGE, which is not set; add `option ... = y``.
    /// `asked` are options that need not be proposed: the recipe has them already.
    pub fn sentence(&self, asked: &BTreeSet<String>) -> String {
        let remedies: Vec<String> =
            self.remedies.iter().filter(|(name, _)| !asked.contains(name)).map(remedy).collect();
        match remedies.is_empty() {
            true => self.cause(),
            false => format!("{}; add {}", self.cause(), join(&remedies, "and")),
        }
    }

    /// The same without what to do.
    pub fn cause(&self) -> String {
        match &self.why {
            OptionReason::Free if self.value == "n" => {
                format!("{} is not set, although nothing prevents it", self.option)
            }
            OptionReason::Free => format!("{} is {}, although nothing requires it", self.option, self.value),
            _ => format!("{} {}", self.option, self.clause()),
        }
    }

    /// What follows the name of the option.
    pub fn clause(&self) -> String {
        clause(&self.why)
    }
}

fn remedy((name, value): &(String, Tri)) -> String {
    match (name.as_str(), value) {
        // Then they are also shipped.
        ("MODULES", Tri::Y) => "`modules = true`".to_owned(),
        _ => format!("`option {name} = {value}`"),
    }
}

fn clause(why: &OptionReason) -> String {
    match why {
        OptionReason::Free | OptionReason::Unexplained => "is not set".to_owned(),
        OptionReason::Unknown { elsewhere: Some(file), .. } => {
            format!("is no option of this architecture ({file} defines it)")
        }
        OptionReason::Unknown { near, .. } if near.is_empty() => "does not exist in this source".to_owned(),
        OptionReason::Unknown { near, .. } => {
            format!("does not exist in this source; did you mean {}?", join(near, "or"))
        }
        OptionReason::NoPrompt(by) => {
            format!("has no prompt: it is on only when selected by {}", join(&shortened(by), "or"))
        }
        OptionReason::OutOfReach(by) => {
            format!("cannot be chosen here: it is on only when selected by {}", join(&shortened(by), "or"))
        }
        OptionReason::Barred(by) if by.is_empty() => "has no prompt: nothing can turn it on".to_owned(),
        OptionReason::Barred(by) => {
            format!(
                "has no prompt: it is on only when selected by {}, which cannot be on here",
                join(&shortened(by), "or")
            )
        }
        OptionReason::Selected { by, only, needs } => selected(by, *only, needs),
        OptionReason::Chosen(rival) => format!("is one of a choice, in which {rival} is chosen"),
        OptionReason::Elected(others) if others.is_empty() => "is the only one of its choice that there is".to_owned(),
        OptionReason::Elected(others) => {
            format!("is the chosen one of its choice; choose {} instead", join(&shortened(others), "or"))
        }
        OptionReason::Forced(by) => format!("is selected by {}", join(&shortened(by), "and")),
        OptionReason::Always => "has no prompt and is always on here".to_owned(),
        OptionReason::Stays(needs) => format!("has no prompt and is on unless {}", join(&states(needs), "and")),
        OptionReason::Locked(needs) => format!("is on by default; to turn it off it {}", spelled_out(needs)),
        OptionReason::Follows(follows) => followed(follows),
        OptionReason::Needs(needs) => spelled_out(needs),
    }
}

/// So many needs of one option are spelled out.
const MAX_SPELLED_OUT: usize = 4;

fn spelled_out(needs: &[Need]) -> String {
    let more = needs.len().saturating_sub(MAX_SPELLED_OUT);
    let mut needs: Vec<String> = needs.iter().take(MAX_SPELLED_OUT).map(need).collect();
    if more > 0 {
        needs.push(format!("{more} more"));
    }
    format!("needs {}", needs.join("; it also needs "))
}

fn selected(by: &str, only: bool, needs: &[Need]) -> String {
    let how = if only { "has no prompt: it is on only when selected by" } else { "is turned on by" };
    let itself = |need: &&Need| matches!(need, Need::Option { name, .. } if name == by);
    let rest: Vec<Need> = needs.iter().filter(|need| !itself(need)).cloned().collect();
    let selected = match needs.iter().find(itself) {
        Some(itself) => format!("{how} {}", need(itself)),
        None => format!("{how} {by}"),
    };
    if rest.is_empty() { selected } else { format!("{selected}; for that it {}", spelled_out(&rest)) }
}

fn followed(follows: &Follows) -> String {
    let now = match &follows.now {
        None => "has no prompt".to_owned(),
        Some((value, ValueSource::Constant)) => format!("has no prompt: it is always {value}"),
        Some((value, ValueSource::Default)) => format!("has no prompt: it is {value} by default"),
        Some((_, ValueSource::Probe(probe))) => format!("has no prompt: it is what {probe} says"),
        Some((value, ValueSource::Condition(when))) => format!("has no prompt: it is {value} because of {when}"),
    };
    match &follows.target {
        _ if follows.needs.is_empty() => now,
        Some(target) => format!("{now}; to be {target} it {}", spelled_out(&follows.needs)),
        None => format!("{now}, and {}", spelled_out(&follows.needs)),
    }
}

/// What would have to be: `A is off`.
fn states(needs: &[Need]) -> Vec<String> {
    let state = |need: &Need| match need {
        Need::Option { name, wanted, .. } => match wanted {
            Tri::N => format!("{name} is off"),
            Tri::M => format!("{name} is a module"),
            Tri::Y => format!("{name} is on"),
        },
        Need::Any(ways) => join(&ways.iter().map(|way| join(&states(way), "and")).collect::<Vec<_>>(), "or"),
        Need::Fact(text, _) | Need::Value { text, .. } | Need::Probe(text) => format!("{text} holds"),
    };
    needs.iter().map(state).collect()
}

fn need(need: &Need) -> String {
    match need {
        Need::Fact(text, None) if text.starts_with("more than `") => {
            format!("{text}, which its definition does not allow")
        }
        Need::Fact(text, Some(found)) => format!("{text}, which does not hold: it is {found}"),
        Need::Value { text, name } => format!("{text}, which `option {name} = ...` decides"),
        Need::Fact(text, None) | Need::Probe(text) => format!("{text}, which does not hold"),
        Need::Any(ways) => {
            let names: Vec<String> =
                ways.iter().map(|way| way.iter().map(name).collect::<Vec<_>>().join(" with ")).collect();
            let names = join(&shortened(&names), "or");
            match ways.first().map(Vec::as_slice) {
                Some([first @ Need::Option { .. }]) => format!("{names} ({})", self::need(first)),
                _ => names,
            }
        }
        Need::Option { name, wanted: Tri::N, why, .. } => match &**why {
            OptionReason::Free | OptionReason::Unexplained => format!("{name} to be off, which is on"),
            why => format!("{name} to be off, which {}", clause(why)),
        },
        Need::Option { name, found: Tri::M, why, .. } if **why == OptionReason::Free => {
            format!("{name}, which is only a module")
        }
        Need::Option { name, why, .. } => format!("{name}, which {}", clause(why)),
    }
}

fn name(need: &Need) -> String {
    match need {
        Need::Option { name, wanted: Tri::N, .. } => format!("no {name}"),
        Need::Option { name, .. } => name.clone(),
        Need::Fact(text, _) | Need::Value { text, .. } | Need::Probe(text) => text.clone(),
        Need::Any(ways) => ways.first().and_then(|way| way.first()).map(name).unwrap_or_default(),
    }
}

/// Of many names the first ones; one more takes no more room than its number.
fn shortened(names: &[String]) -> Vec<String> {
    const SHOWN: usize = 5;
    if names.len() <= SHOWN + 1 {
        return names.to_vec();
    }
    let mut shown = names[..SHOWN].to_vec();
    shown.push(format!("{} others", names.len() - SHOWN));
    shown
}

pub(super) fn join(words: &[String], last: &str) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use crate::kconfig::tree::KconfigSource;
    use crate::kconfig::{KconfigTree, Tri, dotconfig, explain};

    const KCONFIG: &str = r#"
config MODULES
	bool "modules"
config HUGE
	bool "huge pages"
config DAX
	tristate "dax"
	depends on HUGE
config CXL
	tristate "cxl"
config DAX_CXL
	tristate "dax on cxl"
	depends on CXL && DAX
config HIDDEN
	bool
config PICKER
	bool "picker"
	select HIDDEN
config ON_HIDDEN
	bool "on hidden"
	depends on HIDDEN
config EITHER
	bool "either"
	depends on DAX_CXL || PICKER
config NOT
	bool "not"
	depends on !HIDDEN
config PROBED
	bool "probed"
	depends on $(cc-option,-fnew)
config OLD
	bool "old"
	depends on CXL = n
choice
	prompt "preemption"
config VOLUNTARY
	bool "voluntary"
config FULL
	bool "full"
endchoice
"#;

    fn sentence(config: &str, option: &str, wanted: Tri, asked: &[&str]) -> String {
        let files = BTreeMap::from([("Kconfig".to_owned(), KCONFIG.as_bytes().to_vec())]);
        let tree = KconfigTree::read(&KconfigSource { files, variables: BTreeMap::new() }).unwrap();
        let config = dotconfig::read(config.as_bytes()).unwrap();
        let asked: BTreeSet<String> = asked.iter().map(|&name| name.to_owned()).collect();
        explain(&tree, &config, option, wanted).sentence(&asked)
    }

    #[test]
    fn a_chain_is_followed_to_what_can_be_set() {
        assert_eq!(
            sentence("CONFIG_CXL=y\n", "DAX_CXL", Tri::Y, &["DAX_CXL", "DAX"]),
            "DAX_CXL needs DAX, which needs HUGE, which is not set; add `option HUGE = y`"
        );
        assert_eq!(
            sentence("", "DAX_CXL", Tri::Y, &[]),
            "DAX_CXL needs CXL, which is not set; it also needs DAX, which needs HUGE, which is not set; \
             add `option CXL = y`, `option HUGE = y`, `option DAX = y` and `option DAX_CXL = y`"
        );
    }

    #[test]
    fn a_dependency_that_is_a_module_keeps_an_option_a_module() {
        let config = "CONFIG_MODULES=y\nCONFIG_CXL=y\nCONFIG_DAX=m\nCONFIG_HUGE=y\nCONFIG_DAX_CXL=m\n";
        assert_eq!(
            sentence(config, "DAX_CXL", Tri::Y, &[]),
            "DAX_CXL needs DAX, which is only a module; add `option DAX = y` and `option DAX_CXL = y`"
        );
    }

    #[test]
    fn every_other_reason_has_its_words() {
        for (config, option, wanted, shown) in [
            (
                "",
                "HIDDEN",
                Tri::Y,
                "HIDDEN has no prompt: it is on only when selected by PICKER, which is not set; add `option PICKER = y`",
            ),
            (
                "",
                "ON_HIDDEN",
                Tri::Y,
                "ON_HIDDEN needs HIDDEN, which has no prompt: it is on only when selected by PICKER, which is not set; \
                 add `option PICKER = y` and `option ON_HIDDEN = y`",
            ),
            (
                "",
                "EITHER",
                Tri::Y,
                "EITHER needs PICKER or DAX_CXL (PICKER, which is not set); add `option PICKER = y` and `option EITHER = y`",
            ),
            (
                "CONFIG_HIDDEN=y\nCONFIG_PICKER=y\n",
                "NOT",
                Tri::Y,
                "NOT needs HIDDEN to be off, which is selected by PICKER; \
                 add `option PICKER = n` and `option NOT = y`",
            ),
            (
                "CONFIG_HIDDEN=y\nCONFIG_PICKER=y\n",
                "HIDDEN",
                Tri::N,
                "HIDDEN is selected by PICKER; add `option PICKER = n`",
            ),
            ("", "PROBED", Tri::Y, "PROBED needs $(cc-option,-fnew), which does not hold"),
            (
                "CONFIG_CXL=y\n",
                "OLD",
                Tri::Y,
                "OLD needs CXL to be off, which is on; add `option CXL = n` and `option OLD = y`",
            ),
            (
                "CONFIG_VOLUNTARY=y\n",
                "FULL",
                Tri::Y,
                "FULL is one of a choice, in which VOLUNTARY is chosen; add `option FULL = y`",
            ),
            ("", "dax_cxl", Tri::Y, "dax_cxl does not exist in this source; did you mean DAX_CXL?"),
            ("", "DAX_CLX", Tri::Y, "DAX_CLX does not exist in this source; did you mean DAX_CXL?"),
            ("", "NOTHING_LIKE_IT", Tri::Y, "NOTHING_LIKE_IT does not exist in this source"),
            ("", "HUGE", Tri::Y, "HUGE is not set, although nothing prevents it; add `option HUGE = y`"),
        ] {
            assert_eq!(sentence(config, option, wanted, &[]), shown);
        }
    }
}
