//! One word of an argv in which the places that only a launch knows are still open.
//!
//! Spelled in locks and in `launch.json` as `${disk}`; a dollar sign of the recipe is spelled `$$`. A place that is a
//! whole word is filled in as it is; inside a longer word its commas are doubled, which is how QEMU's option strings
//! quote them (`docs/system/invocation`, QemuOpts).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plan::ArtifactKind;

/// What only a launch knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    Kernel,
    Initrd,
    /// The disk, or an overlay on it.
    Disk,
    /// A directory of this run and this machine: sockets, backing files.
    Run,
    /// A directory of this run that all its machines see: shared memory, network sockets.
    Shared,
    /// A directory of this run and this machine for the files that memory is made of.
    Memory,
    /// OVMF's code.
    FirmwareCode,
    /// OVMF's variables, writable.
    FirmwareVars,
    /// `kvm` or `tcg`.
    Accel,
    /// The file that takes down what the console says.
    Log,
}

impl Place {
    /// Every place.
    pub const ALL: [Place; 10] = [
        Place::Kernel,
        Place::Initrd,
        Place::Disk,
        Place::Run,
        Place::Shared,
        Place::Memory,
        Place::FirmwareCode,
        Place::FirmwareVars,
        Place::Accel,
        Place::Log,
    ];

    /// The place that an artifact fills, if it is for QEMU.
    pub fn of(artifact: ArtifactKind) -> Option<Place> {
        match artifact {
            ArtifactKind::Kernel => Some(Place::Kernel),
            ArtifactKind::Initrd => Some(Place::Initrd),
            ArtifactKind::Disk(_) => Some(Place::Disk),
            ArtifactKind::FirmwareCode => Some(Place::FirmwareCode),
            ArtifactKind::FirmwareVars => Some(Place::FirmwareVars),
            ArtifactKind::KernelConfig
            | ArtifactKind::Modules
            | ArtifactKind::Root
            | ArtifactKind::Vmlinux
            | ArtifactKind::SystemMap
            | ArtifactKind::GdbScripts => None,
        }
    }

    /// Whether a file of a build fills it.
    pub fn is_artifact(self) -> bool {
        use Place::{Disk, FirmwareCode, FirmwareVars, Initrd, Kernel};
        matches!(self, Kernel | Initrd | Disk | FirmwareCode | FirmwareVars)
    }

    /// Its name between `${` and `}`.
    pub fn name(self) -> &'static str {
        match self {
            Place::Kernel => "kernel",
            Place::Initrd => "initrd",
            Place::Disk => "disk",
            Place::Run => "run",
            Place::Shared => "shared",
            Place::Memory => "memory",
            Place::FirmwareCode => "firmware-code",
            Place::FirmwareVars => "firmware-vars",
            Place::Accel => "accel",
            Place::Log => "log",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Place(Place),
}

/// Characters and places.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(Vec<Piece>);

impl Text {
    /// Joins two texts.
    pub fn then(mut self, other: impl Into<Text>) -> Text {
        self.0.extend(other.into().0);
        self
    }

    /// The same with every literal comma doubled, for a value inside an option string.
    pub(super) fn escaped(self) -> Text {
        let escape = |piece| match piece {
            Piece::Literal(text) => Piece::Literal(text.replace(',', ",,")),
            place => place,
        };
        Text(self.0.into_iter().map(escape).collect())
    }

    /// The text, when it is the same wherever it is launched.
    pub fn plain(&self) -> Option<&str> {
        match &self.0[..] {
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The places in it.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.0.iter().filter_map(|piece| if let Piece::Place(place) = piece { Some(*place) } else { None })
    }

    /// Fills the places in.
    pub fn fill(&self, fill: &dyn Fn(Place) -> String) -> String {
        if let [Piece::Place(place)] = self.0[..] {
            return fill(place);
        }
        let one = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Place(place) => fill(*place).replace(',', ",,"),
        };
        self.0.iter().map(one).collect()
    }

    /// The word for a POSIX shell, each place being the shell variable that `variable` names.
    pub fn shell(&self, variable: &dyn Fn(Place) -> &'static str) -> String {
        let one = |piece: &Piece| match piece {
            Piece::Literal(text) => quote(text),
            Piece::Place(place) => format!("\"${}\"", variable(*place)),
        };
        if self.0.is_empty() { quote("") } else { self.0.iter().map(one).collect() }
    }

    /// Reads what [`fmt::Display`] writes; `None` for a place that does not exist.
    pub fn parse(text: &str) -> Option<Text> {
        let mut read = Text::default();
        let mut parts = text.split('$');
        read = read.then(parts.next()?);
        while let Some(part) = parts.next() {
            read = if part.is_empty() {
                read.then("$").then(parts.next()?)
            } else {
                let (name, rest) = part.strip_prefix('{')?.split_once('}')?;
                read.then(Place::ALL.into_iter().find(|place| place.name() == name)?).then(rest)
            };
        }
        Some(read.merged())
    }

    /// Joins neighbouring literals and drops empty ones, so that equal texts compare equal.
    fn merged(self) -> Text {
        let mut merged: Vec<Piece> = Vec::new();
        for piece in self.0 {
            match (merged.last_mut(), piece) {
                (_, Piece::Literal(text)) if text.is_empty() => {}
                (Some(Piece::Literal(before)), Piece::Literal(text)) => before.push_str(&text),
                (_, piece) => merged.push(piece),
            }
        }
        Text(merged)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(vec![Piece::Literal(text.to_owned())])
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text(vec![Piece::Literal(text)])
    }
}

impl From<Place> for Text {
    fn from(place: Place) -> Text {
        Text(vec![Piece::Place(place)])
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Literal(text) => f.write_str(&text.replace('$', "$$")),
            Piece::Place(place) => write!(f, "${{{}}}", place.name()),
        })
    }
}

/// One word for a POSIX shell.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,/:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let text = Text::from("a$b").then(Place::Disk).then("$${x},").merged();
        assert_eq!(text.to_string(), "a$$b${disk}$$$${x},");
        assert_eq!(Text::parse(&text.to_string()), Some(text));
        for wrong in ["$", "${", "${nothing}", "$x", "a$"] {
            assert_eq!(Text::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn commas_are_doubled_inside_a_word_only() {
        let fill = |_: Place| "/a,b".to_owned();
        assert_eq!(Text::from(Place::Disk).fill(&fill), "/a,b");
        assert_eq!(Text::from("file=").then(Place::Disk).fill(&fill), "file=/a,,b");
    }
}
