//! The query of a listing or an eviction: the License, and which of its holders.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::license::name::LicenseName;
use crate::server::http::operation::parameter;
use crate::server::http::problem::Problem;

/// What the query says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Query {
    pub namespace: String,
    pub license: String,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub limit: Option<usize>,
    #[serde(default, rename = "continue")]
    pub from: Option<usize>,
}

impl Query {
    pub fn license(&self) -> LicenseName {
        LicenseName::new(&self.namespace, &self.license)
    }
}

/// Reads a query. An error names the field.
pub fn read(query: Option<&str>) -> Result<Query, Problem> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let number = |key: &str, value: &str| match value.parse::<u64>() {
        Ok(number) => Ok(json!(number)),
        Err(_) => Err(Problem::invalid(format!("`{key}` is not a number"))),
    };
    let mut fields = serde_json::Map::new();
    for (key, value) in pairs {
        let value = match key.as_ref() {
            "limit" | "continue" => number(&key, &value)?,
            _ => Value::from(value.into_owned()),
        };
        fields.insert(key.into_owned(), value);
    }
    serde_json::from_value(fields.into())
        .map_err(|error| Problem::invalid(format!("the query cannot be read: {error}")))
}

/// The description of the fields that name a License, or one of its users.
pub fn of_license() -> Vec<Value> {
    [("namespace", true), ("license", true), ("user", false)]
        .map(|(name, required)| parameter(name, required, json!({"type": "string"})))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text::is_unseen;

    /// Found by fuzzing: the name of an unknown field was quoted as it came.
    #[test]
    fn what_is_said_of_a_query_is_short_and_safe_on_a_terminal() {
        let command = "demo~innoacd~agents~3~anna~s1~1767225600~AAA\0\0A\u{1b}[2J\u{202e}";
        for query in [command.to_owned(), "a".repeat(1 << 20), "%00".repeat(1 << 10)] {
            let said = read(Some(&query)).err().map(|problem| problem.detail).unwrap_or_default();
            assert!(said.starts_with("the query cannot be read: unknown field `"), "{said:?}");
            assert!(said.len() <= 4_000, "{} bytes", said.len());
            assert_eq!(said.chars().find(|c| is_unseen(*c)), None, "{said:?}");
        }
    }
}
