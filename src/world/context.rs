//! What every error of a file says: what was done, and to which path.

use std::path::Path;

use super::WorldError;

/// Names the path in an error.
pub fn context<T>(verb: &'static str, path: &Path, result: std::io::Result<T>) -> Result<T, WorldError> {
    result.map_err(|source| WorldError::File { verb, path: path.to_owned(), source })
}
