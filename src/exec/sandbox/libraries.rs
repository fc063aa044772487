//! The files that kiln itself needs to be started again where nothing of the host is left: its loader and libraries. A kiln
//! that is linked statically needs none.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Mount, SandboxError};
use crate::world::fs;

/// No list of mappings is longer.
const MAPS_LIMIT: u64 = 4 << 20;
/// `PT_INTERP` of the ELF format: the path of the loader.
const INTERPRETER: u32 = 3;
/// Bytes of an ELF header, and of one of its program headers (64 bit).
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// Mounts of what this process has loaded, each where it is on the host, read-only.
pub(super) fn mounts() -> Result<Vec<Mount>, SandboxError> {
    let failed = |error: &dyn std::fmt::Display| SandboxError::setup("list kiln's own libraries", error);
    let maps = fs::read(Path::new("/proc/self/maps"), MAPS_LIMIT).map_err(|error| failed(&error))?;
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let mut paths = mapped(&String::from_utf8_lossy(&maps));
    paths.remove(&program);
    // A process whose program was replaced meanwhile still maps the old one, which the kernel marks.
    paths.retain(|path| path.is_file());
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let mut all: BTreeSet<(PathBuf, PathBuf)> = paths.into_iter().map(|path| (path.clone(), path)).collect();
    if let Some(loader) = interpreter() {
        let real = std::fs::canonicalize(&loader).map_err(|error| failed(&error))?;
        all.insert((real, loader));
    }
    Ok(all.into_iter().map(|(source, target)| Mount { source, target, readonly: true }).collect())
}

/// Files with code in them, of the lines of `/proc/PID/maps` (proc_pid_maps(5)).
fn mapped(maps: &str) -> BTreeSet<PathBuf> {
    let code = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let executable = fields.nth(1)?.contains('x');
        let path = line.find('/').map(|at| PathBuf::from(&line[at..]))?;
        executable.then_some(path)
    };
    maps.lines().filter_map(code).collect()
}

/// The loader that this program names.
fn interpreter() -> Option<PathBuf> {
    let file = fs::open(Path::new("/proc/self/exe")).ok()?;
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0).ok()?;
    let number = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let start = number(&header, 32)?;
    let count = u16::from_le_bytes(header[56..58].try_into().ok()?);
    for index in 0..u64::from(count) {
        let mut program = [0; PROGRAM_HEADER];
        file.read_exact_at(&mut program, start + index * PROGRAM_HEADER as u64).ok()?;
        if program[..4] == INTERPRETER.to_le_bytes() {
            let size = usize::try_from(number(&program, 32)?).ok().filter(|size| *size < 4096)?;
            let mut path = vec![0; size];
            file.read_exact_at(&mut path, number(&program, 8)?).ok()?;
            let text = std::ffi::CStr::from_bytes_until_nul(&path).ok()?;
            return Some(PathBuf::from(text.to_str().ok()?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_with_code_are_taken() {
        let maps = "55d0-55d1 r--p 00000000 fd:00 12 /usr/lib/a.so\n\
                    55d1-55d2 r-xp 00001000 fd:00 12 /usr/lib/a.so\n\
                    55d1-55d2 r-xp 00001000 fd:00 13 /usr/lib/with space.so\n\
                    7ff0-7ff1 r--p 00000000 fd:00 14 /usr/share/locale\n\
                    7ff2-7ff3 r-xp 00000000 00:00 0 [vdso]\n";
        let expected: BTreeSet<PathBuf> = ["/usr/lib/a.so", "/usr/lib/with space.so"].map(PathBuf::from).into();
        assert_eq!(mapped(maps), expected);
    }
}
