//! QEMU options as values, and the ways to print them.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{Place, Text};

/// One option with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuOption {
    flag: &'static str,
    value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    None,
    Whole(Text),
    Keyed { kind: Option<String>, properties: Vec<(String, Text)> },
}

impl QemuOption {
    /// `-nodefaults`
    pub fn bare(flag: &'static str) -> Self {
        QemuOption { flag, value: Value::None }
    }

    /// `-append "..."`: the value is not an option string.
    pub fn whole(flag: &'static str, value: impl Into<Text>) -> Self {
        QemuOption { flag, value: Value::Whole(value.into()) }
    }

    /// `-device KIND,...`; add properties with [`QemuOption::with`].
    pub fn kind(flag: &'static str, kind: impl Into<String>) -> Self {
        QemuOption { flag, value: Value::Keyed { kind: Some(kind.into()), properties: Vec::new() } }
    }

    /// `-m ...` without a first word of its own; add properties with [`QemuOption::with`].
    pub fn keyed(flag: &'static str) -> Self {
        QemuOption { flag, value: Value::Keyed { kind: None, properties: Vec::new() } }
    }

    /// Adds `,name=value`; commas in the value are doubled.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Text>) -> Self {
        if let Value::Keyed { properties, .. } = &mut self.value {
            properties.push((name.into(), value.into().escaped()));
        }
        self
    }

    /// Adds a property if there is a value.
    pub fn with_some(self, name: &str, value: Option<impl Into<Text>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The words of the argv.
    fn words(&self) -> Vec<Text> {
        let mut words = vec![Text::from(self.flag)];
        match &self.value {
            Value::None => {}
            Value::Whole(text) => words.push(text.clone()),
            Value::Keyed { kind, properties } => {
                let mut word = kind.as_ref().map_or_else(Text::default, |kind| Text::from(kind.as_str()));
                for (i, (name, value)) in properties.iter().enumerate() {
                    let comma = if i > 0 || kind.is_some() { "," } else { "" };
                    word = word.then(format!("{comma}{name}=")).then(value.clone());
                }
                words.push(word);
            }
        }
        words
    }
}

/// Everything after the program's name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandLine {
    /// Options in order.
    pub options: Vec<QemuOption>,
}

impl CommandLine {
    /// The argv with places open, as the lock and `launch.json` hold it.
    pub fn template(&self) -> Vec<String> {
        self.options.iter().flat_map(QemuOption::words).map(|word| word.to_string()).collect()
    }

    /// The argv with places filled in, without the program.
    pub fn words(&self, fill: &dyn Fn(Place) -> String) -> Vec<String> {
        self.options.iter().flat_map(QemuOption::words).map(|word| word.fill(fill)).collect()
    }

    /// The places that a launch must fill in.
    pub fn places(&self) -> BTreeSet<Place> {
        self.options.iter().flat_map(QemuOption::words).flat_map(|word| word.places().collect::<Vec<_>>()).collect()
    }

    /// A shell command, one option a line.
    pub fn sh(&self, program: &str, fill: &dyn Fn(Place) -> String) -> String {
        let mut text = quote(program);
        for option in &self.options {
            let words: Vec<String> = option.words().iter().map(|word| quote(&word.fill(fill))).collect();
            text.push_str(" \\\n  ");
            text.push_str(&words.join(" "));
        }
        text.push('\n');
        text
    }

    /// A JSON array of the words, program first.
    pub fn json(&self, program: &str, fill: &dyn Fn(Place) -> String) -> String {
        let mut words = vec![program.to_owned()];
        words.extend(self.words(fill));
        format!("{:#}\n", serde_json::Value::from(words))
    }

    /// The properties that each device driver is given, `id` and `bus` excepted: those belong to QEMU's device
    /// interface itself, and `-device X,help` does not list them.
    pub fn device_properties(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut drivers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for option in self.options.iter().filter(|option| option.flag == "-device") {
            if let Value::Keyed { kind: Some(driver), properties } = &option.value {
                let names = properties.iter().map(|(name, _)| name.clone());
                drivers.entry(driver.clone()).or_default().extend(names.filter(|name| name != "id" && name != "bus"));
            }
        }
        drivers
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
    fn shells_get_every_word_whole() {
        assert_eq!(quote("a=b,c"), "a=b,c");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn properties_are_joined_with_commas_and_their_own_commas_doubled() {
        let option = QemuOption::kind("-device", "x").with("a", "1,2").with_some("b", None::<&str>);
        let line = CommandLine { options: vec![option, QemuOption::bare("-S")] };
        assert_eq!(line.template(), ["-device", "x,a=1,,2", "-S"]);
        assert_eq!(line.device_properties()["x"], BTreeSet::from(["a".to_owned()]));
    }
}
