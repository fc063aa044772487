//! QEMU options as values, and the ways to print them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::text::{Place, Text, quote};

/// One option with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuOption {
    flag: Cow<'static, str>,
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
        QemuOption { flag: flag.into(), value: Value::None }
    }

    /// `-append "..."`: the value is not an option string.
    pub fn whole(flag: &'static str, value: impl Into<Text>) -> Self {
        QemuOption { flag: flag.into(), value: Value::Whole(value.into()) }
    }

    /// `-device KIND,...`; add properties with [`QemuOption::with`].
    pub fn kind(flag: &'static str, kind: impl Into<String>) -> Self {
        QemuOption { flag: flag.into(), value: Value::Keyed { kind: Some(kind.into()), properties: Vec::new() } }
    }

    /// `-m ...` without a first word of its own; add properties with [`QemuOption::with`].
    pub fn keyed(flag: &'static str) -> Self {
        QemuOption { flag: flag.into(), value: Value::Keyed { kind: None, properties: Vec::new() } }
    }

    /// Words that somebody else wrote, one after the other: each option is a word with a dash and the one behind it.
    pub fn given(words: &[String]) -> Vec<QemuOption> {
        let mut options: Vec<QemuOption> = Vec::new();
        for word in words {
            match options.last_mut() {
                Some(last) if !word.starts_with('-') && last.value == Value::None => {
                    last.value = Value::Whole(word.as_str().into());
                }
                _ => options.push(QemuOption { flag: word.clone().into(), value: Value::None }),
            }
        }
        options
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

    /// The properties of a thing that QEMU makes.
    fn own(&self) -> Vec<Property<'_>> {
        let Value::Keyed { kind: Some(kind), properties } = &self.value else { return Vec::new() };
        let id = properties.iter().find(|(name, _)| name == "id").and_then(|(_, value)| value.plain());
        let property = |name| Property { flag: &self.flag, kind, id, name };
        let names = properties.iter().map(|(name, _)| name.as_str());
        let names = names.filter(|name| *name != "id" && (*name != "bus" || self.flag != "-device"));
        std::iter::once("").chain(names).map(property).collect()
    }

    /// The words of the argv.
    fn words(&self) -> Vec<Text> {
        let mut words = vec![Text::from(&*self.flag)];
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

    /// The words for a POSIX shell, each place being the shell variable that `variable` names.
    pub fn shell(&self, variable: &dyn Fn(Place) -> &'static str) -> Vec<String> {
        self.options.iter().flat_map(QemuOption::words).map(|word| word.shell(variable)).collect()
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

    /// Every property that QEMU can be asked about, in order. `id` and `bus` of devices, and `id` of objects, belong to
    /// QEMU's interface itself, and its help does not list them.
    pub fn properties(&self) -> Vec<Property<'_>> {
        let asked = self.options.iter().filter(|option| ["-device", "-object", "-machine"].contains(&&*option.flag));
        asked.flat_map(QemuOption::own).collect()
    }
}

/// A property that an option sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Property<'a> {
    /// `-device`, `-object` or `-machine`.
    pub flag: &'a str,
    /// `cxl-type3`, `memory-backend-ram`, `pc-q35-11.1`.
    pub kind: &'a str,
    /// The `id` of what is made, if it has one.
    pub id: Option<&'a str>,
    /// As it is written: `sn`, `cxl-fmw.0.size`. Each thing begins with one without a name.
    pub name: &'a str,
}

impl<'a> Property<'a> {
    /// What QEMU lists: `cxl-fmw` for `cxl-fmw.0.size`.
    pub fn listed(&self) -> &'a str {
        self.name.split('.').next().unwrap_or_default()
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
        let names: Vec<&str> = line.properties().iter().map(|property| property.name).collect();
        assert_eq!(names, ["", "a"]);
    }

    #[test]
    fn words_that_were_given_stay_as_they_are() {
        let words = ["-S", "-device", "x,a=$1", "-drive", "a b", "stray", "-"].map(str::to_owned);
        let line = CommandLine { options: QemuOption::given(&words) };
        assert_eq!(line.options.len(), 5);
        assert_eq!(line.words(&|_| unreachable!()), words);
        assert_eq!(line.template()[2], "x,a=$$1");
        assert!(
            line.sh("qemu", &|_| String::new()).ends_with("-device 'x,a=$1' \\\n  -drive 'a b' \\\n  stray \\\n  -\n")
        );
    }
}
