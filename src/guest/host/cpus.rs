//! `--pin CPUS`: the CPUs of the host that QEMU may use.
//!
//! The thread that starts a QEMU is bound to them for that moment, and QEMU inherits it with all its threads. QEMU itself
//! cannot change it: its own sandbox denies that (`resourcecontrol=deny`).

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::guest::GuestError;

/// CPUs of the host by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuSelection {
    cpus: Vec<usize>,
    text: String,
}

impl CpuSelection {
    /// Reads `0-3,8`.
    pub fn parse(text: &str) -> Option<CpuSelection> {
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.parse::<usize>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
            let (first, last) = (number(first)?, number(last)?);
            if first > last || last >= CpuSet::MAX_CPU {
                return None;
            }
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        Some(CpuSelection { cpus, text: text.to_owned() })
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.cpus.len()
    }

    /// Binds this thread to them; an error if kiln may not use one of them.
    pub fn pin(&self) -> Result<Pinned, GuestError> {
        let refused = |reason: String| GuestError::Resource { option: "--pin", reason };
        let before =
            sched_getaffinity(None).map_err(|error| refused(format!("cannot read the allowed CPUs: {error}")))?;
        if let Some(cpu) = self.cpus.iter().find(|cpu| !before.is_set(**cpu)) {
            let allowed: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| before.is_set(*cpu)).collect();
            return Err(refused(format!("CPU {cpu} cannot be used here; available: {}", ranges(&allowed))));
        }
        let mut wanted = CpuSet::new();
        self.cpus.iter().for_each(|cpu| wanted.set(*cpu));
        sched_setaffinity(None, &wanted).map_err(|error| refused(format!("cannot use CPUs {}: {error}", self.text)))?;
        Ok(Pinned { before })
    }

    /// What is told of it before the start.
    pub fn notice(&self) -> String {
        format!("QEMU runs on CPUs {} of this host", self.text)
    }
}

/// A thread that is bound to CPUs; it gets those back that it had.
#[derive(Debug)]
pub struct Pinned {
    before: CpuSet,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The thread could use these before, so it can use them again, unless somebody took them away meanwhile.
        let _ = sched_setaffinity(None, &self.before);
    }
}

/// 0, 1, 2, 8 is `0-2,8`.
fn ranges(cpus: &[usize]) -> String {
    let runs = cpus.chunk_by(|a, b| a + 1 == *b);
    let range = |run: &[usize]| match run {
        [one] => one.to_string(),
        several => format!("{}-{}", several[0], several[several.len() - 1]),
    };
    runs.map(range).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_read_as_taskset_reads_them() {
        let cpus = |text: &str| CpuSelection::parse(text).map(|selection| selection.cpus);
        assert_eq!(cpus("0-3,8"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(cpus("1,1,0"), Some(vec![0, 1]));
        for text in ["", "3-0", "a", "0,,1", "-1", "0-", "+1", "0 - 1", "99999999"] {
            assert_eq!(cpus(text), None, "{text}");
        }
        assert_eq!(ranges(&[0, 1, 2, 8]), "0-2,8");
    }

    #[test]
    fn a_thread_is_bound_and_gets_its_cpus_back() {
        let work = || {
            let before = sched_getaffinity(None).unwrap();
            let first = (0..CpuSet::MAX_CPU).find(|cpu| before.is_set(*cpu)).unwrap();
            let pinned = CpuSelection::parse(&first.to_string()).unwrap().pin().unwrap();
            let child = std::process::Command::new("cat").arg("/proc/self/status").output().unwrap();
            drop(pinned);
            assert_eq!(sched_getaffinity(None).unwrap().count(), before.count());
            (first, String::from_utf8(child.stdout).unwrap())
        };
        let (first, status) = std::thread::spawn(work).join().unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        assert_eq!(line.trim(), first.to_string());
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named_with_those_that_are() {
        let error = CpuSelection::parse("1000").unwrap().pin().unwrap_err().to_string();
        assert!(error.starts_with("--pin: CPU 1000 cannot be used here; available: "), "{error}");
    }
}
