//! One thing to look for, and where it must stand to count.

/// What a needle is a trace of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceKind {
    /// The path of the store, and so of everything below it: scratch directories, sandboxes' roots.
    Store,
    /// The home directory of whoever builds.
    Home,
    /// `user@host`
    Account,
    Host,
    /// The host name under which packages are configured that several images share.
    Placeholder,
    /// `uname -r`
    Kernel,
    /// Today in one of its spellings.
    Date,
    /// The day of the week, the month and the day, with this year soon after: what `date` and `ctime` print.
    Clock,
    /// A UUID that neither lock nor recipe nor input knows, in a file that the build made.
    Uuid,
}

/// How far behind a [`TraceKind::Clock`] its year is looked for.
pub(super) const YEAR: usize = 24;

impl TraceKind {
    /// In words.
    pub fn what(self) -> &'static str {
        match self {
            TraceKind::Store => "the store's path",
            TraceKind::Home => "the home directory of the user who builds",
            TraceKind::Account => "user and host",
            TraceKind::Host => "the host's name",
            TraceKind::Placeholder => "the host name that packages are configured under",
            TraceKind::Kernel => "the release of the host's kernel",
            TraceKind::Date | TraceKind::Clock => "today's date",
            TraceKind::Uuid => "a UUID that does not come from the lock or any input",
        }
    }

    /// What would remove it.
    pub fn rule(self) -> &'static str {
        match self {
            TraceKind::Store => "the program that writes it must be given paths inside its sandbox",
            TraceKind::Home => "steps see HOME=/nonexistent; the program that writes it was given a path of the host",
            TraceKind::Account | TraceKind::Host => {
                "steps see the host name `kiln`; the program that writes it got the host's name from outside the sandbox"
            }
            TraceKind::Placeholder => {
                "a script wrote the host name where kiln does not look for it, such as into a compressed file: remove the \
                 file, or state it as a `file` in the recipe"
            }
            TraceKind::Kernel => "pass the image's kernel release to the program that runs `uname -r`",
            TraceKind::Date | TraceKind::Clock => {
                "the program that writes it must honour SOURCE_DATE_EPOCH, or the file must be removed"
            }
            TraceKind::Uuid => {
                "generate random ids at first boot: remove the file, or state it as a `file` in the recipe"
            }
        }
    }
}

/// Something to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    pub text: Vec<u8>,
    pub kind: TraceKind,
    /// The year that must follow a [`TraceKind::Clock`].
    pub(super) year: String,
}

impl Needle {
    /// Whether a match counts, given the bytes around it: it must not be part of something longer.
    pub(super) fn counts(&self, before: &[u8], after: &[u8]) -> bool {
        let (last, next) = (before.last().copied(), after.first().copied());
        let word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let joined = |byte: Option<u8>| word(byte) || matches!(byte, Some(b'-' | b'_'));
        match self.kind {
            TraceKind::Store | TraceKind::Home => !joined(next) && !joined(last) && last != Some(b'.'),
            TraceKind::Account | TraceKind::Host | TraceKind::Kernel => !joined(last) && !joined(next),
            // `20261123T1530`, but not a digit of a longer number or of a digest.
            TraceKind::Date => !word(last) && (!word(next) || next == Some(b'T')),
            // Found by its shape, not by its text; and what nothing holds by accident.
            TraceKind::Uuid | TraceKind::Placeholder => true,
            TraceKind::Clock => !word(last) && !word(next) && holds(after, self.year.as_bytes()),
        }
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes[..bytes.len().min(YEAR)].windows(text.len()).any(|window| window == text)
}
