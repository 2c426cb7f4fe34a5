//! Normalises answers before they are compared: names replace everything that differs between two runs on one server.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

use chrono::{DateTime, Duration, Utc};
use regex::{Captures, Regex};
use seatkeeper::machine::machine_time;
use serde_json::Value;

use super::conformance_script::Step;

/// A server's answer.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

static UID: LazyLock<Regex> = LazyLock::new(|| regex("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"));
static TIME: LazyLock<Regex> =
    LazyLock::new(|| regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?Z"));
/// Matches versions of the store in messages.
static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"(, current: |resource version: [0-9]+ \(|in record \(|resourceVersion\\*"?: ?\\*")[0-9]+"#)
});
static HASH: LazyLock<Regex> = LazyLock::new(|| regex("hash=[0-9A-F]+"));
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| regex(r"127\.0\.0\.1:[0-9]+"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is in order")
}

/// Names for uids, versions and generated names, in the order in which a script meets them.
#[derive(Clone, Default)]
pub struct Names {
    given: HashMap<String, String>,
    counts: HashMap<String, usize>,
    generated: Vec<(Regex, String)>,
}

impl Names {
    /// Returns the answer as text, with only those parts that the step compares.
    pub fn render(&mut self, step: &Step, answer: &Answer) -> String {
        self.expect_generated(&step.body);
        let mut text = format!("HTTP {}\n", answer.status);
        // Several warnings are told in any order.
        let mut headers: Vec<_> = answer.headers.iter().map(|(name, value)| (name, self.text(value))).collect();
        headers.sort();
        for (name, value) in headers {
            let _ = writeln!(text, "{name}: {value}");
        }
        let documents: Option<Vec<Value>> = match serde_json::from_str(&answer.body) {
            Ok(one) => Some(vec![one]),
            Err(_) => answer.body.lines().map(serde_json::from_str).collect::<Result<_, _>>().ok(),
        };
        let Some(documents) = documents else { return text + &self.text(&answer.body) + "\n" };
        for mut document in documents {
            select(step, &mut document);
            words(step, &mut document);
            causes(&mut document);
            resources(&mut document);
            self.walk(&mut document);
            pretty(&document, 0, &mut text);
            text.push('\n');
        }
        text
    }

    /// Recognises names that the server generates by their beginning.
    fn expect_generated(&mut self, body: &str) {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let prefix = body.pointer("/metadata/generateName").and_then(Value::as_str);
        self.generated.extend(prefix.map(|prefix| {
            (regex(&format!("{}[a-z0-9]{{5}}\\b", regex::escape(prefix))), format!("<{prefix}GENERATED>"))
        }));
    }

    fn walk(&mut self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                ages(fields);
                // managedFields name owners by their uid, as a field.
                *fields = std::mem::take(fields).into_iter().map(|(name, value)| (self.text(&name), value)).collect();
                if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
                    self.metadata(metadata);
                }
                for field in fields.values_mut() {
                    self.walk(field);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item)),
            Value::String(text) => *text = self.text(text),
            _ => {}
        }
    }

    fn metadata(&mut self, metadata: &mut serde_json::Map<String, Value>) {
        let text = |field: &str| metadata.get(field).and_then(Value::as_str).map(str::to_owned);
        let (name, uid, version) = (text("name"), text("uid"), text("resourceVersion"));
        let name = name.map(|name| self.text(&name));
        if let (Some(uid), Some(name)) = (uid, &name) {
            self.name(&uid, &format!("uid of {name}"));
        }
        if let Some(version) = version.filter(|version| !version.is_empty()) {
            let named = match &name {
                Some(name) => self.name(&format!("version {version}"), &format!("version of {name}")),
                None => "a version".into(),
            };
            metadata.insert("resourceVersion".into(), named.into());
        }
        if let Some(Value::Array(managers)) = metadata.get_mut("managedFields") {
            // The server sorts equal managers by time, and a second may or may not pass between two requests.
            managers.sort_by_key(|m| ["operation", "manager", "subresource", "apiVersion"].map(|f| m[f].to_string()));
        }
        if let Some(token) = metadata.get_mut("continue").filter(|token| *token != "") {
            *token = "a token".into();
        }
    }

    /// Returns the name of `value`; gives it a new one from `prefix` and a number if it has none.
    fn name(&mut self, value: &str, prefix: &str) -> String {
        if let Some(name) = self.given.get(value) {
            return name.clone();
        }
        let count = self.counts.entry(prefix.to_owned()).or_insert(0);
        *count += 1;
        let name = format!("<{prefix} {count}>");
        self.given.insert(value.to_owned(), name.clone());
        name
    }

    pub fn text(&self, text: &str) -> String {
        let text = UID.replace_all(text, |found: &Captures<'_>| {
            self.given.get(&found[0]).cloned().unwrap_or_else(|| "<a uid>".into())
        });
        let text = TIME.replace_all(&text, |found: &Captures<'_>| match found[0].parse::<DateTime<Utc>>() {
            Ok(time) if (machine_time() - time).abs() < Duration::days(2) => {
                let fraction = found.get(1).map_or(0, |fraction| fraction.len() - 1);
                format!("<now{}>", if fraction > 0 { format!(" to {fraction} digits") } else { String::new() })
            }
            _ => found[0].to_owned(),
        });
        let text = VERSION.replace_all(&text, "${1}<a version>");
        let text = HASH.replace_all(&text, "hash=<a hash>");
        let text = ADDRESS.replace_all(&text, "<the server>");
        self.generated.iter().fold(text.into_owned(), |text, (found, name)| found.replace_all(&text, name).into_owned())
    }
}

/// Leaves out the words of a refusal unless they say what is wrong with an object of our kinds, which users read.
/// Clients act on the code, the reason and the causes' reasons and fields.
fn words(step: &Step, status: &mut Value) {
    const OURS: &str = "seatkeeper.dev";
    let said = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let ours = match said("/reason") {
        "Invalid" => said("/details/group") == OURS,
        "BadRequest" => step.path.contains(OURS) && said("/message").contains("strict decoding error"),
        _ => false,
    };
    if ours || (said("/kind"), said("/status")) != ("Status", "Failure") {
        return;
    }
    let hide = |said: &mut Value| {
        if let Some(message) = said.get_mut("message").filter(|message| **message != "") {
            *message = "<words>".into();
        }
    };
    hide(status);
    status.pointer_mut("/details/causes").and_then(Value::as_array_mut).into_iter().flatten().for_each(hide);
}

/// Sorts the causes: the API server checks the fields of an object in no fixed order, so several faults come in none.
fn causes(status: &mut Value) {
    let said = |cause: &Value| {
        format!("{}: {}", cause["field"].as_str().unwrap_or(""), cause["message"].as_str().unwrap_or(""))
    };
    let Some(causes) = status.pointer_mut("/details/causes").and_then(Value::as_array_mut) else { return };
    let list = format!("[{}]", causes.iter().map(said).collect::<Vec<_>>().join(", "));
    causes.sort_by_key(|cause| ["field", "reason", "message"].map(|part| cause[part].to_string()));
    if let Some(Value::String(message)) = status.get_mut("message") {
        *message = message.replace(&list, "[<the causes>]");
    }
}

/// Sorts custom resources, which are listed in the order in which their definitions were created.
fn resources(list: &mut Value) {
    if let Some(resources) = list.get_mut("resources").and_then(Value::as_array_mut) {
        resources.sort_by_key(|resource| resource["name"].to_string());
    }
}

/// Replaces the ages in the rows of a table.
fn ages(table: &mut serde_json::Map<String, Value>) {
    let Some(columns) = table.get("columnDefinitions") else { return };
    let is_age = |column: &Value| ["Age", "Last Seen", "First Seen"].iter().any(|name| column["name"] == *name);
    let ages: Option<Vec<usize>> = columns
        .as_array()
        .map(|columns| columns.iter().enumerate().filter(|(_, c)| is_age(c)).map(|(number, _)| number).collect());
    for row in table.get_mut("rows").and_then(Value::as_array_mut).into_iter().flatten() {
        let cells = row["cells"].as_array().map_or(0, Vec::len);
        // A watch sends the columns only once; in our kinds the last column is the age.
        for age in ages.clone().unwrap_or_else(|| vec![cells.saturating_sub(1)]) {
            let Some(cell) = row["cells"].get_mut(age) else { continue };
            if cell.as_str().is_some_and(|age| age.ends_with('s') || age.ends_with('m')) {
                *cell = "<an age>".into();
            }
        }
    }
}

/// Keeps only what the step compares.
fn select(step: &Step, document: &mut Value) {
    if let Some(pointer) = &step.take {
        *document = document.pointer_mut(pointer).map(Value::take).unwrap_or_default();
    }
    for (list, field, values) in &step.only {
        if let Some(items) = document.pointer_mut(list).and_then(Value::as_array_mut) {
            items.retain(|item| {
                item.pointer(field).and_then(Value::as_str).is_some_and(|v| values.iter().any(|w| w == v))
            });
        }
    }
    for pointer in &step.without {
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer starts with /");
        if let Some(fields) = document.pointer_mut(parent).and_then(Value::as_object_mut) {
            fields.remove(field);
        }
    }
}

/// Writes JSON with its fields in order, on one line if it is short.
fn pretty(value: &Value, indent: usize, text: &mut String) {
    const WIDTH: usize = 110;
    let one_line = sorted(value).to_string();
    if indent + one_line.len() <= WIDTH {
        text.push_str(&one_line);
        return;
    }
    let inner = " ".repeat(indent + 2);
    match value {
        Value::Object(fields) => {
            let mut names: Vec<_> = fields.keys().collect();
            names.sort();
            text.push('{');
            for (number, name) in names.into_iter().enumerate() {
                let _ = write!(text, "{}\n{inner}{}: ", if number == 0 { "" } else { "," }, Value::from(name.as_str()));
                pretty(&fields[name], indent + 2, text);
            }
            let _ = write!(text, "\n{}}}", " ".repeat(indent));
        }
        Value::Array(items) => {
            text.push('[');
            for (number, item) in items.iter().enumerate() {
                let _ = write!(text, "{}\n{inner}", if number == 0 { "" } else { "," });
                pretty(item, indent + 2, text);
            }
            let _ = write!(text, "\n{}]", " ".repeat(indent));
        }
        _ => text.push_str(&one_line),
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
