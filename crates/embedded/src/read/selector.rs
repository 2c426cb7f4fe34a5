//! Label and field selectors, as written in a query.

use serde_json::Value;

use crate::http::failure::Failure;
use crate::kinds::Kind;

/// The objects that a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    Greater(String, i64),
    Less(String, i64),
}

impl Selector {
    pub fn read(kind: &Kind, labels: Option<&str>, fields: Option<&str>) -> Result<Self, Failure> {
        let labels = labels.map(|text| Reader { tokens: tokens(text), at: 0 }.read_all()).transpose();
        let labels = labels.map_err(Failure::bad_request)?.unwrap_or_default();
        let mut read = Vec::new();
        for term in fields.into_iter().flat_map(split_terms).filter(|term| !term.is_empty()) {
            let (name, wanted, value) = if let Some((name, value)) = term.split_once("!=") {
                (name, false, value)
            } else if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
                (name, true, value)
            } else {
                let text = fields.unwrap_or_default();
                return Err(Failure::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'")));
            };
            if !kind.selects(name) {
                return Err(Failure::bad_request(kind.refuses_field_label(name)));
            }
            read.push((name.to_owned(), wanted, unescaped(value)?));
        }
        Ok(Selector { labels, fields: read })
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Returns whether the selector matches `object`.
    pub fn meets(&self, kind: &Kind, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| requirement.met_by(labels))
            && self.fields.iter().all(|(name, wanted, value)| (kind.field_value(object, name) == *value) == *wanted)
    }
}

impl Requirement {
    fn met_by(&self, labels: &Value) -> bool {
        let value = |key: &str| labels.get(key).and_then(Value::as_str);
        let number = |key: &str| value(key).and_then(|v| v.parse::<i64>().ok());
        match self {
            Requirement::In(key, values) => value(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Requirement::NotIn(key, values) => value(key).is_none_or(|v| values.iter().all(|w| w != v)),
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Absent(key) => value(key).is_none(),
            Requirement::Greater(key, than) => number(key).is_some_and(|n| n > *than),
            Requirement::Less(key, than) => number(key).is_some_and(|n| n < *than),
        }
    }
}

/// Returns the value of a field selector without its backslashes.
fn unescaped(value: &str) -> Result<String, Failure> {
    let mut letters = value.chars();
    let mut text = String::with_capacity(value.len());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => text.push(escaped),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    let why = format!("invalid field selector: invalid escape sequence: {sequence}");
                    return Err(Failure::bad_request(why));
                }
            },
            letter => text.push(letter),
        }
    }
    Ok(text)
}

/// Splits at the commas that no backslash precedes.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut from, mut escaped) = (0, false);
    for (at, letter) in text.char_indices() {
        if letter == ',' && !escaped {
            terms.push(&text[from..at]);
            from = at + 1;
        }
        escaped = letter == '\\' && !escaped;
    }
    terms.push(&text[from..]);
    terms
}

/// A token of a label selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Sign(&'static str),
}

/// Signs of two letters come first, so that `!=` is not read as `!` and `=`.
const SIGNS: [&str; 9] = ["==", "!=", "=", "!", ",", "(", ")", ">", "<"];

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut rest = text.trim_start();
    let mut tokens = Vec::new();
    while !rest.is_empty() {
        if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            tokens.push(Token::Sign(sign));
            rest = rest[sign.len()..].trim_start();
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "=!,()<>".contains(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(&rest[..end]));
            rest = rest[end..].trim_start();
        }
    }
    tokens
}

/// Parses a label selector as `k8s.io/apimachinery/pkg/labels` does, and refuses in its words.
struct Reader<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn take(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn read_all(mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                None => return Ok(requirements),
                Some(Token::Word(_) | Token::Sign("!")) => {
                    let read = self.read_one().map_err(|why| format!("unable to parse requirement: {why}"))?;
                    requirements.push(read);
                }
                other => {
                    return Err(format!("found '{}', expected: !, identifier, or 'end of string'", shown(other)));
                }
            }
            match self.take() {
                None => return Ok(requirements),
                Some(Token::Sign(",")) => {}
                other => return Err(format!("found '{}', expected: ',' or 'end of string'", shown(other))),
            }
            if !matches!(self.peek(), Some(Token::Word(_) | Token::Sign("!"))) {
                return Err(format!("found '{}', expected: identifier after ','", shown(self.peek())));
            }
        }
    }

    fn read_one(&mut self) -> Result<Requirement, String> {
        let absent = self.peek() == Some(Token::Sign("!"));
        self.at += usize::from(absent);
        let key = match self.take() {
            Some(Token::Word(key)) => key.to_owned(),
            other => return Err(format!("found '{}', expected: identifier", shown(other))),
        };
        if let Some(why) = crate::kinds::names::label_key_fault(&key) {
            return Err(format!("<nil>: Invalid value: {key:?}: {why}"));
        }
        if absent {
            return Ok(Requirement::Absent(key));
        }
        if matches!(self.peek(), None | Some(Token::Sign(","))) {
            return Ok(Requirement::Exists(key));
        }
        let operator = match self.take() {
            Some(Token::Word(word @ ("in" | "notin")) | Token::Sign(word @ ("=" | "==" | "!=" | ">" | "<"))) => word,
            other => return Err(format!("found '{}', expected: {OPERATORS}", shown(other))),
        };
        let values = match operator {
            "in" | "notin" => self.read_values()?,
            _ => vec![self.read_value()?],
        };
        let number = || {
            let text = values.first().map_or("", String::as_str);
            let why = "for 'Gt', 'Lt' operators, the value must be an integer";
            text.parse().map_err(|_| format!("values[0][{key}]: Invalid value: {text:?}: {why}"))
        };
        for (n, value) in values.iter().enumerate() {
            if let Some(why) = crate::kinds::names::label_value_fault(value) {
                return Err(format!("values[{n}][{key}]: Invalid value: {value:?}: {why}"));
            }
        }
        Ok(match operator {
            "in" | "=" | "==" => Requirement::In(key, values),
            "notin" | "!=" => Requirement::NotIn(key, values),
            ">" => Requirement::Greater(key.clone(), number()?),
            _ => Requirement::Less(key.clone(), number()?),
        })
    }

    fn read_value(&mut self) -> Result<String, String> {
        match self.peek() {
            None | Some(Token::Sign(",")) => Ok(String::new()),
            Some(Token::Word(value)) => {
                self.at += 1;
                Ok(value.to_owned())
            }
            other => Err(format!("found '{}', expected: identifier", shown(other))),
        }
    }

    fn read_values(&mut self) -> Result<Vec<String>, String> {
        match self.take() {
            Some(Token::Sign("(")) => {}
            other => return Err(format!("found '{}' expected: '('", shown(other))),
        }
        let mut values = Vec::new();
        loop {
            match self.take() {
                Some(Token::Word(value)) => values.push(value.to_owned()),
                Some(Token::Sign(")")) => return Ok(values),
                // Nothing between two commas is an empty value.
                Some(Token::Sign(",")) => {
                    values.push(String::new());
                    continue;
                }
                other => return Err(format!("found '{}', expected: ',', ')' or identifier", shown(other))),
            }
            match self.take() {
                Some(Token::Sign(",")) => {}
                Some(Token::Sign(")")) => return Ok(values),
                other => return Err(format!("found '{}', expected: ',' or ')'", shown(other))),
            }
        }
    }
}

fn shown(token: Option<Token<'_>>) -> &str {
    match token {
        None => "",
        Some(Token::Word(word)) => word,
        Some(Token::Sign(sign)) => sign,
    }
}
