//! What several targets need.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signer, SigningKey};
use seatkeeper::domain::license::jwk::thumbprint;
use seatkeeper::domain::license::trust::Trust;
use seatkeeper::domain::text::is_unseen;
use seatkeeper::server::http::problem::Problem;
use serde::de::IgnoredAny;
use std::sync::LazyLock;

/// The key that the seeds are signed with.
static SIGNER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));
static TRUST: LazyLock<Trust> = LazyLock::new(|| Trust::new([SIGNER.verifying_key()]));

pub fn signer() -> &'static SigningKey {
    &SIGNER
}

/// Trusts the signer alone.
pub fn trust() -> &'static Trust {
    &TRUST
}

/// A compact JWS with any payload: its header, its payload, and its signature if it is to have one.
pub fn token(typ: &str, payload: &[u8], is_signed: bool) -> String {
    let header = format!(r#"{{"alg":"EdDSA","typ":"{typ}","kid":"{}"}}"#, thumbprint(&SIGNER.verifying_key()));
    let text = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let signature = match is_signed {
        true => BASE64.encode(SIGNER.sign(text.as_bytes()).to_bytes()),
        false => String::new(),
    };
    format!("{text}.{signature}")
}

/// Whether the bytes are JSON. Signing takes many times as long as looking.
pub fn is_json(data: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

/// What is said to a caller is short, and safe on a terminal.
pub fn check_said(problem: &Problem) {
    assert!(problem.detail.len() <= 4_000, "{} bytes are said", problem.detail.len());
    assert_eq!(problem.detail.chars().find(|c| is_unseen(*c)), None, "{:?}", problem.detail);
    assert_eq!(problem.reply().status().as_u16(), problem.status);
}

/// Splits at the first line that is `---`, if there is one.
pub fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    const LINE: &[u8] = b"\n---\n";
    match data.windows(LINE.len()).position(|window| window == LINE) {
        Some(at) => (&data[..at], &data[at + LINE.len()..]),
        None => (data, &[]),
    }
}
