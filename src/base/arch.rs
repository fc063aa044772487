//! The architectures that kiln makes machines for, and what Debian, the kernel, QEMU and UEFI call them.
//!
//! No other file knows such a name. To add an architecture, add a variant and its table: the compiler then asks for its
//! machine types (`recipe::machine::Chipset`), and the rules of `machine::rules` for what differs on them.

use serde::{Deserialize, Serialize};

/// An architecture, spelled as Debian spells it. A file that names none means the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    #[default]
    Amd64,
    /// AArch64.
    Arm64,
}

/// What an architecture is called, and what is peculiar to it.
#[derive(Debug, PartialEq, Eq)]
pub struct ArchFacts {
    /// In `Packages`, in package names, and in recipes.
    pub debian: &'static str,
    /// In `uname -m`, and in Rust's `std::env::consts::ARCH`.
    pub processor: &'static str,
    /// In the names of GNU's compilers.
    pub gnu: &'static str,
    /// As the `ISA` of a remote execution's platform (Bazel's remote-apis, `build/bazel/remote/execution/v2/platform.md`).
    pub isa: &'static str,
    /// Links from `/` into `/usr` that its systems have besides `bin`, `sbin` and `lib`: where the ABI wants its loader.
    pub library_links: &'static [&'static str],
    /// What the kernel's build calls it.
    pub kernel: ArchKernel,
    /// What its QEMU is called.
    pub qemu: ArchQemu,
    /// Serial ports of its machines in the guest, without their number: `/dev/ttyS0`.
    pub serial: &'static str,
    /// What a partition with the root of its systems is (the UAPI group's discoverable partitions).
    pub root_partition: &'static str,
    /// What boots its machines through UEFI.
    pub uefi: Uefi,
}

/// An architecture in the kernel's own build and source.
#[derive(Debug, PartialEq, Eq)]
pub struct ArchKernel {
    /// `ARCH=`.
    pub arch: &'static str,
    /// `SRCARCH`: its directory below `arch/`.
    pub source: &'static str,
    /// The make target of a bootable kernel, and the name of the file in `arch/SOURCE/boot`.
    pub image: &'static str,
    /// The make target of its usual configuration.
    pub defconfig: &'static str,
    /// Debian's package of its kernel for virtual machines.
    pub package: &'static str,
    /// The word that makes it speak on the serial port from its first instructions on.
    pub early_console: &'static str,
    /// `COMMAND_LINE_SIZE`, with the final zero: the kernel drops what is beyond.
    pub command_line: usize,
}

/// An architecture's system emulator.
#[derive(Debug, PartialEq, Eq)]
pub struct ArchQemu {
    /// The program.
    pub program: &'static str,
    /// Debian's package of it.
    pub package: &'static str,
}

/// An architecture in the UEFI specification and in systemd's boot stub.
#[derive(Debug, PartialEq, Eq)]
pub struct Uefi {
    /// What UEFI starts from a disk that it knows nothing of (UEFI specification, 3.5.1.1).
    pub program: &'static str,
    /// systemd's stub in the package `systemd-boot-efi`.
    pub stub: &'static str,
    /// `IMAGE_FILE_MACHINE_*` in the header of its programs (PE/COFF).
    pub machine: u16,
}

const AMD64: ArchFacts = ArchFacts {
    debian: "amd64",
    processor: "x86_64",
    gnu: "x86_64-linux-gnu",
    isa: "x86-64",
    library_links: &["lib64"],
    kernel: ArchKernel {
        arch: "x86_64",
        source: "x86",
        image: "bzImage",
        defconfig: "x86_64_defconfig",
        package: "linux-image-cloud-amd64",
        early_console: "earlyprintk=serial",
        // arch/x86/include/asm/setup.h
        command_line: 2048,
    },
    qemu: ArchQemu { program: "qemu-system-x86_64", package: "qemu-system-x86" },
    serial: "ttyS",
    root_partition: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
    uefi: Uefi { program: "EFI/BOOT/BOOTX64.EFI", stub: "usr/lib/systemd/boot/efi/linuxx64.efi.stub", machine: 0x8664 },
};

const ARM64: ArchFacts = ArchFacts {
    debian: "arm64",
    processor: "aarch64",
    gnu: "aarch64-linux-gnu",
    isa: "arm-a64",
    library_links: &[],
    kernel: ArchKernel {
        arch: "arm64",
        source: "arm64",
        image: "Image",
        defconfig: "defconfig",
        package: "linux-image-cloud-arm64",
        early_console: "earlycon",
        // arch/arm64/include/uapi/asm/setup.h
        command_line: 2048,
    },
    qemu: ArchQemu { program: "qemu-system-aarch64", package: "qemu-system-arm" },
    serial: "ttyAMA",
    root_partition: "b921b045-1df0-41c3-af44-4c6f280d3fae",
    uefi: Uefi {
        program: "EFI/BOOT/BOOTAA64.EFI",
        stub: "usr/lib/systemd/boot/efi/linuxaa64.efi.stub",
        machine: 0xaa64,
    },
};

impl Arch {
    /// Every architecture.
    pub const ALL: [Arch; 2] = [Arch::Amd64, Arch::Arm64];

    /// What build steps run on: compilers, file system tools and QEMU itself are locked as programs of it, whatever
    /// the machine is that they make. It is a constant, for a lock must not depend on who made it.
    pub const BUILD: Arch = Arch::Amd64;

    /// Everything that is peculiar to it.
    pub const fn facts(self) -> &'static ArchFacts {
        match self {
            Arch::Amd64 => &AMD64,
            Arch::Arm64 => &ARM64,
        }
    }

    /// The architecture that Debian calls so.
    pub fn named(debian: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.facts().debian == debian)
    }

    /// The processor of this process, when it is one of these.
    pub fn of_this_processor() -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.facts().processor == std::env::consts::ARCH)
    }

    /// Whether it is the one that a file means which names none, for files that do not write it down.
    pub fn is_default(&self) -> bool {
        *self == Arch::default()
    }

    /// A serial port in the guest: `ttyS0`.
    pub fn serial(self, number: u32) -> String {
        format!("{}{number}", self.facts().serial)
    }
}

impl std::fmt::Display for Arch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.facts().debian)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_one_architectures_own() {
        let names = |name: &dyn Fn(&ArchFacts) -> &'static str| {
            Arch::ALL.iter().map(|arch| name(arch.facts())).collect::<BTreeSet<_>>().len()
        };
        let columns: [&dyn Fn(&ArchFacts) -> &'static str; 13] = [
            &|facts| facts.debian,
            &|facts| facts.processor,
            &|facts| facts.gnu,
            &|facts| facts.isa,
            &|facts| facts.kernel.arch,
            &|facts| facts.kernel.source,
            &|facts| facts.kernel.package,
            &|facts| facts.qemu.program,
            &|facts| facts.qemu.package,
            &|facts| facts.serial,
            &|facts| facts.root_partition,
            &|facts| facts.uefi.program,
            &|facts| facts.uefi.stub,
        ];
        for (number, column) in columns.iter().enumerate() {
            assert_eq!(names(column), Arch::ALL.len(), "column {number}");
        }
    }

    #[test]
    fn an_architecture_is_written_and_read_as_debian_spells_it() {
        for arch in Arch::ALL {
            assert_eq!(Arch::named(&arch.to_string()), Some(arch));
            let json = serde_json::to_string(&arch).unwrap();
            assert_eq!(json, format!("\"{arch}\""));
            assert_eq!(serde_json::from_str::<Arch>(&json).unwrap(), arch);
            assert!(arch.facts().kernel.package.ends_with(arch.facts().debian));
        }
        assert_eq!(Arch::named("x86_64"), None);
    }

    #[test]
    fn this_processor_is_one_of_them_or_none() {
        let here = Arch::of_this_processor().map(|arch| arch.facts().processor);
        assert!(here.is_none_or(|processor| processor == std::env::consts::ARCH));
        assert_eq!((Arch::Amd64.serial(1), Arch::Arm64.serial(0)), ("ttyS1".to_owned(), "ttyAMA0".to_owned()));
    }
}
