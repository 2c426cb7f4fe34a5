//! Label and field selectors, as they stand in a query.

use serde_json::Value;

use super::failure::Failure;
use super::kind::Kind;

/// Which objects a request is about.
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
        let labels = match labels {
            None => Vec::new(),
            Some(text) => {
                read_labels(text).map_err(|why| Failure::bad_request(format!("unable to parse requirement: {why}")))?
            }
        };
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
            read.push((name.to_owned(), wanted, value.replace("\\,", ",").replace("\\=", "=").replace("\\\\", "\\")));
        }
        Ok(Selector { labels, fields: read })
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether `object` is meant.
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

/// Splits at commas that no backslash precedes.
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

/// What stands in a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Sign(&'static str),
}

/// Two letters before one, so that `!=` is not `!` and `=`.
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

fn read_labels(text: &str) -> Result<Vec<Requirement>, String> {
    let tokens = tokens(text);
    let mut at = 0;
    let mut requirements = Vec::new();
    let shown = |token: Option<&Token<'_>>| match token {
        None => String::new(),
        Some(Token::Word(word)) => (*word).to_owned(),
        Some(Token::Sign(sign)) => (*sign).to_owned(),
    };
    while at < tokens.len() {
        let absent = tokens[at] == Token::Sign("!");
        at += usize::from(absent);
        let Some(Token::Word(key)) = tokens.get(at) else {
            return Err(format!("found '{}', expected: identifier", shown(tokens.get(at))));
        };
        at += 1;
        let key = (*key).to_owned();
        if let Some(why) = super::metadata::label_key_fault(&key) {
            return Err(format!("<nil>: Invalid value: {key:?}: {why}"));
        }
        let word = |at: usize| match tokens.get(at) {
            Some(Token::Word(word)) => Ok((*word).to_owned()),
            None | Some(Token::Sign(",")) => Ok(String::new()),
            other => Err(format!("found '{}', expected: identifier", shown(other))),
        };
        if absent {
            requirements.push(Requirement::Absent(key));
        } else {
            match tokens.get(at) {
                None | Some(Token::Sign(",")) => requirements.push(Requirement::Exists(key)),
                Some(Token::Sign(sign @ ("=" | "==" | "!="))) => {
                    let value = word(at + 1)?;
                    at += if matches!(tokens.get(at + 1), Some(Token::Word(_))) { 2 } else { 1 };
                    if let Some(why) = super::metadata::label_value_fault(&value) {
                        return Err(format!("values[0][{key}]: Invalid value: {value:?}: {why}"));
                    }
                    requirements.push(match *sign {
                        "!=" => Requirement::NotIn(key, vec![value]),
                        _ => Requirement::In(key, vec![value]),
                    });
                }
                Some(Token::Sign(sign @ (">" | "<"))) => {
                    let text = word(at + 1)?;
                    let Ok(than) = text.parse() else {
                        return Err(format!(
                            "values[0][{key}]: Invalid value: {text:?}: for 'Gt', 'Lt' operators, the value must be an integer"
                        ));
                    };
                    at += 2;
                    requirements.push(if *sign == ">" {
                        Requirement::Greater(key, than)
                    } else {
                        Requirement::Less(key, than)
                    });
                }
                Some(Token::Word(verb @ ("in" | "notin"))) if tokens.get(at + 1) == Some(&Token::Sign("(")) => {
                    at += 2;
                    let mut values = Vec::new();
                    loop {
                        match tokens.get(at) {
                            Some(Token::Word(value)) => values.push((*value).to_owned()),
                            Some(Token::Sign(",")) => {}
                            Some(Token::Sign(")")) => break,
                            other => return Err(format!("found '{}', expected: ',' or ')'", shown(other))),
                        }
                        at += 1;
                    }
                    at += 1;
                    requirements.push(match *verb {
                        "in" => Requirement::In(key, values),
                        _ => Requirement::NotIn(key, values),
                    });
                }
                other => {
                    let expected = "in, notin, =, ==, !=, gt, lt";
                    return Err(format!("found '{}', expected: {expected}", shown(other)));
                }
            }
        }
        match tokens.get(at) {
            None => {}
            Some(Token::Sign(",")) => {
                at += 1;
                if at == tokens.len() {
                    return Err("found '', expected: identifier after ','".into());
                }
            }
            other => return Err(format!("found '{}', expected: ',' or 'end of string'", shown(other))),
        }
    }
    Ok(requirements)
}
