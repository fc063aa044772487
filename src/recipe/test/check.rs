//! Reads `test "title" on MACHINE { ... }`.

use super::{QmpAnswer, Test, TestAction, TestStep, qmp};
use crate::base::{Diagnostic, Spanned};
use crate::recipe::kinds::{Name, Seconds};
use crate::recipe::nearest::suggest;
use crate::recipe::reader::Reader;
use crate::recipe::scope::Scope;
use crate::recipe::value::EvaluatedNode;

/// What software emulation needs for a short test, several times over.
const TIMEOUT: u64 = 300;
/// Names of files are no longer (limits.h, `NAME_MAX`).
const MAX_NAME_BYTES: usize = 255;
const TIMEOUTS: std::ops::RangeInclusive<u64> = 1..=86_400;
const STEPS: [&str; 8] = ["run", "expect", "fails", "wait", "fetch", "reboot", "qmp", "on"];

/// Reads one `test` block.
pub fn check(node: &EvaluatedNode, scope: &Scope) -> Option<Test> {
    let mut reader = Reader::new(node, &scope.report);
    let title = reader.argument::<String>("a title in quotes");
    let machine = reader.keyword("on").then(|| reader.argument::<Name>("the name of a machine")).flatten();
    let machine = machine.map(|name| name.map(|name| name.0)).filter(|name| scope.resolves("machine", name));
    let timeout = reader.optional::<Seconds>("timeout");
    let timeout = timeout.map_or(TIMEOUT, |limit| limit_in_bounds(&limit, scope));
    let slow = reader.or("slow", false);
    let steps = steps(node, &mut reader, scope, None);
    reader.finish();
    if steps.is_empty() && scope.report.is_empty() {
        let wrong = Diagnostic::new(node.head(), "test without steps").label("has no step");
        scope.report.push_absence(wrong.hint("add `run \"command\"` or `expect \"command\" matches \"pattern\"`"));
    }
    Some(Test { title: title?.value, machine: machine?.value, steps, timeout, slow, span: node.head() })
}

/// The steps of a block in the order in which they stand there.
fn steps(node: &EvaluatedNode, reader: &mut Reader<'_>, scope: &Scope, machine: Option<&str>) -> Vec<TestStep> {
    for word in STEPS {
        if word == "on" { drop(reader.blocks(word)) } else { drop(reader.statements(word)) }
    }
    reader.blocks("qmp");
    let mut steps = Vec::new();
    for child in &node.children {
        match child.keyword.value.as_str() {
            "on" if child.block => steps.extend(elsewhere(child, scope, machine)),
            word if STEPS.contains(&word) => {
                let action = action(child, scope);
                let machine = machine.map(str::to_owned);
                steps.extend(action.map(|action| TestStep { machine, action, span: child.head() }));
            }
            _ => {}
        }
    }
    steps
}

/// `on MACHINE { ... }`: steps for another machine than the test's own.
fn elsewhere(node: &EvaluatedNode, scope: &Scope, outer: Option<&str>) -> Vec<TestStep> {
    let mut reader = Reader::new(node, &scope.report);
    let name = reader.name();
    if let Some(outer) = outer {
        let wrong = Diagnostic::new(node.head(), format!("these steps already run on `{outer}`"));
        scope.report.push(wrong.label("`on` in `on`").hint("close the outer block first"));
        return Vec::new();
    }
    let Some(name) = name.filter(|name| scope.resolves("machine", name)) else { return Vec::new() };
    let steps = steps(node, &mut reader, scope, Some(&name.value));
    reader.finish();
    steps
}

fn action(node: &EvaluatedNode, scope: &Scope) -> Option<TestAction> {
    let mut reader = Reader::new(node, &scope.report);
    let action = match node.keyword.value.as_str() {
        "reboot" => Some(TestAction::Reboot),
        "run" => command(&mut reader).map(TestAction::Run),
        "fails" => command(&mut reader).map(TestAction::Fails),
        "expect" => expect(&mut reader, scope),
        "wait" => wait(&mut reader, scope),
        "fetch" => fetch(&mut reader),
        _ => return qmp_action(reader, scope),
    };
    reader.finish();
    action
}

fn command(reader: &mut Reader<'_>) -> Option<String> {
    let command: Spanned<String> = reader.argument("a command in quotes")?;
    if command.value.trim().is_empty() || command.value.contains('\0') {
        reader.error(Diagnostic::new(command.span, "invalid command").label("a shell would do nothing"));
        return None;
    }
    Some(command.value)
}

/// `fetch "/path"`: the path is also that of the copy, below the log directory.
fn fetch(reader: &mut Reader<'_>) -> Option<TestAction> {
    let path: Spanned<String> = reader.argument("an absolute path in quotes")?;
    let is_name = |part: &str| !["", ".", ".."].contains(&part) && part.len() <= MAX_NAME_BYTES;
    let parts = path.value.strip_prefix('/').map(|path| path.split('/').all(is_name));
    if parts == Some(true) && !path.value.contains(char::is_control) {
        return Some(TestAction::Fetch(path.value));
    }
    let wrong = Diagnostic::new(path.span, "`fetch` needs the absolute path of a file in the guest");
    reader.error(wrong.label("as in `\"/var/log/dpkg.log\"`, without `.` and `..`"));
    None
}

/// `expect "command" matches "pattern"`
fn expect(reader: &mut Reader<'_>, scope: &Scope) -> Option<TestAction> {
    let command = command(reader);
    let word: Spanned<Name> = reader.argument("`matches` or `lacks`, and a pattern")?;
    let pattern: Option<Spanned<String>> = reader.argument("a pattern in quotes");
    let matches = match word.value.0.as_str() {
        "matches" => true,
        "lacks" => false,
        other => {
            let mut wrong = Diagnostic::new(word.span, format!("unknown word `{other}` in `expect`"));
            wrong.hint = suggest(other, &["matches", "lacks"]);
            scope.report.push(wrong.label("expected `matches` or `lacks`"));
            return None;
        }
    };
    Some(TestAction::Expect { command: command?, pattern: pattern?.value, matches })
}

/// `wait "command" for 30s`
fn wait(reader: &mut Reader<'_>, scope: &Scope) -> Option<TestAction> {
    let command = command(reader);
    if !reader.keyword("for") {
        return None;
    }
    let limit: Spanned<Seconds> = reader.argument("a duration such as `30s`")?;
    Some(TestAction::Wait { command: command?, limit: limit_in_bounds(&limit, scope) })
}

fn limit_in_bounds(limit: &Spanned<Seconds>, scope: &Scope) -> u64 {
    let seconds = limit.value.0;
    if !TIMEOUTS.contains(&seconds) {
        let wrong = Diagnostic::new(limit.span, "timeout is out of range").label("from 1s to 24h");
        scope.report.push(wrong);
    }
    seconds
}

/// `qmp "command" { ... }`, `qmp "command" matches "pattern" { ... }`; without arguments there is no block.
fn qmp_action(mut reader: Reader<'_>, scope: &Scope) -> Option<TestAction> {
    let command = reader.argument::<String>("a QMP command in quotes")?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if command.value.is_empty() || !command.value.bytes().all(legal) {
        let wrong = Diagnostic::new(command.span, format!("`{}` is not a QMP command", command.value));
        scope.report.push(wrong.label("as in `\"cxl-inject-poison\"`"));
        return None;
    }
    let arguments = qmp::object(reader.node(), &scope.report)?;
    // The members are free: only the words before the body can be wrong.
    let head = EvaluatedNode { children: Vec::new(), ..reader.node().clone() };
    let mut rest = Reader::new(&head, &scope.report);
    let _: Option<Spanned<String>> = rest.argument("a QMP command in quotes");
    let answer = if head.arguments.len() > 1 { qmp_answer(&mut rest, scope)? } else { QmpAnswer::Done };
    rest.finish();
    let arguments = serde_json::Value::Object(arguments).to_string();
    Some(TestAction::Qmp { command: command.value, arguments, answer })
}

/// `matches "pattern"` or `refused "pattern"`
fn qmp_answer(reader: &mut Reader<'_>, scope: &Scope) -> Option<QmpAnswer> {
    let word: Spanned<Name> = reader.argument("`matches` or `refused`, and a pattern")?;
    let pattern: Option<Spanned<String>> = reader.argument("a pattern in quotes");
    match word.value.0.as_str() {
        "matches" => Some(QmpAnswer::Matches(pattern?.value)),
        "refused" => Some(QmpAnswer::Refused(pattern?.value)),
        other => {
            let mut wrong = Diagnostic::new(word.span, format!("unknown word `{other}` in `qmp`"));
            wrong.hint = suggest(other, &["matches", "refused"]);
            scope.report.push(wrong.label("expected `matches` or `refused`"));
            None
        }
    }
}
