//! Why a request was not fulfilled, as one sentence.
//!
//! Input: the request, all other requests of the same kernel, the source's Kconfig files, the final configuration.
//! Output: text. It is the same for the check of a build and for `kiln kconfig explain`.

use std::collections::BTreeSet;

use super::check::{OptionRequest, RequestKind};
use super::dotconfig::DotConfig;
use super::explain::OptionReason;
use super::explanation::{Explanation, explain};
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
    /// Why `option` does not have this value.
    pub fn reason(&self, option: &str, value: &OptionValue) -> String {
        let explanation = explain(self.tree, self.config, option, wanted(value));
        if let Some(misfit) = misfit(self.tree, self.config, option, value)
            && (explanation.why == OptionReason::Free || !misfit.is_conditional())
        {
            return misfit.to_string();
        }
        if let OptionReason::Chosen(rival) = &explanation.why
            && let Some(request) = self.requests.iter().find(|r| r.name == *rival && r.value == OptionValue::Yes)
        {
            return format!(
                "{option} and {rival} are members of one choice, of which one is chosen, and {} counts; \
                 remove one of the two",
                request.text()
            );
        }
        self.with_remedies(&explanation)
    }

    /// What the recipe has already is not proposed again; what it turns off itself is to be changed there.
    fn with_remedies(&self, explanation: &Explanation) -> String {
        let set = |name: &str| self.requests.iter().rfind(|r| r.name == name && r.kind == RequestKind::Option);
        let (mut asked, mut contrary) = (BTreeSet::new(), Vec::new());
        for (name, value) in &explanation.remedies {
            let Some(request) = set(name) else { continue };
            asked.insert(name.clone());
            if request.value == OptionValue::No && *value != Tri::N {
                contrary.push(format!("{} to `{value}`", request.text()));
            }
        }
        let sentence = explanation.sentence(&asked);
        if contrary.is_empty() { sentence } else { format!("{sentence}; change {}", join(&contrary, "and")) }
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
#[path = "reason_tests.rs"]
mod tests;
