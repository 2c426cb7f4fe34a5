//! `seatkeeper verify`: whether a key is genuine and in force, and what it grants.

use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::failure::Failure;
use super::files;
use super::output::{self, printable, say, warn};
use crate::domain::Instant;
use crate::domain::days::{ended, from, to};
use crate::domain::fault::Fault;
use crate::domain::license::entitlement::{KeyState, Presentation, entitlement, present};
use crate::domain::license::jwk::read_jwks;
use crate::domain::license::key::{Claims, MAX_KEY_BYTES, verify_key};
use crate::domain::license::trust::{Trust, read_list};
use crate::domain::text::spelt_out;
use crate::machine::machine_time;

/// Says whether a key is genuine and in force. Exit status: 0 in force, 1 not, 2 wrong use.
#[derive(Args)]
pub struct Arguments {
    /// The public keys to trust: the vendor's jwks.json.
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// The vendor's list of revoked keys, revoked.jwt.
    #[arg(long, value_name = "FILE")]
    revoked: Option<PathBuf>,
    /// Refuse keys for other products.
    #[arg(long, value_name = "NAME")]
    product: Option<String>,
    /// Judge as of this time instead of now: RFC 3339, such as 2026-01-01T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Instant>,
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
    /// The file with the key.
    #[arg(value_name = "KEYFILE")]
    key: PathBuf,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Json,
}

fn instant(text: &str) -> Result<Instant, String> {
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|e| format!("{e}; write RFC 3339, such as 2026-01-01T00:00:00Z"))
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let trust = trust(arguments)?;
    let text = files::read_start(&arguments.key, MAX_KEY_BYTES)?;
    let now = arguments.at.unwrap_or_else(machine_time);
    let (state, claims) = judge(&text, &trust, arguments.product.as_deref(), now);
    let message = message(&state, claims.as_ref(), now);
    let refusal = match &state {
        KeyState::Refused(refusal) => Some(refusal.reason().as_str()),
        _ => None,
    };
    match arguments.output {
        Some(Format::Json) => {
            let answer = json!({"state": name(&state), "reason": refusal, "message": message, "claims": claims});
            say(&format!("{}\n", output::json(&answer)))?;
        }
        None => {
            let title = refusal.map_or(name(&state).to_owned(), |reason| format!("Refused ({reason})"));
            let message = spelt_out(&message);
            say(&format!("{title}: {message}\n{}", claims.as_ref().map(summary).unwrap_or_default()))?;
        }
    }
    Ok(match state {
        KeyState::InForce => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    })
}

fn trust(arguments: &Arguments) -> Result<Trust, Failure> {
    let file = &arguments.trust;
    let read = read_jwks(&files::read(file)?)
        .map_err(|fault| Failure::usage(format!("{}: {}", file.display(), printable(&fault.message))))?;
    let told = |file: &Path, trouble: Fault| warn(&format!("{}: {}", file.display(), trouble.message));
    read.trouble().into_iter().for_each(|trouble| told(file, trouble));
    let mut trust = Trust::new(read.keys);
    if let Some(file) = &arguments.revoked {
        let list = read_list(&files::read(file)?, &trust).map_err(|refusal| {
            Failure::usage(format!(
                "{}: is not a revoked.jwt from a trusted signer: {}",
                file.display(),
                printable(&refusal.to_string())
            ))
        })?;
        list.trouble.into_iter().for_each(|trouble| told(file, trouble));
        trust.heed_genuine(&list.signer, &Arc::new(list.list));
    }
    Ok(trust)
}

/// What one key on its own is worth at `now`, and its claims if the signature is good. A key bound to a cluster is
/// judged as if presented there, because a file cannot know its cluster.
fn judge(text: &[u8], trust: &Trust, product: Option<&str>, now: Instant) -> (KeyState, Option<Claims>) {
    let key = match verify_key(text, trust) {
        Ok(key) => key,
        Err(refusal) => return (KeyState::Refused(refusal), None),
    };
    let claims = key.claims.clone();
    let to = Presentation {
        product: product.unwrap_or(&claims.aud),
        cluster: claims.cluster.as_deref().unwrap_or_default(),
        trust,
    };
    let presented = present("", "", Ok(key), &to);
    let state = entitlement(&[presented], now).keys.remove(0);
    (state, Some(Claims::clone(&claims)))
}

fn name(state: &KeyState) -> &'static str {
    match state {
        KeyState::InForce => "InForce",
        KeyState::Future => "Future",
        KeyState::Refused(_) => "Refused",
        KeyState::Superseded | KeyState::Expired => "Expired",
    }
}

fn message(state: &KeyState, claims: Option<&Claims>, now: Instant) -> String {
    if let KeyState::Refused(refusal) = state {
        return refusal.to_string();
    }
    let Some(claims) = claims else { return String::new() };
    let (zone, ends) = (claims.zone(), claims.ends_at());
    match (state, ends) {
        (KeyState::InForce, None) => "the key is genuine and in force without an end".to_owned(),
        (KeyState::InForce, Some(end)) => format!("the key is genuine and in force {} ({zone})", to(end, &zone)),
        (KeyState::Future, _) => {
            format!("the key is genuine and will be in force {} ({zone})", from(claims.starts_at(), &zone))
        }
        (_, ends) => {
            let grace = claims.grace_ends_at().filter(|grace| Some(*grace) > ends);
            let grace = grace.map(|at| match now < at {
                true => format!(", its grace runs {}", to(at, &zone)),
                false => format!(", its grace {}", ended(at, &zone)),
            });
            let grace = grace.unwrap_or_default();
            let ended = ends.map(|end| ended(end, &zone)).unwrap_or_default();
            format!("the key is genuine and {ended} ({zone}){grace}")
        }
    }
}

fn summary(claims: &Claims) -> String {
    let pools = claims.pools.iter().map(|pool| match pool.model {
        crate::domain::license::pool::PoolModel::Unlimited => format!("{} unlimited", pool.name),
        _ => format!("{} {}", pool.name, pool.seats),
    });
    let rows = [
        ("Organisation", claims.sub.clone()),
        ("Product", claims.aud.clone()),
        ("Plan", claims.plan.clone()),
        ("Seats", pools.collect::<Vec<_>>().join(", ")),
        ("Features", claims.features.join(", ")),
        ("Cluster", claims.cluster.clone().unwrap_or_default()),
        ("Serial", claims.jti.clone()),
    ];
    let rows = rows.into_iter().filter(|(_, text)| !text.is_empty());
    rows.map(|(name, text)| format!("{name:<13} {}\n", spelt_out(&text))).collect()
}
