//! What usually makes bits differ in such a place, and what keeps them equal.

/// A rule that was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    Time,
    Owner,
    Mode,
    Order,
    Identity,
    Compressor,
    BuildId,
    Path,
    Content,
}

impl Rule {
    pub(super) fn text(self) -> Option<&'static str> {
        Some(match self {
            Rule::Time => {
                "no timestamp may be later than the lock's epoch: the program that writes it must honour SOURCE_DATE_EPOCH"
            }
            Rule::Owner => "user and group ids come from the lock: `kiln lock --update` makes a new table",
            Rule::Mode => "set modes explicitly instead of relying on the umask",
            Rule::Order => "sort what is read from a directory or a hash table before writing it",
            Rule::Identity => "derive UUIDs, seeds and keys from the lock's seed, or generate them at first boot",
            Rule::Compressor => {
                "use one compressor, level and number of threads, without a name or time in the header (`gzip -n`)"
            }
            Rule::BuildId => {
                "the build id follows from the other sections: look at those, or link with --build-id=none"
            }
            Rule::Path => "build below the same path everywhere, or remove it with `-ffile-prefix-map`",
            // It differs because something else does.
            Rule::Content => return None,
        })
    }
}

/// What the difference of two lines suggests.
pub(super) fn of_lines(one: &str, two: &str) -> Option<Rule> {
    let ends = one.bytes().zip(two.bytes()).take_while(|(a, b)| a == b).count();
    let tail = |text: &str| text.as_bytes().get(ends).copied();
    // The word that differs, and what is left of it.
    let start = one.as_bytes()[..ends].iter().rposition(u8::is_ascii_whitespace).map_or(0, |at| at + 1);
    let word = |text: &str| -> String {
        let bytes = text.as_bytes()[start..].iter().copied().take_while(|byte| !byte.is_ascii_whitespace()).collect();
        String::from_utf8(bytes).unwrap_or_default()
    };
    let (left, right) = (word(one), word(two));
    if left.contains('/') && right.contains('/') && !left.contains("://") {
        return Some(Rule::Path);
    }
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let date = |text: &str| digits(text) >= 4 && text.bytes().all(|b| b.is_ascii_digit() || b"-:.TZ+".contains(&b));
    let number = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
    (date(&left) && date(&right) && number(tail(one)) && number(tail(two))).then_some(Rule::Time)
}
