//! Reads `partition "/var" { size = 2GiB }` in an image.

use super::ImageFile;
use super::file::{LINKS_INTO_RUN, MOUNTED_OVER, below, is_absolute};
use super::size::in_bounds;
use crate::base::{ByteSize, Diagnostic, Span, Spanned};
use crate::recipe::reader::Reader;
use crate::recipe::report::Diagnostics;
use crate::recipe::value::EvaluatedNode;

/// A boot waits for each of them.
const MOST: usize = 16;
/// What systemd needs before it mounts anything.
const OF_THE_ROOT: [&str; 3] = ["/boot", "/etc", "/usr"];
/// The same, with all that is below: programs, libraries, modules and units.
const ALL_OF_THE_ROOT: [&str; 7] =
    ["/etc/systemd", "/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/sbin"];
/// Links of merged `/usr`, into directories that the root keeps.
pub(super) const LINKS_INTO_USR: [&str; 6] = ["/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"];

/// A part of the tree that lies in a partition of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePartition {
    /// Where it is mounted: an absolute path.
    pub path: String,
    /// Bytes of its file system.
    pub size: u64,
    /// Where it was declared.
    pub span: Span,
}

/// Every partition of an image, by path.
pub(super) fn partitions(reader: &mut Reader<'_>, files: &[ImageFile]) -> Vec<ImagePartition> {
    let report = reader.report();
    let mut found = reader.distinct("partition", |node| partition(node, report), |partition| &partition.path);
    found.sort_by(|one, two| one.path.cmp(&two.path));
    if let Some(extra) = found.get(MOST) {
        let wrong = Diagnostic::new(extra.span, format!("an image has at most {MOST} partitions"));
        reader.error(wrong.label("one too many"));
    }
    let table = files.iter().find(|file| file.path == "/etc/fstab");
    if let (Some(first), Some(table)) = (found.first(), table) {
        let wrong = Diagnostic::new(first.span, "`partition` adds a line to `/etc/fstab`, which the recipe replaces");
        let wrong = wrong.label("nothing would mount it").related(table.span, "by this");
        reader.error(wrong.hint("leave one of the two out"));
    }
    found
}

fn partition(node: &EvaluatedNode, report: &Diagnostics) -> Option<ImagePartition> {
    let mut reader = Reader::new(node, report);
    let path = reader.argument::<String>("an absolute path in quotes").and_then(|path| mount_point(path, &reader));
    let size = reader.required::<ByteSize>("size").and_then(|size| in_bounds(size, &reader));
    reader.finish();
    Some(ImagePartition { path: path?, size: size?, span: node.head() })
}

/// A path that fstab and debugfs read as it is, and at which a boot can mount something.
fn mount_point(path: Spanned<String>, reader: &Reader<'_>) -> Option<String> {
    let text = path.value.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let label = match text {
        "/" => "the root has a partition already; its size is `size` of the image",
        odd if !is_absolute(odd) || !odd.chars().all(plain) => {
            "expected `/...` of letters, digits, `.`, `_`, `-` and single `/`"
        }
        over if MOUNTED_OVER.iter().chain(&LINKS_INTO_RUN).any(|top| below(over, top)) => {
            "at boot, another file system is mounted there"
        }
        link if LINKS_INTO_USR.iter().any(|top| below(link, top)) => {
            "it leads below `/usr`, and the boot needs what is there before anything is mounted"
        }
        early if OF_THE_ROOT.contains(&early) || ALL_OF_THE_ROOT.iter().any(|top| below(early, top)) => {
            "the boot needs what is there before anything is mounted"
        }
        _ => return Some(path.value),
    };
    reader.error(Diagnostic::new(path.span, format!("`{text}` cannot be a partition of its own")).label(label));
    None
}
