//! A client of QEMU's machine protocol (QMP, `docs/interop/qmp-spec.rst` in QEMU): one JSON object a line.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::agent::is_pause;
use super::clock::Deadline;

/// No message of QEMU is longer.
const LIMIT: usize = 4 << 20;
/// QEMU answers at once, or hangs.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Events that nobody asked for are forgotten beyond this many.
const MAX_QUEUED_EVENTS: usize = 1000;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// QEMU says no.
    #[error("{class}: {description}")]
    Refused {
        /// `GenericError`, `CommandNotFound`, ...
        class: String,
        description: String,
    },
    #[error("QEMU closed the connection")]
    Closed,
    /// No answer in time.
    #[error("no response within {0} s")]
    Silent(u64),
    /// Something that is not QMP.
    #[error("QEMU sent {0}")]
    Garbage(String),
}

/// An asynchronous message.
#[derive(Debug, Clone, PartialEq)]
pub struct QmpEvent {
    /// `RESET`, `SHUTDOWN`, ...
    pub name: String,
    /// Its data; null when there is none.
    pub data: Value,
}

/// A connection after its greeting.
#[derive(Debug)]
pub struct Qmp<S> {
    stream: S,
    pending: Vec<u8>,
    events: VecDeque<QmpEvent>,
    next: u64,
}

impl<S: Read + Write> Qmp<S> {
    /// Greets. Reads of the stream must time out after a fraction of a second.
    pub fn connect(stream: S) -> Result<Qmp<S>, QmpError> {
        let mut qmp = Qmp { stream, pending: Vec::new(), events: VecDeque::new(), next: 1 };
        let greeting = qmp.message(Deadline::after(RESPONSE_TIMEOUT))?;
        if !greeting["QMP"]["version"].is_object() {
            return Err(garbage("no greeting", &greeting));
        }
        qmp.execute("qmp_capabilities", None)?;
        Ok(qmp)
    }

    /// Carries a command out and gives what it returns.
    pub fn execute(&mut self, command: &str, arguments: Option<&Value>) -> Result<Value, QmpError> {
        let id = self.next;
        self.next += 1;
        let mut request = json!({ "execute": command, "id": id });
        if let Some(arguments) = arguments {
            request["arguments"] = arguments.clone();
        }
        self.stream.write_all(format!("{request}\n").as_bytes()).map_err(|_| QmpError::Closed)?;
        let deadline = Deadline::after(RESPONSE_TIMEOUT);
        loop {
            let mut message = self.message(deadline)?;
            if self.is_event(&message) || message["id"] != json!(id) {
                continue;
            }
            if let Some(error) = message.get("error") {
                let word = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
                return Err(QmpError::Refused { class: word("class"), description: word("desc") });
            }
            return match message.get_mut("return") {
                Some(value) => Ok(value.take()),
                None => Err(garbage("a response without a result", &message)),
            };
        }
    }

    /// What happened since the last call, without waiting longer than one read of the stream does.
    pub fn events(&mut self) -> Result<Vec<QmpEvent>, QmpError> {
        loop {
            match self.message(Deadline::after(Duration::ZERO)) {
                Ok(message) => drop(self.is_event(&message)),
                Err(QmpError::Silent(_)) => return Ok(self.events.drain(..).collect()),
                Err(_) if !self.events.is_empty() => return Ok(self.events.drain(..).collect()),
                Err(error) => return Err(error),
            }
        }
    }

    fn is_event(&mut self, message: &Value) -> bool {
        let Some(name) = message["event"].as_str() else { return false };
        if self.events.len() == MAX_QUEUED_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(QmpEvent { name: name.to_owned(), data: message["data"].clone() });
        true
    }

    fn message(&mut self, deadline: Deadline) -> Result<Value, QmpError> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return serde_json::from_slice(&line).map_err(|error| QmpError::Garbage(error.to_string()));
            }
            if self.pending.len() > LIMIT {
                return Err(QmpError::Garbage(format!("a message of more than {LIMIT} bytes")));
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(QmpError::Closed),
                Ok(count) => self.pending.extend_from_slice(&buffer[..count]),
                Err(error) if is_pause(error.kind()) => {
                    if deadline.passed() {
                        return Err(QmpError::Silent(deadline.limit().as_secs()));
                    }
                }
                Err(_) => return Err(QmpError::Closed),
            }
        }
    }
}

fn garbage(what: &str, message: &Value) -> QmpError {
    let text: String = message.to_string().chars().take(200).collect();
    QmpError::Garbage(format!("{what}: {text}"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixStream;
    use std::thread::{self, JoinHandle};

    use super::*;

    const GREETING: &str =
        r#"{"QMP": {"version": {"qemu": {"micro": 3, "minor": 1, "major": 11}}, "capabilities": []}}"#;

    /// A QEMU that greets, then answers each request with the next of these texts, `@` standing for its id.
    fn server(greeting: &'static str, answers: Vec<&'static str>) -> (UnixStream, JoinHandle<Vec<Value>>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let handle = thread::spawn(move || {
            writeln!(theirs, "{greeting}\r").unwrap();
            let mut lines = BufReader::new(theirs.try_clone().unwrap()).lines();
            let mut requests = Vec::new();
            for answer in answers {
                let Some(Ok(line)) = lines.next() else { break };
                let request: Value = serde_json::from_str(&line).unwrap();
                let answer = answer.replace('@', &request["id"].to_string());
                requests.push(request);
                theirs.write_all(answer.as_bytes()).unwrap();
            }
            requests
        });
        (ours, handle)
    }

    #[test]
    fn commands_answers_errors_and_events_are_told_apart() {
        let (stream, handle) = server(
            GREETING,
            vec![
                "{\"return\": {}, \"id\": @}\r\n",
                "{\"event\": \"RESET\", \"data\": {\"guest\": true}}\r\n{\"return\": {\"status\": \"running\"}, \"id\": @}\r\n",
                "{\"id\": @, \"error\": {\"class\": \"GenericError\", \"desc\": \"no such device\"}}\n{\"event\": \"STOP\"}\n",
            ],
        );
        let mut qmp = Qmp::connect(stream).unwrap();
        assert_eq!(qmp.execute("query-status", None).unwrap()["status"], "running");
        let error = qmp.execute("cxl-inject-poison", Some(&json!({"path": "/x", "start": 0}))).unwrap_err();
        assert_eq!(error.to_string(), "GenericError: no such device");
        let events = qmp.events().unwrap();
        assert_eq!(events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["RESET", "STOP"]);
        assert_eq!(events[0].data["guest"], true);
        let requests = handle.join().unwrap();
        assert_eq!(requests[0]["execute"], "qmp_capabilities");
        assert_eq!(requests[2]["arguments"], json!({"path": "/x", "start": 0}));
        assert!(requests[1].get("arguments").is_none());
    }

    #[test]
    fn what_is_not_qmp_is_an_error() {
        let connect = |greeting, answers| Qmp::connect(server(greeting, answers).0).map(drop).unwrap_err().to_string();
        assert!(connect("{\"hello\": 1}", vec![]).contains("no greeting"));
        assert!(connect("SSH-2.0", vec![]).starts_with("QEMU sent"));
        assert!(connect(GREETING, vec!["{\"id\": @}\n"]).contains("without result"));
        assert_eq!(connect(GREETING, vec![""]), "QEMU closed the connection");
    }
}
