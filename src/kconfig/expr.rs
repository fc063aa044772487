//! Kconfig's expressions: text to tree, tree to text. What they are worth is [`super::tree::KconfigTree::eval`]'s.

use std::fmt;

use super::value::Tri;

/// An expression over options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// `y`, `m` or `n`.
    Const(Tri),
    /// An option.
    Symbol(String),
    /// A quoted text, or a number: only worth something in comparisons.
    Text(String),
    /// A question to the compiler or the environment, `$(cc-option,-mfoo)`: only the kernel's program has the answer.
    Probe(String),
    /// `!a`
    Not(Box<Expr>),
    /// All of these; true when empty.
    All(Vec<Expr>),
    /// Any of these.
    Any(Vec<Expr>),
    /// `a = b` and its five siblings, between atoms.
    Compare(Box<Expr>, Compare, Box<Expr>),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

impl Compare {
    fn opposite(self) -> Compare {
        match self {
            Compare::Equal => Compare::Unequal,
            Compare::Unequal => Compare::Equal,
            Compare::Less => Compare::GreaterEqual,
            Compare::GreaterEqual => Compare::Less,
            Compare::Greater => Compare::LessEqual,
            Compare::LessEqual => Compare::Greater,
        }
    }
}

/// Deeper nesting of parentheses than this is nobody's Kconfig file.
const DEPTH: usize = 64;

impl Expr {
    /// Always true: what an option without conditions depends on.
    pub fn always() -> Expr {
        Expr::All(Vec::new())
    }

    /// Both, without nesting lists in lists.
    pub fn and(self, other: Expr) -> Expr {
        let mut terms = self.into_terms();
        terms.extend(other.into_terms());
        if terms.len() == 1 { terms.remove(0) } else { Expr::All(terms) }
    }

    /// What holds where this does not; a module stays one.
    pub fn negated(&self) -> Expr {
        let all = |terms: &[Expr]| terms.iter().map(Expr::negated).collect();
        match self {
            Expr::Const(value) => Expr::Const(value.negated()),
            Expr::Not(inner) => (**inner).clone(),
            Expr::All(terms) => Expr::Any(all(terms)),
            Expr::Any(terms) => Expr::All(all(terms)),
            Expr::Compare(left, operator, right) => Expr::Compare(left.clone(), operator.opposite(), right.clone()),
            Expr::Symbol(_) | Expr::Text(_) | Expr::Probe(_) => Expr::Not(Box::new(self.clone())),
        }
    }

    fn into_terms(self) -> Vec<Expr> {
        match self {
            Expr::All(terms) => terms,
            other => vec![other],
        }
    }
}

/// Parses an expression at the start of `text`; the rest begins at the first word that cannot go on with it.
pub fn parse(text: &str) -> Option<(Expr, &str)> {
    any(text, 0)
}

fn any(text: &str, depth: usize) -> Option<(Expr, &str)> {
    list(text, "||", Expr::Any, |text| list(text, "&&", Expr::All, |text| unary(text, depth)))
}

fn list<'a>(
    text: &'a str,
    operator: &str,
    join: fn(Vec<Expr>) -> Expr,
    item: impl Fn(&'a str) -> Option<(Expr, &'a str)>,
) -> Option<(Expr, &'a str)> {
    let (first, mut rest) = item(text)?;
    let mut terms = vec![first];
    while let Some(after) = rest.trim_start().strip_prefix(operator) {
        let (next, after) = item(after)?;
        terms.push(next);
        rest = after;
    }
    Some((if terms.len() == 1 { terms.remove(0) } else { join(terms) }, rest))
}

fn unary(text: &str, depth: usize) -> Option<(Expr, &str)> {
    let text = text.trim_start();
    if depth > DEPTH {
        return None;
    }
    if let Some(after) = text.strip_prefix('!').filter(|after| !after.starts_with('=')) {
        let (inner, rest) = unary(after, depth + 1)?;
        return Some((Expr::Not(Box::new(inner)), rest));
    }
    if let Some(after) = text.strip_prefix('(') {
        let (inner, rest) = any(after, depth + 1)?;
        return Some((inner, rest.trim_start().strip_prefix(')')?));
    }
    let (left, rest) = atom(text)?;
    const OPERATORS: [(&str, Compare); 6] = [
        ("!=", Compare::Unequal),
        ("<=", Compare::LessEqual),
        (">=", Compare::GreaterEqual),
        ("=", Compare::Equal),
        ("<", Compare::Less),
        (">", Compare::Greater),
    ];
    let after = rest.trim_start();
    for (spelling, operator) in OPERATORS {
        if let Some(after) = after.strip_prefix(spelling) {
            let (right, rest) = atom(after.trim_start())?;
            return Some((Expr::Compare(Box::new(left), operator, Box::new(right)), rest));
        }
    }
    Some((left, rest))
}

fn atom(text: &str) -> Option<(Expr, &str)> {
    if text.starts_with("$(") {
        let (probe, rest) = text.split_at(super::lines::call_length(text)?);
        return Some((Expr::Probe(probe.to_owned()), rest));
    }
    if text.starts_with(['"', '\'']) {
        let (text, rest) = super::lines::quoted(text)?;
        let expr = if text.contains("$(") {
            Expr::Probe(text)
        } else {
            Tri::parse(&text).map_or(Expr::Text(text), Expr::Const)
        };
        return Some((expr, rest));
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "_-./".contains(c))).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let expr = match Tri::parse(word) {
        Some(constant) => Expr::Const(constant),
        None if word.is_empty() => return None,
        None if word.bytes().all(|byte| byte.is_ascii_digit()) || word.starts_with("0x") || word.starts_with('-') => {
            Expr::Text(word.to_owned())
        }
        None => Expr::Symbol(word.to_owned()),
    };
    Some((expr, rest))
}

impl fmt::Display for Compare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compare::Equal => "=",
            Compare::Unequal => "!=",
            Compare::Less => "<",
            Compare::LessEqual => "<=",
            Compare::Greater => ">",
            Compare::GreaterEqual => ">=",
        })
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, terms: &[Expr], operator: &str| {
            for (at, term) in terms.iter().enumerate() {
                let between = if at == 0 { "" } else { operator };
                match term {
                    Expr::Any(_) | Expr::All(_) => write!(f, "{between}({term})")?,
                    _ => write!(f, "{between}{term}")?,
                }
            }
            Ok(())
        };
        match self {
            Expr::Const(value) => write!(f, "{value}"),
            Expr::Symbol(text) | Expr::Probe(text) => f.write_str(text),
            Expr::Text(text) if super::check::parse_number(text).is_some() => f.write_str(text),
            Expr::Text(text) => write!(f, "\"{text}\""),
            Expr::Not(inner) if matches!(**inner, Expr::Symbol(_) | Expr::Probe(_)) => write!(f, "!{inner}"),
            Expr::Not(inner) => write!(f, "!({inner})"),
            Expr::All(terms) if terms.is_empty() => f.write_str("y"),
            Expr::All(terms) => joined(f, terms, " && "),
            Expr::Any(terms) => joined(f, terms, " || "),
            Expr::Compare(left, operator, right) => write!(f, "{left} {operator} {right}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence_and_spelling() {
        for (text, shown) in [
            ("A && B || !C", "(A && B) || !C"),
            ("A&&(B||C)", "A && (B || C)"),
            ("!(A && m)", "!(A && m)"),
            ("A=n || B != \"x y\"", "A = n || B != \"x y\""),
            ("GCC_VERSION >= 120000 && $(cc-option,-f(x) \")\")", "GCC_VERSION >= 120000 && $(cc-option,-f(x) \")\")"),
        ] {
            let (expr, rest) = parse(text).unwrap();
            assert_eq!((expr.to_string().as_str(), rest), (shown, ""), "{text}");
        }
        let (expr, rest) = parse("A if B").unwrap();
        assert_eq!((expr, rest), (Expr::Symbol("A".to_owned()), " if B"));
    }

    #[test]
    fn a_negation_reaches_the_options() {
        for (text, shown) in [
            ("A && B || !C", "(!A || !B) && C"),
            ("A = n && B < 5", "A != n || B >= 5"),
            ("!(A && m) || y", "(A && m) && n"),
            ("$(cc-option,-f)", "!$(cc-option,-f)"),
        ] {
            assert_eq!(parse(text).unwrap().0.negated().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn nonsense_and_endless_nesting_are_refused() {
        for text in ["", "&& A", "A && ", "(A", "A ||", "\"open", "$(open", &"(".repeat(100_000), &"!".repeat(100_000)]
        {
            assert!(parse(text).is_none(), "{}", &text[..text.len().min(20)]);
        }
    }
}
