//! How a registry asks for a login: `WWW-Authenticate` (RFC 9110, 11.6.1).

use std::collections::BTreeMap;

/// One way to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In lower case: `bearer`, `basic`.
    pub(super) scheme: String,
    /// Names in lower case.
    pub(super) parameters: BTreeMap<String, String>,
}

/// The challenges of a header; what cannot be read ends the list.
pub(super) fn parse(text: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            break;
        }
        match after.strip_prefix('=') {
            Some(after) => {
                let Some((value, after)) = value(after) else { break };
                let Some(challenge) = found.last_mut() else { break };
                challenge.parameters.entry(word.to_ascii_lowercase()).or_insert(value);
                rest = after;
            }
            None => {
                found.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: BTreeMap::new() });
                rest = after;
            }
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    found
}

/// A word or a quoted string, and what follows.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !is_token(c)).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/:".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_registries_are_read() {
        let text = "Bearer realm=\"https://auth.example/token?a=b\",service=\"registry.example\", scope=\"repository:a/b:pull,push\"";
        let [bearer] = parse(text).try_into().unwrap();
        assert_eq!(bearer.scheme, "bearer");
        assert_eq!(bearer.parameters["realm"], "https://auth.example/token?a=b");
        assert_eq!(bearer.parameters["service"], "registry.example");
        let two = parse("Basic realm=\"a \\\"b\\\"\", BEARER Realm=x, error=y");
        assert_eq!(two.len(), 2);
        assert_eq!((two[0].parameters["realm"].as_str(), two[1].parameters["realm"].as_str()), ("a \"b\"", "x"));
        for odd in ["", ",,", "=", "realm=x", "Bearer realm=\"open", "\u{1}", "Bearer =x"] {
            assert!(parse(odd).iter().all(|challenge| challenge.parameters.is_empty()), "{odd}");
        }
    }
}
