//! Two disks with partitions: the tables, then each partition as what it holds.

use std::io;
use std::ops::Range;

use super::disk::Disk;
use super::{Differences, Rule, blocks, fat};
use crate::format::gpt::{Partition, SECTOR, Table};

/// Compares disks whose tables were read. Partitions of different size or place are not compared any further.
pub(super) fn compare(
    (one, first): (&mut Disk, &Table),
    (two, second): (&mut Disk, &Table),
    found: &mut Differences,
) -> io::Result<()> {
    tables(first, second, found);
    let mut before = 0;
    let mut partitions: Vec<&Partition> = first.partitions.iter().collect();
    partitions.sort_by_key(|partition| partition.first);
    for partition in partitions {
        let same = second.partitions.iter().any(|other| place(other) == place(partition));
        if !same {
            continue;
        }
        let range = place(partition);
        stretch((one, two), before..range.start, "between partitions", found)?;
        stretch((one, two), range.clone(), &format!("partition {} ({})", partition.number, partition.name), found)?;
        before = range.end;
    }
    let end = one.size().min(two.size());
    stretch((one, two), before..end, "behind the partitions", found)
}

fn place(partition: &Partition) -> Range<u64> {
    partition.first.saturating_mul(SECTOR)..(partition.first.saturating_add(partition.sectors)).saturating_mul(SECTOR)
}

fn stretch(
    (one, two): (&mut Disk, &mut Disk),
    range: Range<u64>,
    name: &str,
    found: &mut Differences,
) -> io::Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let (one, two) = (one.narrowed(range.clone()), two.narrowed(range));
    found.within = name.to_owned();
    let compared = match fat::compare((one.disk, two.disk), found) {
        Ok(true) => Ok(()),
        Ok(false) => blocks::compare(one.disk, two.disk, found),
        Err(error) => Err(error),
    };
    found.within.clear();
    compared
}

fn tables(one: &Table, two: &Table, found: &mut Differences) {
    let before = found.count();
    if one.disk != two.disk {
        found.add("partition table", format!("the disk is {}, then {}", one.disk, two.disk));
    }
    for partition in &one.partitions {
        let name = format!("partition {}", partition.number);
        let Some(other) = two.partitions.iter().find(|other| other.number == partition.number) else {
            found.add(&name, "is missing in the second");
            continue;
        };
        if partition.id != other.id {
            found.add(&name, format!("is {} then {}", partition.id, other.id));
        }
        if (partition.kind, &partition.name) != (other.kind, &other.name) || place(partition) != place(other) {
            found.add(&name, "has another location, type or name");
        }
    }
    if one.partitions.len() < two.partitions.len() {
        found.add("partition table", "the second disk has more partitions");
    }
    if found.count() > before {
        found.help(Rule::Identity);
    }
}
