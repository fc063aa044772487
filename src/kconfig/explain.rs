//! Why an option is what it is: what it needs, who forces it, what it follows from.
//!
//! The answer is a chain of needs, each one read off the Kconfig files under the final configuration, and ends at
//! options that somebody can set. It explains what the kernel's program did; it does not predict it.

use super::value::Tri;

/// Why an option does not have the value that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionReason {
    /// No Kconfig file of this architecture defines it.
    Unknown {
        /// Names that look like it.
        near: Vec<String>,
        /// A file of another architecture that does.
        elsewhere: Option<String>,
    },
    /// Nothing stands against it: nobody asked.
    Free,
    /// The chain was too long to look into.
    Unexplained,
    /// It has no prompt: only other options turn it on, these among them, the easiest first.
    NoPrompt(Vec<String>),
    /// Its prompt is out of reach; these options turn it on.
    OutOfReach(Vec<String>),
    /// Only these options turn it on, and none of them can be had; maybe there are none.
    Barred(Vec<String>),
    /// One option can turn it on; `only` where it has no prompt and nothing else selects it at all.
    Selected { by: String, only: bool, needs: Vec<Need> },
    /// Another member of its `choice` is chosen.
    Chosen(String),
    /// It is the chosen member of its `choice`; these could be chosen instead.
    Elected(Vec<String>),
    /// Other options force it.
    Forced(Vec<String>),
    /// It has no prompt and is on whatever else is.
    Always,
    /// It has no prompt and is on unless one of these is fulfilled.
    Stays(Vec<Need>),
    /// It is on by default, and nobody can turn it off before these are fulfilled.
    Locked(Vec<Need>),
    /// A text or a number that nobody can set.
    Follows(Follows),
    /// What it depends on does not hold.
    Needs(Vec<Need>),
}

/// Where a text or a number without a prompt comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follows {
    /// What it is now, and why; `None` if it has no value.
    pub now: Option<(String, ValueSource)>,
    /// The value that somebody wants, if it can have that at all.
    pub target: Option<String>,
    /// What stands between it and that value; without one, between it and any.
    pub needs: Vec<Need>,
}

/// What decides a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSource {
    /// Nothing: it is always this.
    Constant,
    /// Nothing, as long as no condition for another value holds.
    Default,
    /// A question to the compiler or the environment.
    Probe(String),
    /// Another option, or a condition on some.
    Condition(String),
}

/// One unmet dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// An option must be at least this (or, for `n`, off).
    Option {
        name: String,
        /// `m`, `y`, or `n`.
        wanted: Tri,
        found: Tri,
        /// Why it is not.
        why: Box<OptionReason>,
        /// Whether the recipe states the contrary.
        contrary: bool,
    },
    /// A comparison that does not hold, with the value that it has instead.
    Fact(String, Option<String>),
    /// A comparison with a text or a number that somebody can set.
    Value { text: String, name: String },
    /// A question to the compiler or the environment.
    Probe(String),
    /// One of these would do, the easiest first; each is a list of needs that go together.
    Any(Vec<Vec<Need>>),
}

/// From here on no option of a recipe helps.
pub(super) const HOPELESS: usize = 1000;
/// What the recipe says otherwise is the last thing to change.
const CONTRARY: usize = 30;

/// How much stands between needs and their fulfilment, for choosing between alternatives.
pub(super) fn effort(needs: &[Need]) -> usize {
    needs.iter().map(of_need).sum::<usize>().min(HOPELESS)
}

pub(super) fn is_hopeless(needs: &[Need]) -> bool {
    effort(needs) >= HOPELESS
}

fn of_need(need: &Need) -> usize {
    match need {
        Need::Fact(..) | Need::Probe(_) => HOPELESS,
        Need::Value { .. } => 10,
        Need::Any(ways) => ways.first().map_or(0, |way| effort(way)),
        Need::Option { why, contrary, .. } => of_reason(why) + if *contrary { CONTRARY } else { 0 },
    }
}

fn of_reason(reason: &OptionReason) -> usize {
    match reason {
        OptionReason::Free | OptionReason::Chosen(_) => 1,
        OptionReason::Elected(others) if !others.is_empty() => 2,
        OptionReason::Selected { needs, .. } | OptionReason::Needs(needs) => 1 + effort(needs),
        OptionReason::Stays(needs) | OptionReason::Locked(needs) => 5 + effort(needs),
        OptionReason::Forced(_) | OptionReason::NoPrompt(_) | OptionReason::OutOfReach(_) => 20,
        OptionReason::Unexplained => 50,
        OptionReason::Unknown { .. }
        | OptionReason::Always
        | OptionReason::Barred(_)
        | OptionReason::Elected(_)
        | OptionReason::Follows(_) => HOPELESS,
    }
}
