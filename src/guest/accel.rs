//! What executes the guest's instructions: KVM, or QEMU's own translator (TCG), and noticing that KVM does not work.
//!
//! `/dev/kvm` that opens proves nothing: in some containers and nested machines the guest dies in its first
//! instructions. QEMU then says so and stops the guest without ending, so what it says is watched.

use std::time::Duration;

use crate::base::Arch;
use crate::exec::sandbox::kvm;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccelChoice {
    /// KVM when it works.
    #[default]
    Auto,
    /// KVM or an error.
    Kvm,
    /// TCG.
    Tcg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// Hardware virtualisation.
    Kvm,
    /// Software emulation.
    Tcg,
}

impl Accelerator {
    /// The word for QEMU's `-accel`.
    pub fn name(self) -> &'static str {
        match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg => "tcg",
        }
    }

    /// Slower machines are given more time: a boot is about ten times slower under TCG.
    pub fn patience(self, kvm: Duration) -> Duration {
        match self {
            Accelerator::Kvm => kvm,
            Accelerator::Tcg => kvm * 10,
        }
    }
}

impl AccelChoice {
    /// The one to try first.
    pub fn first(self) -> Accelerator {
        match self {
            AccelChoice::Kvm => Accelerator::Kvm,
            AccelChoice::Tcg => Accelerator::Tcg,
            AccelChoice::Auto if kvm::probe().is_ok() => Accelerator::Kvm,
            AccelChoice::Auto => Accelerator::Tcg,
        }
    }

    /// What executes a machine of an architecture, where `first` executes those of this processor: KVM runs no others.
    pub fn of(self, arch: Arch, first: Accelerator) -> Result<Accelerator, String> {
        match first {
            Accelerator::Tcg => Ok(Accelerator::Tcg),
            Accelerator::Kvm if Arch::of_this_processor() == Some(arch) => Ok(Accelerator::Kvm),
            Accelerator::Kvm if self == AccelChoice::Kvm => Err(format!(
                "it is {arch}, and KVM runs only machines of this processor, which is {}; `--accel tcg` emulates it",
                std::env::consts::ARCH
            )),
            Accelerator::Kvm => Ok(Accelerator::Tcg),
        }
    }
}

/// A KVM that fails does so within this time after the start of QEMU.
pub const PROBATION: Duration = Duration::from_secs(120);

/// What QEMU says when KVM cannot be used, or failed the guest (`accel/kvm/kvm-all.c` and `target/i386/kvm/kvm.c`).
const BROKEN: [&str; 6] = [
    "KVM internal error",
    "KVM: entry failed",
    "failed to initialize kvm",
    "Could not access KVM kernel module",
    "error: kvm run failed",
    "kvm_init_vcpu failed",
];

/// The line that says that KVM does not work, if there is one.
pub fn kvm_failure(said: &str) -> Option<&str> {
    said.lines().find(|line| BROKEN.iter().any(|words| line.contains(words))).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kvm_that_fails_is_recognised_by_what_qemu_says() {
        let said = "warning: x\nKVM internal error. Suberror: 1\nextra data[0]: 0x0\nemulation failure\nEAX=00000000";
        assert_eq!(kvm_failure(said), Some("KVM internal error. Suberror: 1"));
        assert!(kvm_failure("qemu-system-x86_64: failed to initialize kvm: Permission denied").is_some());
        assert_eq!(kvm_failure("qemu-system-x86_64: terminating on signal 15 (kvm)"), None);
    }

    #[test]
    fn kvm_runs_machines_of_its_own_processor_only() {
        for arch in Arch::ALL {
            let own = Arch::of_this_processor() == Some(arch);
            let expected = if own { Accelerator::Kvm } else { Accelerator::Tcg };
            assert_eq!(AccelChoice::Auto.of(arch, Accelerator::Kvm), Ok(expected), "{arch}");
            assert_eq!(AccelChoice::Kvm.of(arch, Accelerator::Kvm).is_ok(), own, "{arch}");
            assert_eq!(AccelChoice::Tcg.of(arch, Accelerator::Tcg), Ok(Accelerator::Tcg), "{arch}");
        }
    }

    #[test]
    fn what_is_forced_is_not_probed() {
        assert_eq!(AccelChoice::Tcg.first(), Accelerator::Tcg);
        assert_eq!(AccelChoice::Kvm.first(), Accelerator::Kvm);
    }
}
