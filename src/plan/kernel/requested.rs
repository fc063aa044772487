//! What a recipe asked of a kernel's configuration, as one file that the check reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::needs::{self, MachineNeed};
use super::policy::UNREPEATABLE;
use crate::base::{Arch, Spanned};
use crate::kconfig::{OptionRequest, RequestKind};
use crate::recipe::kernel::{Compiled, Kernel, OptionValue};
use crate::recipe::machine::Machine;

/// Everything the check of a configuration needs besides the configuration and its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// Whose Kconfig files decide.
    #[serde(default, skip_serializing_if = "Arch::is_default")]
    pub architecture: Arch,
    /// Options and requirements, by option; where several ask for one option the last one counts.
    pub requests: Vec<OptionRequest>,
    /// Options that must be off, with the reason.
    pub forbidden: Vec<(String, String)>,
    /// What the machines need that boot this kernel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<MachineNeed>,
    /// Whether the kernel has modules, with an initramfs that loads those that a machine needs.
    #[serde(default)]
    pub modules: bool,
}

impl Requested {
    /// What a kernel's recipe asks for.
    pub fn new(kernel: &Kernel, compiled: &Compiled) -> Self {
        let (architecture, kernel) = (kernel.architecture.value, &kernel.name);
        let mut options = BTreeMap::new();
        let mut requirements = Vec::new();
        let own = (format!("kernel {kernel}"), &compiled.options, &compiled.require);
        let blocks =
            compiled.configs.iter().map(|block| (format!("config {}", block.name), &block.options, &block.require));
        for (by, asked, required) in blocks.chain([own]) {
            for (name, value) in plain(asked) {
                let request = OptionRequest { name: name.clone(), value, by: by.clone(), kind: RequestKind::Option };
                options.insert(name, request);
            }
            for (name, value) in plain(required) {
                requirements.push(OptionRequest { name, value, by: by.clone(), kind: RequestKind::Require });
            }
        }
        for name in compiled.needs() {
            let by = format!("kernel {kernel}");
            requirements.push(OptionRequest {
                name: name.to_owned(),
                value: OptionValue::Yes,
                by,
                kind: RequestKind::Require,
            });
        }
        let forbidden = UNREPEATABLE.iter().map(|&(name, reason)| (name.to_owned(), reason.to_owned())).collect();
        let requests: Vec<OptionRequest> = options.into_values().chain(requirements).collect();
        Requested { architecture, requests, forbidden, needs: Vec::new(), modules: compiled.modules }
    }

    /// Adds what these machines need, which boot this kernel.
    pub fn for_machines<'a>(mut self, machines: impl Iterator<Item = &'a Machine>) -> Self {
        self.needs = needs::of_machines(machines, &self.requests);
        self
    }
}

/// Options without the places where they were asked for.
pub(super) fn plain(options: &BTreeMap<String, Spanned<OptionValue>>) -> BTreeMap<String, OptionValue> {
    options.iter().map(|(name, value)| (name.clone(), value.value.clone())).collect()
}
