//! Instants as whole seconds since 1970, and the three spellings that archives use. No clock is read here.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Seconds since 1970-01-01T00:00:00Z; shown as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Timestamp {
    /// From a calendar date and time in UTC; `None` when a field is out of range.
    pub fn from_civil(year: i64, month: u32, day: u32, time: (u32, u32, u32)) -> Option<Timestamp> {
        let (hour, minute, second) = time;
        let valid =
            (1970..10_000).contains(&year) && (1..=12).contains(&month) && hour < 24 && minute < 60 && second < 61;
        if !valid || day < 1 || day > days_in_month(year, month) {
            return None;
        }
        let seconds = hour * 3600 + minute * 60 + second;
        Some(Timestamp(days_from_civil(year, month, day) * 86_400 + i64::from(seconds)))
    }

    /// `(year, month, day, hour, minute, second)` in UTC.
    pub fn civil(self) -> (i64, u32, u32, u32, u32, u32) {
        let (days, seconds) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400) as u32);
        let (year, month, day) = civil_from_days(days);
        (year, month, day, seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    /// Reads `2026-11-01T00:00:00Z`.
    pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
        let bytes = text.as_bytes();
        let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')];
        if bytes.len() != 20 || !text.is_ascii() || marks.iter().any(|&(at, mark)| bytes[at] != mark) {
            return None;
        }
        let time = (digits(&text[11..13])?, digits(&text[14..16])?, digits(&text[17..19])?);
        Timestamp::from_civil(digits(&text[0..4])?.into(), digits(&text[5..7])?, digits(&text[8..10])?, time)
    }

    /// Reads [`Timestamp::snapshot`]'s spelling.
    pub fn parse_snapshot(text: &str) -> Option<Timestamp> {
        let bytes = text.as_bytes();
        if bytes.len() != 16 || !text.is_ascii() || bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let time = (digits(&text[9..11])?, digits(&text[11..13])?, digits(&text[13..15])?);
        Timestamp::from_civil(digits(&text[0..4])?.into(), digits(&text[4..6])?, digits(&text[6..8])?, time)
    }

    /// Reads the `Date` of a Release file: `Sat, 12 Sep 2026 07:55:41 UTC`.
    pub fn parse_release(text: &str) -> Option<Timestamp> {
        let mut words = text.split_ascii_whitespace();
        words.next().filter(|day| day.ends_with(','))?;
        let day = digits(words.next()?)?;
        let name = words.next()?;
        let month = MONTHS.iter().position(|month| *month == name)? as u32 + 1;
        let year = digits(words.next()?)?;
        let mut clock = words.next()?.split(':').map(digits);
        let time = (clock.next()??, clock.next()??, clock.next()??);
        let utc =
            matches!(words.next(), Some("UTC" | "GMT" | "+0000")) && words.next().is_none() && clock.next().is_none();
        if utc { Timestamp::from_civil(year.into(), month, day, time) } else { None }
    }

    /// The spelling of Debian's snapshot service: `20261121T021046Z`.
    pub fn snapshot(self) -> String {
        let (year, month, day, hour, minute, second) = self.civil();
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

fn digits(text: &str) -> Option<u32> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counting years from March.
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, month) = (year.div_euclid(400), i64::from(month));
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month as u32, (day_of_year - (153 * shifted + 2) / 5 + 1) as u32)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse_rfc3339(&text)
            .ok_or_else(|| serde::de::Error::custom("expected a timestamp such as 2026-11-01T00:00:00Z"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_spellings_agree() {
        let instant = Timestamp(1_789_199_741);
        assert_eq!(instant.to_string(), "2026-09-12T07:55:41Z");
        assert_eq!(Timestamp::parse_release("Sat, 12 Sep 2026 07:55:41 UTC"), Some(instant));
        assert_eq!(Timestamp::parse_rfc3339("2026-09-12T07:55:41Z"), Some(instant));
        assert_eq!(instant.snapshot(), "20260912T075541Z");
    }

    #[test]
    fn every_day_of_five_centuries_survives_a_round_trip() {
        for day in 0..180_000 {
            let instant = Timestamp(day * 86_400 + 86_399);
            assert_eq!(Timestamp::parse_rfc3339(&instant.to_string()), Some(instant));
        }
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-01T24:00:00Z",
            "2026-11-01 00:00:00Z",
            "é026-11-01T00:00:0Z",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), None, "{text}");
        }
    }
}
