//! What a step leaves behind: foreign files until they are in the store.
//!
//! Input: the directory that the step's programs had, by the descriptor from before they ran, and a directory that they
//! never had. Output: objects of the store. Nothing is looked up by its path, no link is followed, and kiln makes files in
//! its own directory alone.

use std::path::Path;

use rustix::fs::FileType;

use super::event::StepEvent;
use super::step::{Ready, Trouble};
use crate::format::qcow2;
use crate::plan::Work;
use crate::store::{StoreError, Taking, is_private};
use crate::world::dir::{Dir, noun};
use crate::world::{WorldError, fs};

/// Mode of a directory that programs of any user id inside may read.
const OPEN_MODE: u32 = 0o755;

/// Where a step's outputs are.
pub(super) struct Outputs {
    /// What its programs could write.
    pub(super) left: Dir,
    /// What kiln makes of that.
    made: Dir,
}

impl Outputs {
    /// Makes both directories below one that no sandbox has.
    pub(super) fn prepare(ready: &Ready<'_>, scratch: &Path) -> Result<Outputs, StoreError> {
        let make = |name: &str| Dir::make(&scratch.join(name), OPEN_MODE).map_err(|error| ready.store.failure(error));
        let outputs = Outputs { left: make("out")?, made: make("made")? };
        ready.store.hand_over(&outputs.left)?;
        Ok(outputs)
    }

    /// Takes every declared output into the store.
    pub(super) fn collect(&self, ready: &Ready<'_>) -> Result<super::realize::Outputs, Trouble> {
        // Its programs may have shut it. Where it is not this user's any more, looking into it says so.
        let _ = self.left.set_mode(OPEN_MODE);
        let converted = self.convert(ready)?;
        let private = ready.inputs.values().any(|input| is_private(input));
        let outputs = ready.step.outputs.iter().map(|name| {
            let from = if converted == Some(name) { &self.made } else { &self.left };
            let taken = ready.store.take(from, name, Taking { private, stop: ready.stop });
            Ok((name.clone(), taken.map_err(|error| refused(ready, error))?))
        });
        outputs.collect()
    }

    /// Makes the qcow2 that the step asks for; the raw disk goes.
    fn convert<'a>(&self, ready: &Ready<'a>) -> Result<Option<&'a String>, Trouble> {
        let Work::Sandbox { qcow2: Some((raw, image)), .. } = &ready.step.work else { return Ok(None) };
        if let Some(found) = self.left.look(image).map_err(|error| unreadable(image, &error))? {
            let what = noun(found.kind());
            return Err(Trouble::Step(format!("it left {image}, {what}, which is for kiln to make of its {raw}")));
        }
        let found = self.left.look(raw).map_err(|error| unreadable(raw, &error))?;
        let found = found.ok_or_else(|| Trouble::Step(format!("it left no {raw} behind")))?;
        if found.kind() != FileType::RegularFile {
            return Err(Trouble::Step(format!("its {raw} is {}, not a file", noun(found.kind()))));
        }
        let source = found.open_own().map_err(|error| unreadable(raw, &error))?;
        let target = fs::create_new(&self.made.path().join(image)).map_err(|error| ready.store.failure(error))?;
        let step = ready.step.name();
        let mut progress = |done, total| ready.listener.on(StepEvent::StepProgress { step: step.clone(), done, total });
        let written = qcow2::write_qcow2(&source, target, qcow2::Qcow2Options::default(), &mut progress);
        written.map_err(|error| Trouble::Step(error.to_string()))?;
        // Only to have its space back early; it goes with the rest in the end.
        let _ = self.left.remove(raw);
        Ok(Some(image))
    }
}

/// What is wrong with an output is the step's fault; what is wrong with the store is not.
fn refused(ready: &Ready<'_>, error: StoreError) -> Trouble {
    match error {
        StoreError::Output(reason) => Trouble::Step(reason),
        StoreError::Interrupted => Trouble::Exec(super::ExecError::Interrupted),
        other => Trouble::Exec(other.of(ready.store.root()).into()),
    }
}

fn unreadable(name: &str, error: &WorldError) -> Trouble {
    Trouble::Step(format!("its {name} cannot be read: {error}"))
}
