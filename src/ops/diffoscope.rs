//! The opinion of diffoscope, where it is installed, on two files that should be equal: it knows many more formats than kiln.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// Lines of its report that are shown.
const LINES: usize = 60;
/// Bytes of one line that are shown.
const WIDTH: u64 = 4096;

/// What it says, a line each; nothing when it is not installed. Whatever it says, the bits differ.
pub(super) fn opinion(program: &Path, one: &Path, two: &Path) -> Vec<String> {
    let mut command = Command::new(program);
    command.args(["--text", "-", "--text-color", "never", "--no-progress", "--"]).arg(one).arg(two);
    let Ok(mut child) = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else {
        return Vec::new();
    };
    let mut lines = vec!["diffoscope says:".to_owned()];
    if let Some(mut output) = child.stdout.take().map(BufReader::new) {
        while lines.len() <= LINES {
            let mut line = Vec::new();
            match output.by_ref().take(WIDTH).read_until(b'\n', &mut line) {
                Ok(count) if count > 0 => lines.push(String::from_utf8_lossy(&line).trim_end().to_owned()),
                _ => break,
            }
        }
        if lines.len() > LINES {
            lines.push("and more".to_owned());
        }
    }
    // It may still be at work on what is not shown.
    let _ = child.kill();
    let _ = child.wait();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{executable, fs};

    #[test]
    fn its_report_is_shown_up_to_a_limit_and_it_need_not_be_there() {
        let directory = std::env::temp_dir().join(format!("kiln-diffoscope-{}", std::process::id()));
        let program = directory.join("diffoscope");
        // Endless, as a report on two disks nearly is; its last arguments are the files.
        let script = "#!/bin/sh\nshift 6\necho \"$@\"\nwhile echo line; do :; done\n";
        executable::write(&program, script);
        let lines = opinion(&program, Path::new("/one"), Path::new("/two"));
        assert_eq!(lines[..3], ["diffoscope says:", "/one /two", "line"]);
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (LINES + 2, "and more"));
        assert!(opinion(&directory.join("none"), Path::new("/one"), Path::new("/two")).is_empty());
        fs::remove_tree(&directory).unwrap();
    }
}
