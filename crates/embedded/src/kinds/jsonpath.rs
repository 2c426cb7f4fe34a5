//! The JSON paths of printer columns: fields, indices and conditions such as `[?(@.type=='Ready')]`.

use serde_json::Value;

/// A path, parsed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
    All,
    Where(Vec<String>, String),
}

impl JsonPath {
    /// Parses a path such as `.status.conditions[?(@.type=='Ready')].status`. A path that cannot be parsed finds
    /// nothing.
    pub fn read(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let Some((inside, after)) = inner.split_once(']') else { break };
                rest = after;
                let condition = inside.strip_prefix("?(@").and_then(|c| c.strip_suffix(')'));
                steps.push(match (inside, condition.and_then(|c| c.split_once("=="))) {
                    (_, Some((field, value))) => Step::Where(
                        field.trim().trim_start_matches('.').split('.').map(str::to_owned).collect(),
                        value.trim().trim_matches(['\'', '"']).to_owned(),
                    ),
                    ("*", _) => Step::All,
                    (name, _) => match name.parse() {
                        Ok(index) => Step::Index(index),
                        Err(_) => Step::Field(name.trim_matches(['\'', '"']).to_owned()),
                    },
                });
            } else {
                let field = rest.strip_prefix('.').unwrap_or(rest);
                let end = field.find(['.', '[']).unwrap_or(field.len());
                steps.push(Step::Field(field[..end].to_owned()));
                rest = &field[end..];
            }
        }
        JsonPath(steps)
    }

    /// Returns the first value that the path leads to.
    pub fn first<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        follow(&self.0, value)
    }
}

fn follow<'v>(steps: &[Step], value: &'v Value) -> Option<&'v Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    match step {
        Step::Field(name) => follow(rest, value.get(name)?),
        Step::Index(index) => follow(rest, value.get(index)?),
        Step::All => value.as_array()?.iter().find_map(|item| follow(rest, item)),
        Step::Where(path, wanted) => value.as_array()?.iter().find_map(|item| {
            let found = path.iter().try_fold(item, |value, field| value.get(field))?;
            (found.as_str() == Some(wanted)).then(|| follow(rest, item))?
        }),
    }
}
