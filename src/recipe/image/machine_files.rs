//! Fields of an image that write a file which the recipe may bring as well: only one of the two can be in the image.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ImageFile;
use crate::base::{Diagnostic, Span};
use crate::recipe::reader::Reader;

/// A field that describes the machine to its programs by files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MachineField {
    /// `hostname`
    Hostname,
    /// `locale`
    Locale,
    /// `timezone`
    Timezone,
    /// `dhcp`
    Dhcp,
}

impl MachineField {
    /// The files that programs read for it.
    pub fn files(self) -> &'static [&'static str] {
        match self {
            MachineField::Hostname => &["/etc/hostname"],
            MachineField::Locale => &["/etc/default/locale", "/etc/locale.conf"],
            MachineField::Timezone => &["/etc/localtime", "/etc/timezone"],
            MachineField::Dhcp => &["/etc/systemd/network/80-dhcp.network"],
        }
    }
}

impl fmt::Display for MachineField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            MachineField::Hostname => "hostname",
            MachineField::Locale => "locale",
            MachineField::Timezone => "timezone",
            MachineField::Dhcp => "dhcp",
        })
    }
}

/// The fields that a recipe states, in the order of [`MachineField`], by where they stand.
pub(super) fn stated(spans: [Option<Span>; 4]) -> BTreeMap<MachineField, Span> {
    let fields = [MachineField::Hostname, MachineField::Locale, MachineField::Timezone, MachineField::Dhcp];
    fields.into_iter().zip(spans).filter_map(|(field, span)| Some((field, span?))).collect()
}

/// Rejects files beside a field that is stated. Without the field, the file takes the place of what kiln would write. What a
/// tree of the recipe brings is known when the image is built.
pub(super) fn once(stated: &BTreeMap<MachineField, Span>, files: &[ImageFile], reader: &Reader<'_>) {
    for (field, span) in stated {
        for file in files.iter().filter(|file| field.files().contains(&file.path.as_str())) {
            let wrong = Diagnostic::new(*span, format!("`{field}` and `{}` say the same thing twice", file.path));
            let wrong = wrong.label("this field would be without effect").related(file.span, "this replaces its file");
            reader.error(wrong.hint(format!("leave out `{}`, or the field", file.path)));
        }
    }
}
