//! Boils a stream of `Packages` text down to an [`Index`].

use std::collections::BTreeMap;
use std::io::BufRead;

use super::{ALLOWED, ESSENTIAL, Index, KEYS, MAGIC, PROTECTED, REQUIRED};
use crate::base::Digest;
use crate::debian::control::{self, ControlError, Stanzas};
use crate::debian::{relation, version};

/// Offsets are 32 bits; a quarter of that is five times today's largest Debian index.
const MAX_TEXT: usize = 200 << 20;
/// More unusable stanzas than this are not listed.
const MAX_UNUSABLE: usize = 10_000;

/// An index that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Not a control file.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// An essential package that cannot be used.
    #[error("line {line}: essential package {package}: {reason}")]
    Essential { line: u64, package: String, reason: String },
    /// More text than an index may have.
    #[error("more than {MAX_TEXT} bytes of relations")]
    TooLarge,
}

#[derive(Default)]
struct Entry {
    mention: u32,
    stanzas: Vec<u32>,
    providers: Vec<u32>,
}

/// Collects stanzas.
#[derive(Default)]
pub struct IndexBuilder {
    text: Vec<u8>,
    names: BTreeMap<Box<str>, Entry>,
    stanzas: Vec<[u32; 3]>,
    unusable: Vec<[u32; 2]>,
}

/// The fields of one stanza, by position in [`KEYS`], and the three that become flags.
struct Raw<'a> {
    values: [Option<&'a str>; KEYS.len()],
    flags: u32,
    rest: [&'a str; 2],
}

impl IndexBuilder {
    /// Adds every stanza of a stream whose architecture is `architecture` or `all`. One that kiln cannot use is left out and
    /// listed in [`Index::unusable`]: among the thousands of an archive there are odd ones that nobody asks for.
    pub fn read(&mut self, input: impl BufRead, architecture: &str) -> Result<(), IndexError> {
        let mut stanzas = Stanzas::new(input);
        loop {
            let Some(stanza) = stanzas.advance_lossy()? else { return Ok(()) };
            let raw = collect(stanza);
            if raw.values[2].is_some_and(|found| found != architecture && found != "all") {
                continue;
            }
            match check(&raw) {
                Ok(()) => self.add(&raw)?,
                // Without it a base would be another one, and nobody would have asked for it by name.
                Err(reason) if raw.flags & ESSENTIAL != 0 => {
                    let package = raw.values[0].unwrap_or("(no Package field)").chars().take(100).collect();
                    return Err(IndexError::Essential { line: stanzas.start_line(), package, reason });
                }
                Err(reason) => {
                    let package: String = raw.values[0].unwrap_or("(no Package field)").chars().take(100).collect();
                    let version = raw.values[1].unwrap_or("").chars().take(100).collect::<String>();
                    let reason = format!("line {}: {reason}", stanzas.start_line());
                    self.leave_out([&package, &version, &reason])?;
                }
            }
        }
    }

    /// Package, version, and what is wrong.
    fn leave_out(&mut self, [package, version, reason]: [&str; 3]) -> Result<(), IndexError> {
        if self.unusable.len() >= MAX_UNUSABLE {
            return Ok(());
        }
        let reason: String = reason.chars().take(300).collect();
        let start = self.text.len();
        let text = [package, version, &reason].map(|part| part.replace('\n', " ")).join("\n");
        self.text.extend_from_slice(text.as_bytes());
        self.fits()?;
        self.unusable.push([start as u32, text.len() as u32]);
        Ok(())
    }

    fn fits(&self) -> Result<(), IndexError> {
        if self.text.len() > MAX_TEXT { Err(IndexError::TooLarge) } else { Ok(()) }
    }

    fn add(&mut self, raw: &Raw<'_>) -> Result<(), IndexError> {
        let number = self.stanzas.len() as u32;
        self.entry(raw.values[0].unwrap_or("")).stanzas.push(number);
        // apt numbers packages in the order in which it meets their names: relations in this order, Provides last.
        let [replaces, enhances] = raw.rest;
        for field in [6, 7, 8, 9, 10, 11].map(|i| raw.values[i].unwrap_or("")).into_iter().chain([replaces, enhances]) {
            for name in mentioned(field) {
                self.entry(name);
            }
        }
        for name in mentioned(raw.values[12].unwrap_or("")) {
            let providers = &mut self.entry(name).providers;
            if providers.last() != Some(&number) {
                providers.push(number);
            }
        }
        let start = self.text.len();
        for ((_, key), value) in KEYS.iter().zip(raw.values) {
            if let Some(value) = value {
                self.text.push(*key);
                self.text.extend(value.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
                self.text.push(b'\n');
            }
        }
        self.fits()?;
        self.stanzas.push([start as u32, (self.text.len() - start) as u32, raw.flags]);
        Ok(())
    }

    fn entry(&mut self, name: &str) -> &mut Entry {
        if !self.names.contains_key(name) {
            let entry = Entry { mention: self.names.len() as u32, ..Entry::default() };
            self.names.insert(name.into(), entry);
        }
        self.names.get_mut(name).expect("it was inserted above")
    }

    pub fn finish(mut self) -> Index {
        let (mut names, mut stanzas, mut providers) = (Vec::new(), Vec::new(), Vec::new());
        for (name, entry) in &self.names {
            let at = self.text.len() as u32;
            self.text.extend_from_slice(name.as_bytes());
            let first = (stanzas.len() as u32, providers.len() as u32);
            stanzas.extend(entry.stanzas.iter().copied());
            providers.extend(entry.providers.iter().copied());
            let counts = (entry.stanzas.len() as u32, entry.providers.len() as u32);
            names.push([at, name.len() as u32, entry.mention, first.0, counts.0, first.1, counts.1]);
        }
        // Stanzas move into name order; providers follow them to their new numbers.
        let mut moved = vec![0; stanzas.len()];
        for (new, old) in stanzas.iter().enumerate() {
            moved[*old as usize] = new as u32;
        }
        let counts = [names.len(), stanzas.len(), providers.len(), self.unusable.len(), self.text.len()];
        let counts = counts.map(|count| count as u32);
        let mut head: Vec<u8> = Vec::with_capacity(names.len() * 28 + stanzas.len() * 12 + providers.len() * 4 + 64);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&[0; 32]);
        let mut words = |words: &[u32]| words.iter().for_each(|word| head.extend_from_slice(&word.to_le_bytes()));
        words(&counts);
        names.iter().for_each(|entry| words(entry));
        stanzas.iter().for_each(|old| words(&self.stanzas[*old as usize]));
        providers.iter().for_each(|old| words(&[moved[*old as usize]]));
        self.unusable.iter().for_each(|entry| words(entry));
        // What the text was made with is gone before it moves, and of the text itself there is never a second copy: it is most of
        // what the process holds.
        drop((self.names, self.stanzas, moved));
        let mut body = self.text;
        body.splice(0..0, head);
        let digest = Digest::of(&body[40..]);
        body[8..40].copy_from_slice(digest.as_bytes());
        let [names, stanzas, providers, unusable, _] = counts.map(|count| count as usize);
        Index { bytes: body, names, stanzas, providers, unusable }
    }
}

fn collect(stanza: &str) -> Raw<'_> {
    let mut raw = Raw { values: [None; KEYS.len()], flags: 5, rest: ["", ""] };
    for (name, value) in control::fields(stanza) {
        if let Some((i, (key, _))) = KEYS.iter().enumerate().find(|(_, (key, _))| key.eq_ignore_ascii_case(name)) {
            // Flat repositories write `./hello.deb`.
            raw.values[i] = Some(if *key == "Filename" { value.trim_start_matches("./") } else { value });
            continue;
        }
        match (name, value) {
            ("Priority", value) => raw.flags = raw.flags & !0b111 | priority(value),
            ("Essential", "yes") => raw.flags |= ESSENTIAL,
            ("Protected" | "Important", "yes") => raw.flags |= PROTECTED,
            ("Multi-Arch", "allowed") => raw.flags |= ALLOWED,
            ("Replaces", value) => raw.rest[0] = value,
            ("Enhances", value) => raw.rest[1] = value,
            _ => {}
        }
    }
    raw
}

fn priority(word: &str) -> u32 {
    match word {
        "required" => REQUIRED,
        "important" => 2,
        "standard" => 3,
        "optional" => 4,
        _ => 5,
    }
}

/// The names in a relation field, whether or not the rest of it is well-formed.
fn mentioned(field: &str) -> impl Iterator<Item = &str> {
    field
        .split([',', '|'])
        .map(|part| part.trim_start().split([' ', '\t', '\n', '(', ':', '[']).next().unwrap_or(""))
        .filter(|name| !name.is_empty())
}

/// What the rest of kiln relies on: a name, a version, a path that stays inside the repository, a size, a digest.
fn check(raw: &Raw<'_>) -> Result<(), String> {
    let get = |i: usize| raw.values[i].ok_or_else(|| format!("no {} field", KEYS[i].0));
    let (name, version, architecture, path, size, digest) = (get(0)?, get(1)?, get(2)?, get(3)?, get(4)?, get(5)?);
    if !relation::is_package_name(name) || !relation::is_package_name(architecture) {
        return Err("invalid package name or architecture".to_owned());
    }
    if !version::is_valid(version) {
        return Err(format!("invalid version: {version:?}"));
    }
    if !is_inside(path) {
        return Err(format!("path leads out of the repository: {path:?}"));
    }
    size.parse::<u64>().map_err(|_| format!("invalid size: {size:?}"))?;
    digest.parse::<Digest>().map_err(|error| format!("SHA256: {error}"))?;
    // Whoever reads the index later relies on relations that parse.
    // `Suggests` nobody reads.
    for ((field, _), value) in
        KEYS.iter().zip(raw.values).skip(6).take(7).filter(|((field, _), _)| *field != "Suggests")
    {
        relation::parse(value.unwrap_or("")).map_err(|error| format!("{field}: {error}"))?;
    }
    Ok(())
}

/// Whether a path is relative and plain: no `..`, no empty or hidden part, no character that a URL would change.
pub(crate) fn is_inside(path: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"+-._~:/@=,".contains(&c);
    path.len() <= 1024
        && path.bytes().all(allowed)
        && path.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(name: &str, more: &str) -> String {
        let digest = Digest::of(name.as_bytes());
        format!(
            "Package: {name}\nVersion: 1\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: 1\nSHA256: {digest}\n{more}\n"
        )
    }

    fn index(text: &str) -> Result<Index, IndexError> {
        let mut builder = IndexBuilder::default();
        builder.read(text.as_bytes(), "amd64")?;
        Ok(builder.finish())
    }

    #[test]
    fn stanzas_are_found_by_name_and_by_what_they_provide() {
        let text =
            stanza("zsh", "Provides: shell (= 5),\n ksh\nEssential: yes\n") + &stanza("bash", "Depends: zsh | dash\n");
        let index = index(&text).unwrap();
        let zsh = index.packages(index.find("zsh").unwrap()).next().unwrap();
        assert!(zsh.essential() && zsh.size() == 1 && zsh.path() == "pool/zsh.deb");
        assert_eq!(zsh.relation("Provides"), "shell (= 5),  ksh");
        let shells = index.providers(index.find("ksh").unwrap());
        assert_eq!(shells.map(|stanza| stanza.name()).collect::<Vec<_>>(), ["zsh"]);
        assert_eq!(index.names().collect::<Vec<_>>(), ["bash", "zsh"]);
        assert!(index.find("dash").unwrap().mention > index.find("bash").unwrap().mention);
        assert!(index.find("fish").is_none());
    }

    #[test]
    fn what_is_kept_is_taken_back_unless_a_bit_changed() {
        let bytes = index(&stanza("zsh", "Provides: shell\n")).unwrap().bytes().to_vec();
        assert!(Index::from_bytes(bytes.clone()).is_some());
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert!(Index::from_bytes(changed).is_none(), "byte {i}");
        }
    }

    fn unusable(text: &str) -> Vec<String> {
        index(text).unwrap().unusable().map(|one| format!("{}: {}", one.package, one.reason)).collect()
    }

    #[test]
    fn a_bad_stanza_is_left_out_and_named_with_its_line() {
        let bad = stanza("b", "").replace("pool/b", "../b");
        let text = stanza("a", "") + &bad + "\n" + &stanza("c", "");
        assert_eq!(unusable(&text), ["b: line 8: path leads out of the repository: \"../b.deb\""]);
        let index_of_all = index(&text).unwrap();
        assert_eq!(index_of_all.names().collect::<Vec<_>>(), ["a", "c"]);
        let kept = Index::from_bytes(index_of_all.bytes().to_vec()).unwrap();
        assert_eq!(kept.unusable().count(), 1);
        for (from, to) in [
            ("Version: 1", "Version: é"),
            ("Version: 1", "Version: 1.0_beta2"),
            ("Size: 1", "Size: -1"),
            ("SHA256: ", "SHA256: x"),
            ("Package: a", "Package: A b"),
            ("Package: a\n", ""),
        ] {
            assert_eq!(unusable(&stanza("a", "").replace(from, to)).len(), 1, "{to}");
        }
        assert_eq!(unusable(&stanza("a", "Depends: b (\n")).len(), 1);
    }

    #[test]
    fn what_other_archives_write_is_read() {
        let text = stanza("a", "Description: caf@\n").replace("pool/a.deb", "./pool/a.deb");
        // Latin-1, as old archives have it.
        let text: Vec<u8> = text.bytes().map(|byte| if byte == b'@' { 0xe9 } else { byte }).collect();
        let mut builder = IndexBuilder::default();
        builder.read(&*text, "amd64").unwrap();
        let index = builder.finish();
        assert_eq!(index.iter().next().unwrap().path(), "pool/a.deb");
        assert_eq!(index.unusable().count(), 0);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}", field in "(Depends|Package|Version|Filename|Provides)") {
            let _ = index(&text);
            let _ = index(&stanza("a", &format!("{field}: {text}\n")));
        }

        #[test]
        fn no_bytes_make_the_cache_panic(bytes: Vec<u8>) {
            let mut sealed = MAGIC.to_vec();
            sealed.extend_from_slice(Digest::of(&bytes).as_bytes());
            sealed.extend_from_slice(&bytes);
            if let Some(index) = Index::from_bytes(sealed) {
                index.iter().for_each(|stanza| _ = stanza.sha256());
            }
        }
    }
}
