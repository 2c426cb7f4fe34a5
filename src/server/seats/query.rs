//! The query of a listing or an eviction: the License, and which of its holders.
//!
//! An eviction of the wrong user frees nothing, or somebody else's seat, so a query that two programs may read in two ways
//! is refused: above all one with a `+`, which is a blank in forms, and a plus sign in RFC 3986.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::license::name::LicenseName;
use crate::domain::names::into_normal;
use crate::server::http::operation::parameter;
use crate::server::http::problem::Problem;
use crate::server::http::reply::shown;

/// What the query says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Query {
    pub namespace: String,
    pub license: String,
    /// In the form in which names are compared.
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub limit: Option<usize>,
    #[serde(default, rename = "continue")]
    pub from: Option<u64>,
}

impl Query {
    pub fn license(&self) -> LicenseName {
        LicenseName::new(&self.namespace, &self.license)
    }
}

/// Reads a query. An error names the field.
pub fn read(query: Option<&str>) -> Result<Query, Problem> {
    let query = query.unwrap_or_default();
    query.split('&').try_for_each(refuse_two_meanings)?;
    let pairs = form_urlencoded::parse(query.as_bytes());
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
        if fields.contains_key(key.as_ref()) {
            return Err(Problem::invalid(format!("`{}` is given twice: give it once", shown(&key))));
        }
        fields.insert(key.into_owned(), value);
    }
    let query: Query = serde_json::from_value(fields.into())
        .map_err(|error| Problem::invalid(format!("the query cannot be read: {error}")))?;
    match query.user.as_deref() {
        Some("") => {
            Err(Problem::invalid("`user` is empty: name the user, or leave `user` out to mean all of the License"))
        }
        _ => Ok(Query { user: query.user.map(into_normal), ..query }),
    }
}

/// Fails if programs disagree on what a field of the query says.
fn refuse_two_meanings(field: &str) -> Result<(), Problem> {
    let name = shown(field.split_once('=').map_or(field, |(name, _)| name));
    if field.contains('+') {
        let what = "has a `+`, which may mean a blank: write %2B for a plus sign, and %20 for a blank";
        return Err(Problem::invalid(format!("`{name}` {what}")));
    }
    match percent_decode_str(field).decode_utf8() {
        Ok(_) => Ok(()),
        Err(_) => {
            Err(Problem::invalid(format!("`{name}` is not text in UTF-8: percent-encode the bytes of its UTF-8")))
        }
    }
}

/// The description of the fields that name a License, or one of its users.
pub fn of_license() -> Vec<Value> {
    const USER: &str = "The user whose seats are meant; without it, all seats of the License. Write a plus sign as %2B and \
                        a blank as %20: a bare `+` is refused, because programs disagree on what it means.";
    let user = json!({"type": "string", "minLength": 1, "description": USER});
    let name = || json!({"type": "string"});
    vec![parameter("namespace", true, name()), parameter("license", true, name()), parameter("user", false, user)]
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

    #[test]
    fn a_query_with_two_meanings_is_refused() {
        const OF: &str = "namespace=centre&license=innoacd";
        let said = |more: &str| read(Some(&format!("{OF}{more}"))).err().map(|problem| problem.detail);
        for (more, says) in [
            ("&user=a+b@x", "`user` has a `+`, which may mean a blank: write %2B for a plus sign, and %20 for a blank"),
            ("&user=a&user=b", "`user` is given twice: give it once"),
            ("&user=a&us%65r=a", "`user` is given twice: give it once"),
            ("&limit=1&limit=1", "`limit` is given twice: give it once"),
            ("&namespace=other", "`namespace` is given twice: give it once"),
            ("&user=", "`user` is empty: name the user, or leave `user` out to mean all of the License"),
            ("&user=%ff", "`user` is not text in UTF-8: percent-encode the bytes of its UTF-8"),
        ] {
            assert_eq!(said(more).as_deref(), Some(says), "{more}");
        }
        assert!(said("&colour=red").is_some_and(|said| said.contains("unknown field `colour`")));
        for (more, user) in [("&user=a%2Bb%40x", "a+b@x"), ("&user=a%20b", "a b"), ("&user=%EF%BF%BD&", "\u{fffd}")] {
            assert_eq!(read(Some(&format!("{OF}{more}"))).ok().and_then(|query| query.user).as_deref(), Some(user));
        }
    }
}
