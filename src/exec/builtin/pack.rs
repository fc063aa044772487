//! A directory that a build left, as the archive that a tree of an image is put together from.

use super::{BuiltinContext, BuiltinError, input};
use crate::exec::failure::StepFailure;
use crate::plan::Statement;
use crate::plan::build::PACKED;
use crate::recipe::directory::{Directory, Modes};
use crate::world::dir::Dir;
use crate::world::fs;

/// Input `tree`; output `tree.tar`.
pub(super) fn run(context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    let tree = input(context, "tree")?;
    if fs::open_unless_directory(tree)?.is_some() {
        let failure = StepFailure::recipe(Statement::Script, "the build left a file, and a tree needs a directory");
        return Err(failure.help("write `file` instead of `tree` in the image, or leave a directory").into());
    }
    let packed = Directory::of(&Dir::open(tree)?, Modes::Executable)
        .and_then(|directory| directory.pack(&mut fs::create_new(&context.out.join(PACKED))?));
    Ok(packed.map_err(StepFailure::input)?)
}
