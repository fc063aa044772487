//! Directories of whoever runs kiln as sources of builds: those that the recipe names, and those that stand in for what it names.

use super::{Build, BuildSource};
use crate::base::Diagnostic;
use crate::recipe::directory::Modes;
use crate::recipe::local::{LocalOrigin, LocalPlace, LocalReader, LocalUse};
use crate::recipe::packages::source::DebianPart;
use crate::recipe::scope::Scope;

/// What a directory may stand in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Replaceable {
    /// Another directory.
    Directory,
    /// A file from the network.
    File,
    /// The files of a Debian source package.
    Package,
}

/// Which source of a build somebody means who names the build alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant<'a> {
    /// This one.
    One(&'a str),
    /// One of these, or none if there are none.
    Unclear(Vec<&'a str>),
}

impl BuildSource {
    /// What a directory would stand in for; `None` for what comes out of the recipe or out of other steps.
    pub fn replaceable(&self) -> Option<Replaceable> {
        match self {
            BuildSource::Directory(_) => Some(Replaceable::Directory),
            BuildSource::Local { stated, .. } => Some(*stated),
            BuildSource::Url(_) => Some(Replaceable::File),
            BuildSource::DebianSource(source) => Some(match source.part {
                DebianPart::Whole => Replaceable::Package,
                DebianPart::Tarball => Replaceable::File,
            }),
            BuildSource::Text(_) | BuildSource::File(_) | BuildSource::Output(_) | BuildSource::Kernel(_) => None,
        }
    }
}

impl Build {
    /// The source that is meant by the build's name alone: its only directory, or without directories the only thing that one
    /// can stand in for. What stands in for something changes nothing of this.
    pub fn meant(&self) -> Meant<'_> {
        let of = |wanted: &dyn Fn(Replaceable) -> bool| -> Vec<&str> {
            let sources = self.sources.iter();
            let sources = sources.filter(|(_, source)| source.value.replaceable().is_some_and(wanted));
            sources.map(|(name, _)| name.as_str()).collect()
        };
        let directories = of(&|stated| stated == Replaceable::Directory);
        let found = if directories.is_empty() { of(&|_| true) } else { directories };
        match found[..] {
            [one] => Meant::One(one),
            _ => Meant::Unclear(found),
        }
    }

    /// Its directories that no lock pins.
    pub(in crate::recipe) fn local(&self) -> impl Iterator<Item = LocalUse<'_>> {
        self.sources.iter().filter_map(|(name, source)| match &source.value {
            BuildSource::Local { place, origin, .. } => {
                let reader = LocalReader::Build { build: self.name.clone(), source: name.clone() };
                Some(LocalUse { reader, place, origin: *origin, span: source.span })
            }
            _ => None,
        })
    }

    /// What may be the matter if its script fails: something else than the recipe says is where it looks.
    pub fn doubt(&self) -> Option<String> {
        self.sources.iter().find_map(|(name, source)| {
            let BuildSource::Local { stated, .. } = &source.value else { return None };
            let instead = match stated {
                Replaceable::Directory => return None,
                Replaceable::File => "a file from the network",
                Replaceable::Package => "the files of a source package",
            };
            Some(format!("because of `--source`, `/kiln/in/{name}` is a tar archive of a directory and not {instead}"))
        })
    }

    /// Puts the directories that the command line names in the place of what the recipe says. A name that means nothing here is
    /// told by whoever knows the command line.
    pub(super) fn replace(&mut self, scope: &Scope) {
        let given = &scope.local_sources;
        let is_kernel = scope.kernels.get(&self.name).is_some_and(|kernel| kernel.is_compiled());
        let alone = given.get(&self.name).filter(|_| !is_kernel);
        let meant = match self.meant() {
            Meant::One(name) => alone.map(|path| (name.to_owned(), path)),
            Meant::Unclear(_) => None,
        };
        let named = given.iter().filter_map(|(name, path)| match LocalReader::named(name) {
            LocalReader::Build { build, source } if build == self.name => Some((source, path)),
            _ => None,
        });
        for (name, path) in named.chain(meant).collect::<Vec<_>>() {
            let Some(source) = self.sources.get_mut(&name) else { continue };
            let Some(stated) = source.value.replaceable() else { continue };
            if has_exact_modes(&source.value, scope) {
                let message = format!("source `{name}` keeps every permission bit, which `--source` does not");
                let wrong = Diagnostic::new(source.span, message).label("`modes exact`");
                scope.report.push(wrong.hint("remove `modes exact`: the executable bit is kept without it"));
            }
            let origin = match source.value {
                BuildSource::Local { origin, .. } => origin,
                _ => LocalOrigin::CommandLine,
            };
            source.value = BuildSource::Local { place: LocalPlace::At(path.clone()), origin, stated };
        }
    }
}

fn has_exact_modes(source: &BuildSource, scope: &Scope) -> bool {
    let BuildSource::Directory(key) = source else { return false };
    let directory = scope.files.get(key).and_then(|file| file.as_directory());
    directory.is_some_and(|directory| directory.modes == Modes::Exact)
}
