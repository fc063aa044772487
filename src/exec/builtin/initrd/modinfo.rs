//! What a kernel module says of itself: the `.modinfo` section of its ELF file (`include/linux/moduleinfo.h`).

use std::io::Read;

/// Most bytes of a module once decompressed; the largest of Debian's (graphics drivers) have about 30 MiB.
const LIMIT: u64 = 128 << 20;
/// Most memory for undoing xz.
const XZ_MEMORY: u64 = 128 << 20;

/// What matters for loading a module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ModInfo {
    /// Modules whose symbols it uses.
    pub(super) depends: Vec<String>,
    /// Modules or aliases to try before it.
    pub(super) before: Vec<String>,
    /// Modules or aliases to try after it.
    pub(super) after: Vec<String>,
    /// Other names by which the kernel asks for it.
    pub(super) aliases: Vec<String>,
}

/// A module's bytes without compression, by its file name's ending.
pub(super) fn decompress(path: &str, mut input: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let result = match path.rsplit('.').next() {
        Some("xz") => xz2::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)
            .map_err(std::io::Error::other)
            .and_then(|stream| xz2::read::XzDecoder::new_stream(input, stream).take(LIMIT + 1).read_to_end(&mut bytes)),
        Some("zst") => zstd::Decoder::new(input).and_then(|decoder| decoder.take(LIMIT + 1).read_to_end(&mut bytes)),
        Some("gz") => flate2::read::GzDecoder::new(input).take(LIMIT + 1).read_to_end(&mut bytes),
        _ => input.by_ref().take(LIMIT + 1).read_to_end(&mut bytes),
    };
    match result {
        Ok(length) if length as u64 > LIMIT => Err(format!("{path} has more than 128 MiB")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("{path}: {error}")),
    }
}

/// The fields of a module, or `None` when this is no 64-bit little-endian ELF file with such a section.
pub(super) fn parse(elf: &[u8]) -> Option<ModInfo> {
    let mut info = ModInfo::default();
    for field in section(elf, b".modinfo")?.split(|byte| *byte == 0) {
        let Ok(field) = std::str::from_utf8(field) else { continue };
        let Some((key, value)) = field.split_once('=') else { continue };
        record(&mut info, key, value);
    }
    Some(info)
}

/// `modules.builtin.modinfo`: the same fields of what is built in, each led by `NAME.`.
pub(super) fn parse_builtin(bytes: &[u8]) -> Vec<(String, ModInfo)> {
    let mut found: std::collections::BTreeMap<String, ModInfo> = std::collections::BTreeMap::new();
    for field in bytes.split(|byte| *byte == 0) {
        let Ok(field) = std::str::from_utf8(field) else { continue };
        let Some((name, (key, value))) =
            field.split_once('.').and_then(|(name, rest)| Some((name, rest.split_once('=')?)))
        else {
            continue;
        };
        record(found.entry(normal(name)).or_default(), key, value);
    }
    found.into_iter().collect()
}

/// A name as the kernel compares it: `-` and `_` are one.
pub(super) fn normal(name: &str) -> String {
    name.replace('-', "_")
}

fn record(info: &mut ModInfo, key: &str, value: &str) {
    match key {
        "depends" => info.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(normal)),
        "alias" => info.aliases.push(normal(value)),
        "softdep" => {
            let mut list = None;
            for word in value.split_ascii_whitespace() {
                match word {
                    "pre:" => list = Some(false),
                    "post:" => list = Some(true),
                    name => match list {
                        Some(false) => info.before.push(normal(name)),
                        Some(true) => info.after.push(normal(name)),
                        None => {}
                    },
                }
            }
        }
        _ => {}
    }
}

/// A section of a 64-bit little-endian ELF file by name.
fn section<'a>(elf: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = long(elf, 0x28)?;
    let (size, count, names) = (short(elf, 0x3a)?, short(elf, 0x3c)?, short(elf, 0x3e)?);
    let header = |index: u64| table.checked_add(index.checked_mul(size)?).and_then(|at| usize::try_from(at).ok());
    let body = |at: usize| {
        let (start, length) =
            (usize::try_from(long(elf, at + 0x18)?).ok()?, usize::try_from(long(elf, at + 0x20)?).ok()?);
        elf.get(start..start.checked_add(length)?)
    };
    let strings = body(header(names)?)?;
    (0..count).find_map(|index| {
        let at = header(index)?;
        let name = usize::try_from(word(elf, at)?).ok()?;
        let found = strings.get(name..)?.split(|byte| *byte == 0).next()?;
        if found == wanted { body(at) } else { None }
    })
}

fn bytes<const N: usize>(elf: &[u8], at: usize) -> Option<[u8; N]> {
    elf.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn short(elf: &[u8], at: usize) -> Option<u64> {
    bytes(elf, at).map(|bytes| u16::from_le_bytes(bytes).into())
}

fn word(elf: &[u8], at: usize) -> Option<u64> {
    bytes(elf, at).map(|bytes| u32::from_le_bytes(bytes).into())
}

fn long(elf: &[u8], at: usize) -> Option<u64> {
    bytes(elf, at).map(u64::from_le_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A minimal ELF file: header, `.modinfo`, names, three section headers.
    pub(in super::super) fn module(fields: &[&str]) -> Vec<u8> {
        let names = b"\0.modinfo\0.names\0";
        let info: Vec<u8> = fields.iter().flat_map(|field| [field.as_bytes(), b"\0"].concat()).collect();
        let mut elf = b"\x7fELF\x02\x01".to_vec();
        elf.resize(64, 0);
        let (at_info, at_names) = (64, 64 + info.len());
        elf.extend_from_slice(&info);
        elf.extend_from_slice(names);
        let table = elf.len() as u64;
        for (name, start, length) in [(0_u32, 0, 0), (1, at_info, info.len()), (10, at_names, names.len())] {
            let mut header = name.to_le_bytes().to_vec();
            header.resize(0x18, 0);
            header.extend_from_slice(&(start as u64).to_le_bytes());
            header.extend_from_slice(&(length as u64).to_le_bytes());
            header.resize(64, 0);
            elf.extend_from_slice(&header);
        }
        elf[0x28..0x30].copy_from_slice(&table.to_le_bytes());
        for (at, value) in [(0x3a, 64_u16), (0x3c, 3), (0x3e, 2)] {
            elf[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        elf
    }

    #[test]
    fn fields_are_found() {
        let elf = module(&["license=GPL", "depends=jbd2,mbcache", "softdep=pre: crc32c post: x y", "alias=fs-ext3"]);
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let expected = ModInfo {
            depends: names(&["jbd2", "mbcache"]),
            before: names(&["crc32c"]),
            after: names(&["x", "y"]),
            aliases: names(&["fs_ext3"]),
        };
        assert_eq!(parse(&elf), Some(expected));
        assert_eq!(parse_builtin(b"crc32c_generic.alias=crc32c\0loop.license=GPL\0bad\0").len(), 2);
    }

    proptest! {
        #[test]
        fn damaged_modules_never_panic(at in 0_usize..400, byte: u8, cut in 0_usize..400) {
            let mut elf = module(&["depends=a,b", "alias=c"]);
            let length = elf.len();
            elf[at % length] = byte;
            parse(&elf);
            parse(&elf[..cut % length]);
        }
    }
}
