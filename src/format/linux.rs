//! Kernel images of Linux as QEMU and boot loaders start them: what their headers say.
//!
//! Input: the first bytes of a file and its size. Output: [`KernelImage`], or why it is none. Written after the kernel's
//! `Documentation/arch/x86/boot.rst`, `Documentation/arch/arm64/booting.rst` and `drivers/firmware/efi/libstub/zboot-header.S`.

use std::io::Read;

use crate::base::Arch;

/// The part of a file that is looked at: the setup code of x86 has at most 32 KiB, and names the release within.
pub const HEAD: usize = 64 << 10;
const SECTOR: u64 = 512;

/// What the header of a kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelImage {
    /// `uname -r`, where the header has it.
    pub release: Option<String>,
}

/// Why a file is no kernel that can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAKernel {
    /// Nothing.
    #[error("it is empty")]
    Empty,
    /// `vmlinux`.
    #[error("it is an ELF file, such as `vmlinux`; what boots is {}", image(*.0))]
    Elf(Arch),
    /// Something else.
    #[error("it is no Linux kernel for {0}, which would be {image}", image = image(*.0))]
    Other(Arch),
    /// Before 2008, or not 64-bit.
    #[error("it is a 32-bit kernel, or one from before Linux 3.8")]
    Narrow,
    /// The header promises more than there is.
    #[error("it is truncated: its header says that there are {stated} bytes, and it has {size}")]
    Truncated {
        /// By the header.
        stated: u64,
        /// In the file.
        size: u64,
    },
}

fn image(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "`arch/x86/boot/bzImage`",
        Arch::Arm64 => "`arch/arm64/boot/Image`",
    }
}

/// Looks at the first [`HEAD`] bytes of a file, or at all of a smaller one.
pub fn examine(arch: Arch, head: &[u8], size: u64) -> Result<KernelImage, NotAKernel> {
    if size == 0 {
        return Err(NotAKernel::Empty);
    }
    if head.starts_with(b"\x7fELF") {
        return Err(NotAKernel::Elf(arch));
    }
    match arch {
        Arch::Amd64 => x86(head, size),
        Arch::Arm64 => arm64(head, size),
    }
}

fn x86(head: &[u8], size: u64) -> Result<KernelImage, NotAKernel> {
    let no = NotAKernel::Other(Arch::Amd64);
    let at = |offset: usize, length: usize| head.get(offset..offset + length).ok_or(no);
    let word = |offset: usize| at(offset, 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    if word(0x1fe)? != 0xaa55 || at(0x202, 4)? != b"HdrS" {
        return Err(no);
    }
    // 2.12 came with Linux 3.8, and with it the word that says that there is a 64-bit entry.
    const XLOADFLAGS: u16 = 0x020c;
    if word(0x206)? < XLOADFLAGS || word(0x236)? & 1 == 0 {
        return Err(NotAKernel::Narrow);
    }
    let sectors = match at(0x1f1, 1)?[0] {
        0 => 4,
        sectors => u64::from(sectors),
    };
    let paragraphs = at(0x1f4, 4)?;
    let paragraphs = u32::from_le_bytes([paragraphs[0], paragraphs[1], paragraphs[2], paragraphs[3]]);
    let stated = (sectors + 1) * SECTOR + u64::from(paragraphs) * 16;
    if stated > size {
        return Err(NotAKernel::Truncated { stated, size });
    }
    // An offset from the second sector; zero means that there is none.
    let named = match word(0x20e)? {
        0 => None,
        offset => head.get(usize::from(offset) + 0x200..).filter(|_| u64::from(offset) < sectors * SECTOR),
    };
    Ok(KernelImage { release: named.and_then(release) })
}

/// `6.12.57+deb13-cloud-amd64 (builder@host) #1 SMP ...`, up to a zero byte.
fn release(text: &[u8]) -> Option<String> {
    let word = text.split(|byte| matches!(byte, 0 | b' ')).next()?;
    is_release(word).then(|| String::from_utf8_lossy(word).into_owned())
}

/// Whether these bytes can be the release of a kernel, which has 64 bytes with its final zero (`__NEW_UTS_LEN`).
pub fn is_release(word: &[u8]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._~".contains(byte);
    (1..=64).contains(&word.len()) && word[0].is_ascii_digit() && word.iter().all(legal)
}

const ARM64_MAGIC: &[u8] = b"ARM\x64";

/// An `Image`, the same compressed by gzip, or one that unpacks itself as a program of UEFI (`vmlinuz.efi`).
fn arm64(head: &[u8], size: u64) -> Result<KernelImage, NotAKernel> {
    let no = NotAKernel::Other(Arch::Arm64);
    let number = |offset: usize| {
        let bytes = head.get(offset..offset + 4).ok_or(no)?;
        Ok(u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])))
    };
    let is_image = |head: &[u8]| head.get(56..60) == Some(ARM64_MAGIC);
    if head.starts_with(b"MZ") && head.get(4..8) == Some(b"zimg") {
        let stated = number(8)? + number(12)?;
        if stated > size {
            return Err(NotAKernel::Truncated { stated, size });
        }
    } else if head.starts_with(&[0x1f, 0x8b]) {
        let mut inner = [0; 64];
        flate2::read::GzDecoder::new(head).read_exact(&mut inner).map_err(|_| no)?;
        if !is_image(&inner) {
            return Err(no);
        }
    } else if !is_image(head) {
        return Err(no);
    }
    Ok(KernelImage { release: None })
}

#[cfg(test)]
#[path = "linux_tests.rs"]
pub(crate) mod tests;
