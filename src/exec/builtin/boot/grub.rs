//! GRUB's two programs for a BIOS, told where they lie (GRUB's util/setup.c does the same).
//!
//! The first, `boot.img`, fills the boot record and loads one sector. That sector, the first of the core, has a list of
//! where the rest of it is, which it reads from its own end backwards; kiln writes the one entry that is needed.

use super::super::package::file;
use super::{BuiltinContext, BuiltinError, input};
use crate::exec::failure::StepFailure;
use crate::format::gpt::{Partition, SECTOR};
use crate::world::fs;

const BOOT: &str = "usr/lib/grub/i386-pc/boot.img";
/// Where the boot record says which sector it loads.
const KERNEL_SECTOR: usize = 0x5c;
/// What of it is program.
const PROGRAM: usize = 440;
/// Where the list's first entry stands in the core's first sector: a sector, a number of sectors, a segment.
const LIST: usize = SECTOR as usize - 12;
/// Where the rest of the core goes in memory: behind its first sector.
const SEGMENT: u16 = 0x820;
/// Memory below 640 KiB bounds the core.
const CORE_LIMIT: u64 = 480 << 10;

pub(super) struct Programs {
    record: Vec<u8>,
    core: Vec<u8>,
}

impl Programs {
    pub(super) fn read(context: &BuiltinContext<'_>) -> Result<Programs, BuiltinError> {
        let record = file(context, "grub.deb", BOOT)?;
        let core = fs::read(input(context, "core.img")?, CORE_LIMIT)?;
        Programs::new(record, core)
    }

    fn new(record: Vec<u8>, core: Vec<u8>) -> Result<Programs, BuiltinError> {
        if record.len() as u64 != SECTOR || !record.ends_with(&[0x55, 0xaa]) || core.len() as u64 <= SECTOR {
            return Err(BuiltinError::from(StepFailure::input(
                "GRUB's boot.img or core.img is not bootable by a BIOS".to_owned(),
            )));
        }
        Ok(Programs { record, core })
    }

    /// The boot record's program, and the core, for a core that lies in this partition.
    pub(super) fn placed(&self, partition: &Partition) -> Result<(Vec<u8>, Vec<u8>), BuiltinError> {
        let sectors = (self.core.len() as u64).div_ceil(SECTOR);
        if sectors > partition.sectors {
            return Err(BuiltinError::from(StepFailure::input(format!(
                "GRUB's core image of {sectors} sectors does not fit into its partition"
            ))));
        }
        let mut record = self.record.clone();
        record[KERNEL_SECTOR..][..8].copy_from_slice(&partition.first.to_le_bytes());
        record.truncate(PROGRAM);
        let mut core = self.core.clone();
        core[LIST..][..8].copy_from_slice(&(partition.first + 1).to_le_bytes());
        // At most 960: the limit above.
        core[LIST + 8..][..2].copy_from_slice(&((sectors - 1) as u16).to_le_bytes());
        core[LIST + 10..][..2].copy_from_slice(&SEGMENT.to_le_bytes());
        Ok((record, core))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::gpt::Guid;

    #[test]
    fn both_programs_are_told_where_the_core_lies() {
        let mut record = vec![0; 512];
        record[510..].copy_from_slice(&[0x55, 0xaa]);
        let programs = Programs::new(record, vec![1; 1500]).unwrap();
        let guid = Guid([1; 16]);
        let mut partition =
            Partition { number: 3, kind: guid, id: guid, name: String::new(), first: 2048, sectors: 2048 };
        let (record, core) = programs.placed(&partition).unwrap();
        assert_eq!((record.len(), &record[0x5c..0x64]), (440, 2048u64.to_le_bytes().as_slice()));
        assert_eq!(&core[500..508], 2049u64.to_le_bytes());
        assert_eq!(&core[508..512], [2, 0, 0x20, 8]);
        partition.sectors = 2;
        assert!(programs.placed(&partition).is_err());
        assert!(Programs::new(vec![0; 512], vec![1; 1500]).is_err());
    }
}
