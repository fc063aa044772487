//! Why a request was not fulfilled, as one sentence.
//!
//! Input: the request, all other requests of the same kernel, the source's Kconfig files, the final configuration.
//! Output: text. It is the same for the check of a build and for `kiln kconfig explain`.

use std::collections::BTreeSet;

use super::check::{Dropped, OptionRequest, RequestKind, check, is_ambiguous};
use super::dotconfig::DotConfig;
use super::explain::OptionReason;
use super::explanation::{Explanation, OptionQuestion, answer};
use super::fragment::spelled;
use super::misfit::misfit;
use super::sentence::join;
use super::tree::KconfigTree;
use super::value::Tri;
use crate::recipe::kernel::OptionValue;

/// What a request is judged with.
#[derive(Debug, Clone, Copy)]
pub struct RequestJudge<'a> {
    pub tree: &'a KconfigTree,
    pub config: &'a DotConfig,
    /// Everything that the kernel's recipe asks for.
    pub requests: &'a [OptionRequest],
}

impl RequestJudge<'_> {
    /// Every request that the configuration does not fulfil, or fulfils in its letters only: a decimal number is another
    /// one where a hexadecimal one is read.
    pub fn unmet(&self) -> Vec<Dropped> {
        let dropped = check(self.requests, self.config);
        let mistyped = |request: &OptionRequest| {
            is_ambiguous(request)
                && misfit(self.tree, self.config, &request.name, &request.value)
                    .is_some_and(|misfit| !misfit.is_conditional())
        };
        let unmet = self.requests.iter().filter_map(|request| {
            let known = dropped.iter().find(|dropped| dropped.request == *request);
            let value = || self.config.value(&request.name).to_owned();
            known.cloned().or_else(|| mistyped(request).then(|| Dropped { request: request.clone(), value: value() }))
        });
        unmet.collect()
    }

    /// What became of a request that is not fulfilled, and why: what follows its own words.
    pub fn outcome(&self, Dropped { request, value }: &Dropped) -> String {
        let found = match &request.value {
            OptionValue::Number(number) if number == value => format!("means 0x{number}"),
            _ if value == "n" => "is not set".to_owned(),
            _ => format!("became {value}"),
        };
        format!("{found}: {}", self.why_not(request))
    }

    /// Why a request is not fulfilled.
    pub fn why_not(&self, request: &OptionRequest) -> String {
        let OptionRequest { name, value, kind, .. } = request;
        if *kind == RequestKind::Require
            && let Some(option) = self.set(name)
            && option.value != *value
        {
            return format!("{} says otherwise; change one of the two", option.text());
        }
        let statement = if *kind == RequestKind::Option { "option" } else { "require" };
        let explanation = self.ask(name, wanted(value), Some(value));
        if let Some(misfit) = misfit(self.tree, self.config, name, value)
            && (explanation.why == OptionReason::Free || !misfit.is_conditional())
        {
            return match self.set("MODULES") {
                Some(off) if misfit.lacks_modules() && off.value == OptionValue::No => {
                    format!("this kernel has no modules because of {}; remove that", off.text())
                }
                _ => misfit.text(statement),
            };
        }
        self.conflict(name, &explanation).unwrap_or_else(|| self.with_remedies(&explanation, *kind, value))
    }

    /// Why an option is not `wanted`, whoever wants it.
    pub fn why(&self, option: &str, wanted: Tri) -> String {
        let explanation = self.ask(option, wanted, None);
        let value = if wanted == Tri::N { OptionValue::No } else { OptionValue::Yes };
        self.with_remedies(&explanation, RequestKind::Option, &value)
    }

    /// What is known of an option, ways that the recipe does not rule out itself first.
    pub fn explanation(&self, option: &str, wanted: Tri) -> Explanation {
        self.ask(option, wanted, None)
    }

    fn ask(&self, option: &str, wanted: Tri, value: Option<&OptionValue>) -> Explanation {
        let options = self.requests.iter().filter(|request| request.kind == RequestKind::Option);
        let stated = options.filter_map(|request| Some((request.name.clone(), switch(&request.value)?))).collect();
        answer(self.tree, self.config, OptionQuestion { option, wanted, value, stated: &stated })
    }

    /// What the recipe sets an option to.
    fn set(&self, name: &str) -> Option<&OptionRequest> {
        self.requests.iter().rfind(|request| request.name == name && request.kind == RequestKind::Option)
    }

    /// Two requests of which the one rules the other out.
    fn conflict(&self, option: &str, explanation: &Explanation) -> Option<String> {
        match &explanation.why {
            OptionReason::Chosen(rival) => {
                let request = self.requests.iter().find(|r| r.name == *rival && r.value == OptionValue::Yes)?;
                Some(format!(
                    "{option} and {rival} are members of one choice, of which one is chosen, and {} counts; \
                     remove one of the two",
                    request.text()
                ))
            }
            OptionReason::Forced(by) => {
                let [only] = &by[..] else { return None };
                let request = self.set(only).filter(|request| switch(&request.value) > Some(Tri::N))?;
                Some(format!("{option} is selected by {only}, and {} counts; remove one of the two", request.text()))
            }
            _ => None,
        }
    }

    /// What the recipe has already is not proposed again; what it states otherwise is to be changed there.
    fn with_remedies(&self, explanation: &Explanation, kind: RequestKind, value: &OptionValue) -> String {
        let (mut asked, mut changes) = (BTreeSet::new(), Vec::new());
        for (name, wanted) in &explanation.remedies {
            changes.extend(self.rivals(name, *wanted).map(|rival| format!("remove {}", rival.text())));
            let Some(request) = self.set(name) else { continue };
            asked.insert(name.clone());
            let stated = switch(&request.value);
            if stated != Some(*wanted) && (stated < Some(*wanted) || *wanted == Tri::N) {
                changes.push(format!("change {} to `{wanted}`", request.text()));
            }
        }
        let mut sentence = explanation.sentence(&asked);
        let valued = matches!(value, OptionValue::Text(_) | OptionValue::Number(_));
        if valued && kind == RequestKind::Require && explanation.settable && self.set(&explanation.option).is_none() {
            sentence = format!("{sentence}; add `option {} = {}`", explanation.option, spelled(value));
        }
        if changes.is_empty() { sentence } else { format!("{sentence}; {}", join(&changes, "and")) }
    }

    /// Requests for other members of the choice that an option is to be chosen in.
    fn rivals(&self, name: &str, wanted: Tri) -> impl Iterator<Item = &OptionRequest> {
        let definitions = self.tree.symbols.get(name).map_or(&[][..], |symbol| &symbol.definitions);
        let choice = definitions.iter().find_map(|definition| definition.choice).filter(|_| wanted != Tri::N);
        let members = choice.map_or(&[][..], |choice| &self.tree.choices[choice].members);
        let others = members.iter().filter(move |member| *member != name).filter_map(|member| self.set(member));
        others.filter(|request| request.value == OptionValue::Yes)
    }
}

/// What an option is set to; a text or a number is nothing that others depend on.
fn switch(value: &OptionValue) -> Option<Tri> {
    match value {
        OptionValue::Yes => Some(Tri::Y),
        OptionValue::Module => Some(Tri::M),
        OptionValue::No => Some(Tri::N),
        OptionValue::Text(_) | OptionValue::Number(_) => None,
    }
}

/// A text or a number is there as soon as its option is.
fn wanted(value: &OptionValue) -> Tri {
    match value {
        OptionValue::No => Tri::N,
        OptionValue::Module => Tri::M,
        OptionValue::Yes | OptionValue::Text(_) | OptionValue::Number(_) => Tri::Y,
    }
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod advice_tests;
#[cfg(test)]
#[path = "reason_tests.rs"]
mod tests;
