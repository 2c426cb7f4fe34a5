//! Signed tokens: compact JWS with Ed25519, whatever they say (RFC 7515, RFC 8037).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::borrow::Cow;

use super::json::{Json, parse};
use super::jwk::thumbprint;
use super::refusal::Refusal;
use crate::domain::text::spelt_out;
use crate::domain::transit::{token_in, what_it_is};

/// The longest header that is read, in characters of its base64url. It is read before anything is verified.
const MAX_HEADER: usize = 4 * 1024;

/// Signs a payload as a compact JWS with EdDSA. Its `kid` is the thumbprint of the public key.
pub fn sign(typ: &str, payload: &Value, key: &SigningKey) -> String {
    let header = serde_json::json!({"alg": "EdDSA", "typ": typ, "kid": thumbprint(&key.verifying_key())});
    let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(payload.to_string()));
    let signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", BASE64.encode(signature.to_bytes()))
}

/// Returns the claims of a token of type `typ` and at most `limit` bytes, if it was signed with a key that `key_of` knows
/// by its thumbprint. Algorithm and public key are never taken from the token: `jwk`, `jku`, `x5c` and `x5u` of its header
/// are not looked at.
pub(super) fn open<'k>(
    text: &[u8],
    typ: &str,
    limit: usize,
    key_of: impl FnOnce(&str) -> Option<&'k VerifyingKey>,
) -> Result<Value, Refusal> {
    let malformed = |why: &str| Refusal::Malformed(why.to_owned());
    let text = token_of(text, limit)?;
    let (header, [head, body, signature]) = split(&text)?;
    let stated = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
    if stated("alg") != "EdDSA" {
        return Err(malformed("its header must say alg EdDSA; no other algorithm is accepted"));
    }
    if stated("typ") != typ {
        return Err(Refusal::Malformed(format!("its header must say typ {typ}")));
    }
    // What is critical must be understood, and a list of nothing, or null, must not be there (RFC 7515, section 4.1.11).
    if header.contains_key("crit") {
        return Err(malformed("its header names critical extensions (crit), and none is supported"));
    }
    // It changes what the signature covers, and must not be in a JWT (RFC 7797, section 7).
    if header.contains_key("b64") {
        return Err(malformed("its header says b64, which a licence key must not: its payload is always base64url"));
    }
    let key = key_of(stated("kid")).ok_or(Refusal::UnknownKey)?;
    let signature = BASE64
        .decode(signature)
        .ok()
        .and_then(|bytes| Signature::from_slice(&bytes).ok())
        .ok_or(Refusal::BadSignature)?;
    key.verify_strict(format!("{head}.{body}").as_bytes(), &signature).map_err(|_| Refusal::BadSignature)?;
    let payload = BASE64.decode(body).map_err(|_| malformed("its payload is not base64url"))?;
    let claims: Json = parse(&payload).map_err(|e| Refusal::Malformed(format!("its payload is not JSON: {e}")))?;
    match claims.doubled {
        Some(name) => {
            let name: String = name.chars().take(64).collect();
            Err(Refusal::Malformed(format!("it says `{}` twice (RFC 7519, section 4)", spelt_out(&name))))
        }
        None => Ok(claims.value),
    }
}

/// Returns the header and the payload of a token of at most `limit` bytes **without verifying them**: for display, never
/// for decisions.
pub(super) fn inspect(text: &[u8], limit: usize) -> Result<(Value, Value), Refusal> {
    let text = token_of(text, limit)?;
    let (_, [head, body, _]) = split(&text)?;
    let json = |part: &str| {
        BASE64
            .decode(part)
            .ok()
            .and_then(|bytes| parse::<Json>(&bytes).ok())
            .filter(|json| json.doubled.is_none())
            .map(|json| json.value)
            .ok_or_else(|| Refusal::Malformed("a part of it is not JSON in base64url that says each thing once".into()))
    };
    Ok((json(head)?, json(body)?))
}

/// The thumbprint of the key that a token of at most `limit` bytes says has signed it, **without verifying it**.
pub(super) fn claimed_signer(text: &[u8], limit: usize) -> Option<String> {
    let text = token_of(text, limit).ok()?;
    let (header, _) = split(&text).ok()?;
    header.get("kid")?.as_str().map(str::to_owned)
}

/// Returns the claims of a token of at most `limit` bytes **without verifying them**; `None` if it cannot be read.
pub(super) fn claimed<T: DeserializeOwned>(text: &[u8], limit: usize) -> Option<T> {
    let text = token_of(text, limit).ok()?;
    let (_, [_, body, _]) = split(&text).ok()?;
    serde_json::from_slice(&BASE64.decode(body).ok()?).ok()
}

/// The token in a text of at most `limit` bytes.
fn token_of(text: &[u8], limit: usize) -> Result<Cow<'_, str>, Refusal> {
    match text.len() > limit {
        true => Err(Refusal::Malformed(format!("it is larger than {limit} bytes"))),
        false => token_in(text).map_err(|what| Refusal::Malformed(format!("it {what}"))),
    }
}

fn split(text: &str) -> Result<(Map<String, Value>, [&str; 3]), Refusal> {
    let malformed = |why: &str| Refusal::Malformed(why.to_owned());
    let mut parts = text.split('.');
    let (Some(head), Some(body), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        let what = what_it_is(text).map_or(String::new(), |what| format!("it {what}; "));
        let message = format!("{what}it does not have the three parts of a signed token; is it complete?");
        return Err(Refusal::Malformed(message));
    };
    if head.len() > MAX_HEADER {
        return Err(Refusal::Malformed(format!("its header has more than {MAX_HEADER} characters")));
    }
    let header = BASE64.decode(head).map_err(|_| malformed("its header is not base64url"))?;
    let header: Json = parse(&header).map_err(|_| malformed("its header is not JSON with `alg` and `kid`"))?;
    if header.doubled.is_some() {
        return Err(malformed("its header says something twice (RFC 7515, section 4)"));
    }
    match header.value {
        Value::Object(header) => Ok((header, [head, body, signature])),
        _ => Err(malformed("its header is not JSON with `alg` and `kid`")),
    }
}
