//! What somebody adds to one start of a machine: options of QEMU, and words of the kernel's command line.
//!
//! Input: the words as they were typed. Output: the same words, once it is certain that the kernel will see its own as
//! they were written. They are never in a lock; QEMU itself judges its options.

use super::Description;
use super::argv::{MemoryBacking, kernel_line, quote};
use super::rules::longest_kernel_line;
use crate::base::Foreign;
use crate::plan::boot;
use crate::recipe::machine::Firmware;

/// Additions to one start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaunchAdditions {
    /// Words after all others of the kernel's command line.
    pub append: Vec<String>,
    /// Words after all others of QEMU's command line.
    pub arguments: Vec<String>,
    /// What the host makes its memory of.
    pub memory: MemoryBacking,
    /// The address of its card on a bridge of the host, where it is connected to one instead of the user network.
    pub bridged: Option<String>,
}

/// Why words cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdditionError {
    /// The kernel would see something else.
    #[error("--append {}: a word of the kernel command line must be printable ASCII and not empty", Foreign(.0))]
    Unprintable(String),
    /// The boot loader would pass something else on.
    #[error(
        "--append {}: GRUB cannot pass this on unchanged: it contains a single quote, a backslash, or a single double quote",
        Foreign(word)
    )]
    Grub { word: String },
    /// The kernel would drop the end.
    #[error(
        "--append: the kernel command line of machine {machine} would have {length} bytes, and the kernel keeps {longest}"
    )]
    Long { machine: String, length: usize, longest: usize },
    /// Programs cannot be given such a word.
    #[error("arguments of QEMU cannot contain a NUL byte")]
    Nul,
}

impl LaunchAdditions {
    /// Refuses what the kernel or QEMU would not see as it was typed.
    pub fn check(&self, described: &Description) -> Result<(), AdditionError> {
        let machine = &described.machine;
        let printable = |word: &str| word.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if let Some(word) = self.append.iter().find(|word| word.trim().is_empty() || !printable(word)) {
            return Err(AdditionError::Unprintable(word.clone()));
        }
        let lost = |word: &&String| machine.firmware.value == Firmware::Seabios && boot::is_lost_by_grub(word);
        if let Some(word) = self.append.iter().find(lost) {
            return Err(AdditionError::Grub { word: word.clone() });
        }
        let added: usize = self.append.iter().map(|word| word.len() + 1).sum();
        let (length, longest) = (kernel_line(machine, &described.networks).len() + added, longest_kernel_line(machine));
        if added > 0 && length > longest {
            return Err(AdditionError::Long { machine: machine.name.clone(), length, longest });
        }
        if self.arguments.iter().any(|word| word.contains('\0')) { Err(AdditionError::Nul) } else { Ok(()) }
    }

    /// What is told of them before the start.
    pub fn notices(&self, machine: &str) -> Vec<String> {
        let line = |what: &str, words: &[String]| {
            let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
            format!("machine {machine}: {what} for this run only, not in the lock: {}", words.join(" "))
        };
        let append = (!self.append.is_empty()).then(|| line("kernel parameters", &self.append));
        let arguments = (!self.arguments.is_empty()).then(|| line("QEMU options", &self.arguments));
        append.into_iter().chain(arguments).collect()
    }
}
