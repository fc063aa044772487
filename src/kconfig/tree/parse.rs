//! Reads Kconfig files: blocks, attributes, `source`. The language is documented in the kernel's
//! Documentation/kbuild/kconfig-language.rst and kconfig-macro-language.rst.

use std::collections::{BTreeMap, BTreeSet};

use super::{Bounds, Choice, Definition, KconfigTree, Symbol, Type};
use crate::kconfig::expr::{self, Expr};
use crate::kconfig::lines::{Line, logical, quoted};
use crate::kconfig::value::Tri;

/// The files of a source tree that decide its configuration.
#[derive(Debug, Clone, Default)]
pub struct KconfigSource {
    /// Contents by path relative to the tree.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What the build sets: `SRCARCH` is `x86`.
    pub variables: BTreeMap<String, String>,
}

/// What is wrong with a Kconfig file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct NotKconfig {
    /// Relative to the source tree.
    pub file: String,
    /// Counted from one.
    pub line: u32,
    pub what: String,
}

/// `source` in `source` in ...: the kernel's own tree needs six.
const DEPTH: usize = 32;
/// The kernel has twenty thousand options; a file that sources itself in a fan would make them without end.
const DEFINITIONS: usize = 200_000;

impl KconfigTree {
    /// Reads the file `Kconfig` and everything that it sources.
    pub fn read(source: &KconfigSource) -> Result<KconfigTree, NotKconfig> {
        let mut parser = Parser {
            source,
            tree: KconfigTree::default(),
            frames: vec![Frame::default()],
            open: Open::Nothing,
            definitions: 0,
            read: BTreeSet::new(),
        };
        let nowhere = Place { file: "Kconfig", line: 0, depth: 0 };
        parser.file("Kconfig", nowhere)?;
        parser.close();
        parser.elsewhere();
        parser.tree.index();
        Ok(parser.tree)
    }
}

struct Parser<'a> {
    source: &'a KconfigSource,
    tree: KconfigTree,
    /// The blocks around the current line.
    frames: Vec<Frame>,
    open: Open,
    definitions: usize,
    /// Files that the architecture has.
    read: BTreeSet<String>,
}

/// What a block asks of everything in it, together with the blocks around it.
#[derive(Clone)]
struct Frame {
    depends: Expr,
    visible: Expr,
    choice: Option<usize>,
}

impl Default for Frame {
    fn default() -> Self {
        Frame { depends: Expr::always(), visible: Expr::always(), choice: None }
    }
}

/// What an attribute line belongs to.
enum Open {
    Nothing,
    Config {
        name: String,
        definition: Box<Definition>,
        visible: Expr,
    },
    /// The innermost frame: a menu or a choice.
    Block,
    Comment,
}

#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    line: u32,
    depth: usize,
}

impl Place<'_> {
    fn error(self, what: impl Into<String>) -> NotKconfig {
        NotKconfig { file: self.file.to_owned(), line: self.line, what: what.into() }
    }
}

impl Parser<'_> {
    fn file(&mut self, path: &str, from: Place<'_>) -> Result<(), NotKconfig> {
        let source = self.source;
        let path = path.strip_prefix("./").unwrap_or(path);
        let bytes = source.files.get(path).ok_or_else(|| from.error(format!("there is no file {path}")))?;
        self.read.insert(path.to_owned());
        if from.depth > DEPTH {
            return Err(from.error(format!("files are nested more than {DEPTH} deep")));
        }
        let blocks = self.frames.len();
        for line in logical(&String::from_utf8_lossy(bytes), &source.variables) {
            let place = Place { file: path, line: line.number, depth: from.depth };
            self.line(&line, place)?;
        }
        match self.frames.len() == blocks {
            true => Ok(()),
            false => Err(from.error(format!("a block of {path} is not closed"))),
        }
    }

    /// The names of what other architectures define; nothing else of their files matters here.
    fn elsewhere(&mut self) {
        let others =
            self.source.files.iter().filter(|(path, _)| path.starts_with("arch/") && !self.read.contains(*path));
        for (path, bytes) in others {
            for line in String::from_utf8_lossy(bytes).lines() {
                let name = line.strip_prefix("config ").or_else(|| line.strip_prefix("menuconfig ")).map(str::trim);
                if let Some(name) = name.filter(|name| !self.tree.symbols.contains_key(*name)) {
                    self.tree.elsewhere.entry(name.to_owned()).or_insert_with(|| path.clone());
                }
            }
        }
    }

    fn line(&mut self, line: &Line, place: Place<'_>) -> Result<(), NotKconfig> {
        let (word, rest) = split_word(&line.text);
        // First, since `if-success = ...` is one.
        if is_assignment(&line.text) {
            return Ok(());
        }
        match word {
            "config" | "menuconfig" => self.begin_config(rest, place),
            "menu" => self.begin_block(Open::Block, None),
            "choice" => {
                self.tree.choices.push(Choice { prompt: String::new(), members: Vec::new() });
                self.begin_block(Open::Block, Some(self.tree.choices.len() - 1))
            }
            "if" => {
                let condition = whole(rest).ok_or_else(|| place.error("the condition is not an expression"))?;
                self.begin_block(Open::Nothing, None)?;
                self.innermost().depends = self.innermost().depends.clone().and(condition);
                Ok(())
            }
            "endmenu" | "endchoice" | "endif" => self.end_block(word, place),
            "comment" => {
                self.close();
                self.open = Open::Comment;
                Ok(())
            }
            "mainmenu" => Ok(()),
            "source" => {
                self.close();
                let (path, _) = quoted(rest).ok_or_else(|| place.error("the file to source is not in quotes"))?;
                self.file(&path, Place { depth: place.depth + 1, ..place })
            }
            _ => self.attribute(word, rest, place),
        }
    }

    fn begin_config(&mut self, name: &str, place: Place<'_>) -> Result<(), NotKconfig> {
        self.close();
        self.definitions += 1;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(place.error(format!("`{name}` cannot be the name of an option")));
        }
        if self.definitions > DEFINITIONS {
            return Err(place.error(format!("more than {DEFINITIONS} options")));
        }
        let frame = self.innermost().clone();
        let definition = Definition {
            file: place.file.to_owned(),
            line: place.line,
            depends: frame.depends,
            prompt: None,
            defaults: Vec::new(),
            selects: Vec::new(),
            implies: Vec::new(),
            choice: frame.choice,
            ranges: Vec::new(),
        };
        self.open = Open::Config { name: name.to_owned(), definition: Box::new(definition), visible: frame.visible };
        Ok(())
    }

    fn begin_block(&mut self, open: Open, choice: Option<usize>) -> Result<(), NotKconfig> {
        self.close();
        let mut frame = self.innermost().clone();
        frame.choice = choice.or(frame.choice);
        self.frames.push(frame);
        self.open = open;
        Ok(())
    }

    fn end_block(&mut self, word: &str, place: Place<'_>) -> Result<(), NotKconfig> {
        self.close();
        if self.frames.len() < 2 {
            return Err(place.error(format!("unmatched `{word}`")));
        }
        self.frames.pop();
        Ok(())
    }

    /// Hands a finished definition to the tree.
    fn close(&mut self) {
        let Open::Config { name, mut definition, visible } = std::mem::replace(&mut self.open, Open::Nothing) else {
            return;
        };
        definition.prompt = definition.prompt.map(|(text, when)| (text, when.and(visible)));
        for range in &mut definition.ranges {
            range.when = range.when.clone().and(definition.depends.clone());
        }
        if let Some(choice) = definition.choice {
            self.tree.choices[choice].members.push(name.clone());
        }
        self.tree.symbols.entry(name).or_default().definitions.push(*definition);
    }

    fn innermost(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("the outermost frame is never popped")
    }

    fn attribute(&mut self, word: &str, rest: &str, place: Place<'_>) -> Result<(), NotKconfig> {
        let broken = || place.error(format!("cannot parse this `{word}`"));
        match &mut self.open {
            Open::Config { name, definition, .. } => {
                let symbol = self.tree.symbols.entry(name.clone()).or_default();
                config_attribute(symbol, definition, (word, rest)).ok_or_else(broken)
            }
            Open::Block => self.block_attribute(word, rest).ok_or_else(broken),
            Open::Comment => Ok(()),
            Open::Nothing => Err(place.error(format!("`{word}` is outside of any block"))),
        }
    }

    fn block_attribute(&mut self, word: &str, rest: &str) -> Option<()> {
        match word {
            "depends" => {
                let condition = whole(rest.strip_prefix("on")?)?;
                self.innermost().depends = self.innermost().depends.clone().and(condition);
            }
            "visible" => {
                let condition = whole(rest.strip_prefix("if")?)?;
                self.innermost().visible = self.innermost().visible.clone().and(condition);
            }
            // The prompt of a choice: its members are there only where it is.
            "prompt" | "bool" | "tristate" => {
                let (text, when) = prompt(rest)?;
                let frame = self.innermost();
                frame.depends = frame.depends.clone().and(when);
                if let Some(choice) = frame.choice {
                    self.tree.choices[choice].prompt = text;
                }
            }
            "default" | "optional" => {}
            _ => return None,
        }
        Some(())
    }
}

fn config_attribute(symbol: &mut Symbol, definition: &mut Definition, (word, rest): (&str, &str)) -> Option<()> {
    let kind = match word {
        "bool" | "def_bool" => Some(Type::Bool),
        "tristate" | "def_tristate" => Some(Type::Tristate),
        "string" => Some(Type::String),
        "int" => Some(Type::Int),
        "hex" => Some(Type::Hex),
        _ => None,
    };
    symbol.kind = symbol.kind.or(kind);
    match word {
        "bool" | "tristate" | "string" | "int" | "hex" if rest.is_empty() => {}
        "bool" | "tristate" | "string" | "int" | "hex" | "prompt" => definition.prompt = Some(prompt(rest)?),
        "def_bool" | "def_tristate" | "default" => definition.defaults.push(conditional(rest)?),
        "depends" => {
            let condition = whole(rest.strip_prefix("on")?)?;
            let depends = std::mem::replace(&mut definition.depends, Expr::always());
            definition.depends = depends.and(condition);
        }
        "select" | "imply" => {
            let (Expr::Symbol(target), when) = conditional(rest)? else { return None };
            let targets = if word == "select" { &mut definition.selects } else { &mut definition.implies };
            targets.push((target, when));
        }
        // Bounds that do not read are the business of the kernel's own program.
        "range" => definition.ranges.extend(range(rest)),
        "option" | "modules" | "transitional" | "optional" => {}
        _ => return None,
    }
    Some(())
}

/// `"text" if CONDITION`
fn prompt(rest: &str) -> Option<(String, Expr)> {
    let (text, rest) = quoted(rest)?;
    Some((text, condition(rest)?))
}

/// `EXPRESSION if CONDITION`
fn conditional(rest: &str) -> Option<(Expr, Expr)> {
    let (value, rest) = expr::parse(rest)?;
    Some((value, condition(rest)?))
}

/// `LOW HIGH if CONDITION`
fn range(rest: &str) -> Option<Bounds> {
    let (low, rest) = bound(rest)?;
    let (high, rest) = bound(rest)?;
    Some(Bounds { low, high, when: condition(rest)? })
}

/// A negative number is no expression anywhere else.
fn bound(text: &str) -> Option<(Expr, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    match text.starts_with('-') {
        true => Some((Expr::Text(text[..end].to_owned()), &text[end..])),
        false => expr::parse(text),
    }
}

fn condition(rest: &str) -> Option<Expr> {
    match rest.trim() {
        "" => Some(Expr::always()),
        rest => whole(rest.strip_prefix("if")?),
    }
}

fn whole(text: &str) -> Option<Expr> {
    let (expr, rest) = expr::parse(text)?;
    // `depends on y` is as good as no dependency, and would clutter every explanation.
    let expr = if expr == Expr::Const(Tri::Y) { Expr::always() } else { expr };
    rest.trim().is_empty().then_some(expr)
}

fn split_word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// `name := value` and its like, or a bare call such as `$(error-if,...)`: matters to the kernel's program only.
fn is_assignment(text: &str) -> bool {
    let end = text.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(text.len());
    let rest = text[end..].trim_start();
    let colon = text[..end].ends_with([':', '+']) && rest.starts_with('=');
    text.starts_with("$(") || colon || [":=", "+=", "="].iter().any(|operator| rest.starts_with(operator))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
