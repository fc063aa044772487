//! What Linux says about memory: of this host (`Documentation/filesystems/proc.rst`), and of the control groups that a process is in
//! (`Documentation/admin-guide/cgroup-v2.rst`, `cgroup-v1/memory.rst`).

use std::path::{Component, Path};

use super::fs;

/// No file that is read here is larger.
const MAX_BYTES: u64 = 1 << 16;
/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// The bytes behind a key such as `MemAvailable`; `None` when this kernel does not say.
pub fn bytes(key: &str) -> Option<u64> {
    find(&text(Path::new("/proc/meminfo"))?, key)
}

/// Bytes of memory that programs started here can have now without swapping; 0 when this kernel does not say. In a container
/// `/proc/meminfo` is the host's, and what the container may have is said by its control groups.
pub fn available() -> u64 {
    let host = bytes("MemAvailable").unwrap_or(0);
    let own = text(Path::new("/proc/self/cgroup")).unwrap_or_default();
    allowed(&own, Path::new(GROUPS)).map_or(host, |allowed| host.min(allowed))
}

/// What the groups in the text of `/proc/self/cgroup` have left; `None` when none of them is bounded.
fn allowed(own: &str, mounted: &Path) -> Option<u64> {
    let of_line = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        match controllers {
            "" => SECOND.left(mounted, path),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                FIRST.left(&mounted.join("memory"), path)
            }
            _ => None,
        }
    };
    own.lines().filter_map(of_line).min()
}

/// What the files of a version of control groups are called.
struct Version {
    limit: &'static str,
    used: &'static str,
    /// Pages of files, which are given up when memory is wanted: lines of `memory.stat`.
    given_up: [&'static str; 2],
}

const FIRST: Version = Version {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    given_up: ["total_inactive_file", "total_active_file"],
};
const SECOND: Version =
    Version { limit: "memory.max", used: "memory.current", given_up: ["inactive_file", "active_file"] };

impl Version {
    /// What a group and those above it have left.
    fn left(&self, mounted: &Path, path: &str) -> Option<u64> {
        // A container may see its own group as the top: the path is then one of the host, or leads out of what is mounted.
        let path = Path::new(path.trim_start_matches('/'));
        let path =
            if path.components().all(|part| matches!(part, Component::Normal(_))) { path } else { Path::new("") };
        let group = mounted.join(path);
        group.ancestors().take_while(|group| group.starts_with(mounted)).filter_map(|group| self.left_of(group)).min()
    }

    fn left_of(&self, group: &Path) -> Option<u64> {
        let number = |name: &str| text(&group.join(name))?.trim().parse::<u64>().ok();
        // Without a bound it says `max`, or in the first version a number that no machine has.
        let (limit, used) = (number(self.limit)?, number(self.used)?);
        let stat = text(&group.join("memory.stat")).unwrap_or_default();
        let pages = |name: &&str| {
            let line = stat.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix(' '));
            line.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        let given_up = self.given_up.iter().map(pages).fold(0u64, u64::saturating_add);
        Some(limit.saturating_sub(used.saturating_sub(given_up)))
    }
}

fn text(path: &Path) -> Option<String> {
    String::from_utf8(fs::read(path, MAX_BYTES).ok()?).ok()
}

/// The bytes behind a key in such a text, as in `MemAvailable:   23017652 kB`.
pub fn find(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_whole_word_and_its_number_is_in_kibibytes() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:   23 kB\nHugePages_Total:       0\nMem:  18446744073709551615 kB\n";
        assert_eq!(find(text, "MemAvailable"), Some(23 << 10));
        for none in ["MemAvail", "HugePages_Total", "Mem", "Swap"] {
            assert_eq!(find(text, none), None, "{none}");
        }
        assert!(bytes("MemTotal").is_some_and(|bytes| bytes > 1 << 20));
        assert!((1..=bytes("MemTotal").unwrap()).contains(&available()));
    }

    #[test]
    fn the_smallest_group_above_a_process_bounds_its_memory() {
        let groups = std::env::temp_dir().join(format!("kiln-groups-{}", std::process::id()));
        let write = |file: &str, text: &str| {
            let path = groups.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write_atomically(&path, text.as_bytes()).unwrap();
        };
        write("memory.max", "max\n");
        write("job/memory.max", "1000\n");
        write("job/memory.current", "700\n");
        write("job/memory.stat", "anon 5\nactive_file 100\ninactive_file 200\nshmem 50\n");
        write("job/step/memory.max", "max\n");
        write("job/step/memory.current", "600\n");
        write("memory/job/memory.limit_in_bytes", "2000\n");
        write("memory/job/memory.usage_in_bytes", "1500\n");
        write("memory/job/memory.stat", "inactive_file 9\ntotal_inactive_file 400\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/memory.usage_in_bytes", "1500\n");
        for (own, expected) in [
            ("0::/job/step\n", Some(600)),
            ("0::/job\n", Some(600)),
            ("0::/\n", None),
            ("0::/elsewhere\n", None),
            ("0::/../job\n", None),
            ("12:cpu,memory:/job/x\n0::/\n", Some(900)),
            ("4:memory:/job\n0::/job\n", Some(600)),
            ("4:memory:/\n", Some((9_223_372_036_854_771_712u64) - 1500)),
            ("7:cpu:/job\nwhat\n", None),
            ("", None),
        ] {
            assert_eq!(allowed(own, &groups), expected, "{own}");
        }
        // Of a group that has more than it may, nothing is left.
        write("job/memory.current", "5000\n");
        assert_eq!(allowed("0::/job", &groups), Some(0));
        fs::remove_tree(&groups).unwrap();
    }
}
