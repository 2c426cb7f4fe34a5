//! The names of claims. A claim that is almost one of ours is refused: read as an unknown claim it would be ignored, and
//! a key with `"Exp"` instead of `"exp"` would not end.

use serde_json::{Map, Value};

use crate::domain::text::{is_unseen, spelt_out};

/// As `Claims` has them.
pub(super) const CLAIMS: [&str; 22] = [
    "iss",
    "jti",
    "sub",
    "aud",
    "iat",
    "nbf",
    "exp",
    "grace_until",
    "zone",
    "notice_deadline",
    "grant",
    "plan",
    "lifetime",
    "demo_seats",
    "on_demo",
    "features",
    "holder",
    "pools",
    "purchased_on",
    "support_until",
    "cluster",
    "subscription",
];
/// As `PoolGrant` has them.
pub(super) const POOL: [&str; 8] = ["name", "model", "countBy", "seats", "loginMode", "overflowsTo", "users", "major"];
/// As `Holder` has them.
pub(super) const HOLDER: [&str; 2] = ["user", "email"];
/// As `SubscriptionClaim` has them.
pub(super) const SUBSCRIPTION: [&str; 4] = ["namespace", "name", "startsOn", "term"];

/// Checks that no claim is spelt almost like one that we know, and that none that we know is null. The error names it.
pub(super) fn check_names(claims: &Value) -> Result<(), String> {
    check(claims, &CLAIMS)?;
    check(&claims["holder"], &HOLDER)?;
    check(&claims["subscription"], &SUBSCRIPTION)?;
    claims["pools"].as_array().into_iter().flatten().try_for_each(|pool| check(pool, &POOL))
}

fn check(object: &Value, known: &[&str]) -> Result<(), String> {
    for (name, value) in object.as_object().into_iter().flat_map(Map::iter) {
        match known.iter().find(|known| is_almost(name, known)) {
            // What is not there has a meaning of its own, such as that the key never ends.
            Some(right) if name == right && value.is_null() => {
                return Err(format!("claim `{right}` is null: give it a value, or leave it out"));
            }
            Some(right) if name != right => {
                return Err(format!("claim `{}` must be spelt `{right}`", spelt_out(name)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether two names are the same, but for case, blanks and characters that nobody sees.
fn is_almost(name: &str, known: &str) -> bool {
    let seen = name.chars().filter(|c| !c.is_whitespace() && !is_unseen(*c));
    seen.flat_map(char::to_lowercase).eq(known.chars().flat_map(char::to_lowercase))
}
