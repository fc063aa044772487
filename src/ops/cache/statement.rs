//! What is signed of a step: a text that says what an action leaves behind, and the file of a cache that has it.
//!
//! Input: the bytes of such a file. Output: what it says, if somebody who is trusted has signed that.
//!
//! The text says itself what it is, since minisign has no namespaces: a statement about a whole build is no text of this
//! form, nor is this one of that form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{Digest, Foreign, Timestamp};
use crate::exec::cache::WantedResult;
use crate::format::signature::{MinisignSignature, SignaturePurpose, SshSignature};
use crate::lock;
use crate::ops::error::SignerProblem;
use crate::ops::sign::{Key, Trust};
use crate::store::Output;

const KIND: &str = "kiln step result";
/// Version of the format.
const FORMAT: u32 = 1;
/// Clocks differ.
const DAY: i64 = 86_400;
const SSH: &str = "-----BEGIN SSH SIGNATURE-----";

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::ops) struct StepStatement {
    kind: String,
    format: u32,
    /// For people: what the recipe of whoever signed it calls the step.
    pub(in crate::ops) step: String,
    /// Resolved id of the step: a digest of everything that it reads and does.
    action: Digest,
    /// Output version of the kiln that carried it out.
    output_version: u32,
    outputs: BTreeMap<String, StatedOutput>,
    /// When.
    pub(in crate::ops) signed: Timestamp,
}

/// One output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum StatedOutput {
    File { sha256: Digest, size: u64, executable: bool },
    Tree { root: Digest, root_size: u64, messages: Digest, messages_size: u64 },
}

impl StepStatement {
    /// What is to be said of a step's outputs.
    pub(in crate::ops) fn new(
        (step, action): (String, Digest),
        outputs: &BTreeMap<String, Output>,
        signed: Timestamp,
    ) -> StepStatement {
        let outputs = outputs.iter().map(|(name, output)| (name.clone(), StatedOutput::from(output))).collect();
        let kind = KIND.to_owned();
        StepStatement { kind, format: FORMAT, step, action, output_version: lock::OUTPUT, outputs, signed }
    }

    pub(in crate::ops) fn write(&self) -> String {
        format!("{}\n", serde_json::to_string_pretty(self).expect("a statement has only strings and numbers"))
    }

    pub(in crate::ops) fn outputs(&self) -> BTreeMap<String, Output> {
        self.outputs.iter().map(|(name, output)| (name.clone(), output.to_output())).collect()
    }
}

impl From<&Output> for StatedOutput {
    fn from(output: &Output) -> StatedOutput {
        match *output {
            Output::File { digest, size, executable } => StatedOutput::File { sha256: digest, size, executable },
            Output::Tree { root, root_size, messages, messages_size } => {
                StatedOutput::Tree { root, root_size, messages, messages_size }
            }
        }
    }
}

impl StatedOutput {
    fn to_output(&self) -> Output {
        match *self {
            StatedOutput::File { sha256, size, executable } => Output::File { digest: sha256, size, executable },
            StatedOutput::Tree { root, root_size, messages, messages_size } => {
                Output::Tree { root, root_size, messages, messages_size }
            }
        }
    }
}

/// A statement and a signature over exactly these bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::ops) struct SignedResult {
    pub(in crate::ops) statement: String,
    pub(in crate::ops) signature: String,
}

/// Why a signed result does not count.
#[derive(Debug, thiserror::Error)]
pub(in crate::ops) enum ResultProblem {
    /// It is none, or not what it is said to be.
    #[error("{0}")]
    Wrong(String),
    /// Whoever signed it is not trusted, or not with this recipe, or not any more.
    #[error(transparent)]
    Signer(SignerProblem),
}

/// For whom a result is to count.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Judge<'a> {
    pub(in crate::ops) trust: &'a Trust,
    /// The recipe that is built.
    pub(in crate::ops) recipe: &'a str,
    pub(in crate::ops) now: Timestamp,
}

/// Who signed a result, as the user calls them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) struct ResultSigner {
    pub(in crate::ops) name: String,
    pub(in crate::ops) key: String,
}

impl SignedResult {
    pub(in crate::ops) fn read(bytes: &[u8]) -> Result<SignedResult, ResultProblem> {
        serde_json::from_slice(bytes).map_err(|_| ResultProblem::Wrong("it is not a signed result".to_owned()))
    }

    pub(in crate::ops) fn write(&self) -> String {
        format!("{}\n", serde_json::to_string_pretty(self).expect("two strings are JSON"))
    }

    /// What it says of an action. The signature is looked at first: nothing else of an unsigned text is read.
    pub(in crate::ops) fn judged(
        &self,
        judge: &Judge<'_>,
        action: &Digest,
    ) -> Result<(StepStatement, ResultSigner), ResultProblem> {
        let key = self.key(Some(judge.trust))?;
        let name = judge.trust.signer(&key, judge.recipe, judge.now).map_err(ResultProblem::Signer)?;
        let statement = self.statement(action)?;
        if statement.signed.0 > judge.now.0.saturating_add(DAY) {
            return Err(ResultProblem::Signer(SignerProblem::Future(statement.signed)));
        }
        Ok((statement, ResultSigner { name, key: key.shown() }))
    }

    /// The key that has made the signature. Of minisign, whose signatures do not have the key in them, a trusted one.
    pub(in crate::ops) fn key(&self, trust: Option<&Trust>) -> Result<Key, ResultProblem> {
        let wrong = |problem: crate::format::signature::SignatureError| ResultProblem::Wrong(problem.to_string());
        let text = self.statement.as_bytes();
        if self.signature.trim_ascii().is_empty() {
            return Err(ResultProblem::Wrong("it is not signed".to_owned()));
        }
        if self.signature.trim_start().starts_with(SSH) {
            let signature = SshSignature::read(&self.signature, SignaturePurpose::Step).map_err(wrong)?;
            signature.verify(text).map_err(wrong)?;
            return Ok(Key::Ssh(signature.key));
        }
        let signature = MinisignSignature::read(&self.signature).map_err(wrong)?;
        let number = format!("minisign {:016X}", u64::from_le_bytes(signature.number));
        let key = trust.and_then(|trust| trust.minisign(signature.number));
        let key = key.ok_or(ResultProblem::Signer(SignerProblem::Unknown(number)))?;
        signature.verify(&key, text).map_err(wrong)?;
        Ok(Key::Minisign(key))
    }

    /// What is signed, if it is about an action and from a kiln whose outputs are those of this one.
    pub(in crate::ops) fn statement(&self, action: &Digest) -> Result<StepStatement, ResultProblem> {
        let wrong = |text: String| Err(ResultProblem::Wrong(text));
        let Ok(statement) = serde_json::from_str::<StepStatement>(&self.statement) else {
            return wrong("what is signed is not the result of a step".to_owned());
        };
        if statement.kind != KIND || statement.format != FORMAT {
            return wrong("what is signed is not the result of a step in a format that this kiln knows".to_owned());
        }
        if statement.action != *action {
            let (step, action) = (Foreign(&statement.step), statement.action.short());
            return wrong(format!("what is signed is the result of another action ({step}, {action})"));
        }
        if statement.output_version != lock::OUTPUT {
            return wrong(format!("what is signed has output version {}", statement.output_version));
        }
        Ok(statement)
    }
}

/// What a step leaves behind, if it is what the step declares.
pub(in crate::ops) fn fitting(
    statement: &StepStatement,
    wanted: &WantedResult<'_>,
) -> Option<BTreeMap<String, Output>> {
    let outputs = statement.outputs();
    let fits = outputs.len() == wanted.outputs.len() && wanted.outputs.iter().all(|name| outputs.contains_key(name));
    fits.then_some(outputs)
}
