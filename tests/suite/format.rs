//! The formatter: one canonical form, the same tree, every comment kept, and stable, for any text that parses.

use kiln::base::SourceMap;
use kiln::syntax::tree::{Entry, File, TextPart, Value};
use kiln::syntax::{parse, print::print};
use proptest::prelude::*;

fn parsed(text: &str) -> Option<File> {
    let file = SourceMap::default().add("a.kiln".into(), String::new());
    let (tree, mistakes) = parse(file, text);
    mistakes.is_empty().then_some(tree)
}

/// The tree without places.
fn shape(entries: &[Entry]) -> String {
    let one = |entry: &Entry| {
        let arguments: Vec<_> = entry.arguments.iter().map(|argument| value(&argument.value)).collect();
        let assign = entry.assign.as_ref().map(|(op, v)| format!("{op:?} {}", value(&v.value)));
        format!("{} {arguments:?} {assign:?} {:?};", entry.keyword.value, entry.body.as_deref().map(shape))
    };
    entries.iter().map(one).collect()
}

fn value(v: &Value) -> String {
    let all =
        |items: &[kiln::base::Spanned<Value>]| items.iter().map(|i| value(&i.value)).collect::<Vec<_>>().join(",");
    match v {
        Value::List(items) => format!("[{}]", all(items)),
        Value::Call(word, items) => format!("{}({})", word.value, all(items)),
        Value::Range(a, b) => format!("{}..{}", value(&a.value), value(&b.value)),
        Value::Text(parts) => parts
            .iter()
            .map(|part| match part {
                TextPart::Literal(literal) => format!("{literal:?}"),
                TextPart::Name(name) => format!("${}", name.value),
            })
            .collect(),
        other => format!("{other:?}"),
    }
}

fn is_stable(text: &str) {
    let Some(tree) = parsed(text) else { return };
    let once = print(&tree, text);
    let again = parsed(&once).unwrap_or_else(|| panic!("what was printed does not parse:\n{text}\n---\n{once}"));
    assert_eq!(shape(&tree.entries), shape(&again.entries), "\n{text}\n---\n{once}");
    let comments = |file: &File| file.comments.iter().map(|comment| comment.value.clone()).collect::<Vec<_>>();
    assert_eq!(comments(&tree), comments(&again), "\n{text}\n---\n{once}");
    assert_eq!(print(&again, &once), once, "\n{text}\n---\n{once}");
}

#[test]
fn language_format_of_the_recipes_is_canonical() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    for directory in [root.clone(), root.join("lib")] {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "kiln") {
                let text = std::fs::read_to_string(&path).unwrap();
                let tree = parsed(&text).unwrap_or_else(|| panic!("{} does not parse", path.display()));
                let printed = print(&tree, &text);
                if std::env::var_os("KILN_BLESS").is_some() {
                    std::fs::write(&path, printed).unwrap();
                } else {
                    assert!(printed == text, "{} is not in canonical form: run `kiln fmt`", path.display());
                }
                is_stable(&text);
            }
        }
    }
}

#[test]
fn language_format_example() {
    let text = "# head\n\n\nimport   \"a\"\nkernel k{ # why\nsource=package \"s\"   from   x\n packages+=[ \"a\",# first\n\"b\"]\n\n\n\n# own\n\
                option 9P_FS=y}\nmachine m { port p {} a=1 b=[1,2]\n}\nx { text = \"\"\"\n      one\n\n        two\n      \"\"\"\n}";
    let expected = "\
# head

import \"a\"
kernel k { # why
  source    = package \"s\" from x
  packages += [
    \"a\", # first
    \"b\",
  ]

  # own
  option 9P_FS = y
}
machine m {
  port p {}
  a = 1
  b = [1, 2]
}
x {
  text = \"\"\"
    one

      two
    \"\"\"
}
";
    assert_eq!(print(&parsed(text).unwrap(), text), expected);
    is_stable(text);
}

/// Pieces that make texts which often parse.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "a",
        "let",
        "for",
        "in",
        "extends",
        "x-y",
        "9P_FS",
        "machine",
        "=",
        " = ",
        "+=",
        "-=",
        "{",
        "}",
        " { ",
        " }",
        "[",
        "]",
        ",",
        "\n",
        "\n\n",
        "\n  ",
        " ",
        "\t",
        "\r\n",
        "# c\n",
        " # d\n",
        "\"\"",
        "\"t\"",
        "\"${a}\"",
        "\"\\n\\u{e9}\"",
        "file \"x\"",
        "package \"p\" from q",
        "4",
        "-4",
        "0x1f",
        "4GiB",
        "90s",
        "0o755",
        "2026-11-01T00:00:00Z",
        "true",
        "0..4",
        "a..b",
        "\"\"\"\n  one\n    two\n  \"\"\"",
        "\"\"\"\nz\n\"\"\"",
        "a = 1\n",
        "b = [1, 2]\n",
        "c d {\n",
        "}\n",
        "run \"x\"\n",
        "e = [\n  \"a\", # c\n]\n",
        "f { g = 1 h = 2 }\n",
        "\"a rather long text that makes lines too long for one line\"",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ];
    prop_oneof![8 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,3}", 1 => ".{0,2}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn language_any_text_is_parsed_or_refused(text in ".{0,200}") {
        let file = SourceMap::default().add("a.kiln".into(), String::new());
        let (_, mistakes) = parse(file, &text);
        for mistake in mistakes {
            prop_assert!(mistake.span.start <= mistake.span.end && mistake.span.end as usize <= text.len());
            prop_assert!(text.is_char_boundary(mistake.span.start as usize) && text.is_char_boundary(mistake.span.end as usize));
        }
        is_stable(&text);
    }

    #[test]
    fn language_pieces_are_printed_stably(pieces in proptest::collection::vec(piece(), 0..24)) {
        is_stable(&pieces.concat());
    }

    #[test]
    fn language_lines_are_printed_stably(lines in proptest::collection::vec(line(), 0..12)) {
        is_stable(&lines.concat());
    }
}

/// Whole lines, which nearly always parse.
fn line() -> impl Strategy<Value = String> {
    let lines = [
        "a = 1\n",
        "bb += [\"x\", \"y\"]\n",
        "ccc = 4GiB # size\n",
        "# own line\n",
        "\n",
        "\n\n\n",
        "k x { a = 1 bb = 2 }\n",
        "k x { # open\n  a = 1\n}\n",
        "k x\n{\n}\n",
        "run \"echo\"\n",
        "run \"\"\"\n  a\n  b\n  \"\"\"\n",
        "l = [ # c\n1, 2 # d\n, 3\n# e\n]\n",
        "l = [[1, 2], file \"x\",\n\n 3,]\n",
        "a = package \"x\" from y b = 2\n",
        "for i in 0..n { e \"m${i}\" { s = 1 } }\n",
        "l = [\"long long long long long long long long\", \"long long long long long long long long\", \"long long long long long\"]\n",
        "k x # c\n{ a = 1 }\n",
        "t = \"\"\"\n  \\${x}\n\n  \"\"\" u = 1\n",
        "k { t = \"\"\"\n   x\n\"\"\"\n }\n",
        "k x { # c\n}\n",
        "k {} j {}\n",
    ];
    proptest::sample::select(lines.to_vec()).prop_map(str::to_owned)
}
