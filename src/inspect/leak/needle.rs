//! One thing to look for, and where it must stand to count.

/// What a needle is a trace of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The path of the store, and so of everything below it: scratch directories, sandboxes' roots.
    Store,
    /// The home directory of whoever builds.
    Home,
    /// `user@host`
    Account,
    /// The host's name.
    Host,
    /// `uname -r`
    Kernel,
    /// Today in one of its spellings.
    Date,
    /// The day of the week, the month and the day, with this year soon after: what `date` and `ctime` print.
    Clock,
    /// A UUID that neither lock nor recipe nor input knows, in a file that the build made.
    Uuid,
}

/// How far behind a [`Kind::Clock`] its year is looked for.
pub(super) const YEAR: usize = 24;

impl Kind {
    /// In words.
    pub fn what(self) -> &'static str {
        match self {
            Kind::Store => "the store's path",
            Kind::Home => "the home directory of the user who builds",
            Kind::Account => "user and host",
            Kind::Host => "the host's name",
            Kind::Kernel => "the release of the host's kernel",
            Kind::Date | Kind::Clock => "today's date",
            Kind::Uuid => "a UUID that nothing in the lock explains",
        }
    }

    /// What would remove it.
    pub fn rule(self) -> &'static str {
        match self {
            Kind::Store => "whatever writes it must be given paths inside its sandbox",
            Kind::Home => "steps see HOME=/nonexistent; whatever writes it was given a path from outside",
            Kind::Account | Kind::Host => {
                "steps see the host name `kiln`; whatever writes it got it from outside its sandbox"
            }
            Kind::Kernel => "what asks `uname -r` must be told the image's kernel",
            Kind::Date | Kind::Clock => "what writes it must honour SOURCE_DATE_EPOCH, or the file must be removed",
            Kind::Uuid => {
                "what is born at random must be born at first boot: leave the file out, or give it as a `file` of the recipe"
            }
        }
    }
}

/// Something to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    /// Its bytes.
    pub text: Vec<u8>,
    /// What it means.
    pub kind: Kind,
    /// The year that must follow a [`Kind::Clock`].
    pub(super) year: String,
}

impl Needle {
    /// Whether a match counts, given the bytes around it: it must not be part of something longer.
    pub(super) fn counts(&self, before: &[u8], after: &[u8]) -> bool {
        let (last, next) = (before.last().copied(), after.first().copied());
        let word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let joined = |byte: Option<u8>| word(byte) || matches!(byte, Some(b'-' | b'_'));
        match self.kind {
            Kind::Store | Kind::Home => !joined(next) && !joined(last) && last != Some(b'.'),
            Kind::Account | Kind::Host | Kind::Kernel => !joined(last) && !joined(next),
            // `20261123T1530`, but not a digit of a longer number or of a digest.
            Kind::Date => !word(last) && (!word(next) || next == Some(b'T')),
            // Found by its shape, not by its text.
            Kind::Uuid => true,
            Kind::Clock => !word(last) && !word(next) && holds(after, self.year.as_bytes()),
        }
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes[..bytes.len().min(YEAR)].windows(text.len()).any(|window| window == text)
}
