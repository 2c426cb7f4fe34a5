//! Scripts of requests in the format of editors with a REST client: `### title`, `METHOD path`, headers, an empty line,
//! the body. `conformance/README.md` describes the rest.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// One request, and which parts of its answer are compared.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub title: String,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Sent without a credential.
    pub anonymous: bool,
    /// Repeated until the answer is like this.
    pub until: Option<Until>,
    /// Names for values of the answer, by JSON pointer, for later steps.
    pub keeps: Vec<(String, String)>,
    /// Lists in which only these items are compared: pointer, field, values.
    pub only: Vec<(String, String, Vec<String>)>,
    /// The only part that is compared, by JSON pointer; `None` to compare everything.
    pub take: Option<String>,
    /// Parts that are not compared, by JSON pointer.
    pub without: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum Until {
    Status(u16),
    Is(String, Value),
}

/// The steps of a file, with variables not yet filled in, and the variables that it defines.
#[derive(Debug)]
pub struct Script {
    pub steps: Vec<Step>,
    pub variables: BTreeMap<String, String>,
}

impl Script {
    pub fn read(text: &str) -> Self {
        let (head, rest) = text.split_once("\n###").unwrap_or_else(|| panic!("a script has steps: {text}"));
        let variables = head.lines().filter_map(|line| line.strip_prefix('@')?.split_once(" = "));
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { variables, steps: rest.split("\n###").map(Step::read).collect() }
    }
}

impl Step {
    fn read(text: &str) -> Self {
        let (title, rest) = text.split_once('\n').unwrap_or_else(|| panic!("a step is a title and a request: {text}"));
        let (head, body) = rest.split_once("\n\n").unwrap_or((rest, ""));
        let mut step = Step { title: title.trim().into(), body: body.trim_end().into(), ..Self::default() };
        for line in head.lines().filter(|line| !line.starts_with('#')) {
            if let Some(said) = line.strip_prefix('@') {
                step.direct(said);
            } else if step.method.is_empty() {
                let (method, path) = line.split_once(' ').unwrap_or_else(|| panic!("no request: {line} in {text}"));
                (step.method, step.path) = (method.into(), path.into());
            } else {
                let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line} in {text}"));
                step.headers.push((name.into(), value.into()));
            }
        }
        assert!(!step.method.is_empty(), "a step without a request: {text}");
        step
    }

    fn direct(&mut self, said: &str) {
        match said.split(' ').collect::<Vec<_>>()[..] {
            ["anonymous"] => self.anonymous = true,
            ["until", status] => self.until = Some(Until::Status(status.parse().expect("a status is a number"))),
            ["until", pointer, value] => {
                self.until = Some(Until::Is(pointer.into(), serde_json::from_str(value).expect("a value is JSON")));
            }
            ["keep", name, "=", pointer] => self.keeps.push((name.into(), pointer.into())),
            ["only", list, "where", field, "in", ref values @ ..] => {
                self.only.push((list.into(), field.into(), values.iter().map(|&value| value.into()).collect()));
            }
            ["take", pointer] => self.take = Some(pointer.into()),
            ["without", pointer] => self.without.push(pointer.into()),
            _ => panic!("{}: unknown instruction @{said}", self.title),
        }
    }

    pub fn is_watch(&self) -> bool {
        self.method == "GET" && self.path.contains("watch")
    }

    /// Returns the step with its variables filled in.
    pub fn with(&self, variables: &BTreeMap<String, String>) -> Self {
        let fill = |text: &str| fill(text, variables);
        Self {
            path: fill(&self.path),
            headers: self.headers.iter().map(|(name, value)| (name.clone(), fill(value))).collect(),
            body: fill(&self.body),
            ..self.clone()
        }
    }
}

/// Shows the step as the script contains it.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.method, self.path)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        f.write_str(&self.body)
    }
}

/// Fills in variables: `{{name}}` is the variable of that name, `{{fill 9}}` nine letters.
fn fill(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut parts = text.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or_else(|| panic!("{{{{ without }}}}: {text}"));
        match (name.strip_prefix("fill ").map(str::parse), variables.get(name)) {
            (Some(Ok(length)), _) => filled.push_str(&"x".repeat(length)),
            (_, Some(value)) => filled.push_str(&fill(value, variables)),
            _ => panic!("no variable {name}: {text}"),
        }
        filled.push_str(rest);
    }
    filled
}
