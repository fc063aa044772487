//! `control.tar`: the stanza, the maintainer scripts and dpkg's lists, in memory.

use std::collections::BTreeMap;
use std::io::Read;

use super::data::relative;
use super::tape::Tape;
use super::{CONTROL_LIMIT, DebError};

const MEMBER: &str = "control.tar";

/// Everything that dpkg keeps in its database about a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The fields of the file `control`.
    pub stanza: Stanza,
    /// The other files by name: `postinst`, `conffiles`, `md5sums`, `triggers`, `templates`, ...
    pub files: BTreeMap<String, ControlFile>,
}

/// One file of `control.tar`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlFile {
    /// Whether it may be run.
    pub executable: bool,
    pub bytes: Vec<u8>,
}

/// The fields of a control stanza in their order, values as they stand (continuation lines included).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    pub fields: Vec<(String, String)>,
}

impl Stanza {
    /// The value of a field, whatever the case of its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Result<Stanza, DebError> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.lines().take_while(|line| !line.trim().is_empty() || line.starts_with(' ')) {
            if line.starts_with([' ', '\t']) {
                let last = fields
                    .last_mut()
                    .ok_or_else(|| DebError::Control("it starts with a continuation line".to_owned()))?;
                last.1.push('\n');
                last.1.push_str(line);
                continue;
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| DebError::Control(format!("line `{line}` is not a field")))?;
            if fields.iter().any(|(key, _)| key.eq_ignore_ascii_case(name)) {
                return Err(DebError::Control(format!("duplicate field `{name}`")));
            }
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
        let stanza = Stanza { fields };
        for name in ["Package", "Version", "Architecture"] {
            if stanza.get(name).is_none_or(str::is_empty) {
                return Err(DebError::Control(format!("missing field `{name}`")));
            }
        }
        Ok(stanza)
    }
}

impl Control {
    /// The name of the package.
    pub fn package(&self) -> &str {
        self.stanza.get("Package").expect("parsing refuses a stanza without it")
    }

    pub fn version(&self) -> &str {
        self.stanza.get("Version").expect("parsing refuses a stanza without it")
    }

    pub fn architecture(&self) -> &str {
        self.stanza.get("Architecture").expect("parsing refuses a stanza without it")
    }

    /// A file's lines, without empty ones and comments; nothing when there is no such file.
    pub fn lines(&self, file: &str) -> Vec<String> {
        let bytes = self.files.get(file).map(|file| file.bytes.as_slice()).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes);
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }
}

/// Reads the whole archive.
pub(super) fn read(reader: impl Read) -> Result<Control, DebError> {
    let mut tape = Tape::new(reader, MEMBER, CONTROL_LIMIT);
    let mut files = BTreeMap::new();
    while let Some(raw) = tape.next()? {
        let refuse =
            |reason| DebError::Entry { member: MEMBER, path: String::from_utf8_lossy(&raw.path).into_owned(), reason };
        let path = relative(&raw.path).map_err(refuse)?;
        match raw.header.entry_type() {
            tar::EntryType::Directory if path.is_empty() => continue,
            tar::EntryType::Regular => {}
            _ => return Err(refuse("only regular files are allowed here")),
        }
        if path.is_empty() || !path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte)) {
            return Err(refuse("its name is not valid for a control file"));
        }
        let mut bytes = Vec::new();
        tape.read_to_end(&mut bytes).map_err(|source| DebError::Io { member: MEMBER, source })?;
        let executable = raw.header.mode().unwrap_or(0) & 0o100 != 0;
        if files.insert(path, ControlFile { executable, bytes }).is_some() {
            return Err(refuse("it stands twice"));
        }
    }
    let control = files.remove("control").ok_or_else(|| DebError::Control("it is missing".to_owned()))?;
    let text = String::from_utf8(control.bytes).map_err(|_| DebError::Control("it is not UTF-8".to_owned()))?;
    Ok(Control { stanza: Stanza::parse(&text)?, files })
}
