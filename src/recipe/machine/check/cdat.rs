//! Reads `cdat = file "..."` of an expander or a switch.

use crate::base::{Diagnostic, Spanned};
use crate::format::cdat::{CdatError, CdatTable, MAX_BYTES};
use crate::recipe::kinds::FileKey;
use crate::recipe::machine::cxl::Cdat;
use crate::recipe::reader::Reader;
use crate::recipe::scope::Scope;

/// Of what a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CdatOwner {
    /// A memory device.
    Expander,
    /// A switch.
    Switch,
}

/// The table of an expander or a switch; QEMU makes one by itself where there is none.
pub(super) fn cdat(reader: &mut Reader<'_>, owner: CdatOwner, scope: &Scope) -> Option<Spanned<Cdat>> {
    let Spanned { value: FileKey(key), span } = reader.optional::<FileKey>("cdat")?;
    // A file that could not be read was reported where it was read.
    let file = scope.files.get(&key)?;
    let bytes = file.bytes().filter(|bytes| bytes.len() as u64 <= MAX_BYTES);
    let read = bytes.ok_or(CdatError::Large(file.size)).and_then(|bytes| Ok((bytes, CdatTable::parse(bytes)?)));
    let (bytes, table) = match read {
        Ok(read) => read,
        Err(error) => {
            let mistake = Diagnostic::new(span, format!("`{key}` is not a CDAT: {error}"));
            let mistake = mistake.label("not a Coherent Device Attribute Table");
            let mistake = mistake.note("CDAT 1.04, 2: a header of 16 bytes, then entries; all bytes sum up to 0");
            reader.error(mistake.hint("name a table as a device has it, or remove `cdat`: QEMU then writes one"));
            return None;
        }
    };
    if table.of_switch != (owner == CdatOwner::Switch) {
        let (has, of) = match table.of_switch {
            true => ("entries about the ports of a switch (SSLBIS)", "an expander"),
            false => ("no entries about the ports of a switch (SSLBIS)", "a switch"),
        };
        let mistake = Diagnostic::new(span, format!("`{key}` has {has}, so it is not the CDAT of {of}"));
        let mistake = mistake.label(format!("not for {of}"));
        reader.error(mistake.hint(format!("name the table of {of}, or remove `cdat`: QEMU then writes one")));
        return None;
    }
    Some(Spanned::new(Cdat { bytes: bytes.to_owned(), table }, span))
}
