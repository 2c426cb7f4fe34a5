//! `seatkeeper issue`: the key of a contract, made without a cluster.

use clap::Args;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::output::{printable, say, warn};
use super::{documents, files, private};
use crate::domain::contract::default_issuer;
use crate::domain::contract::issuing::{keys_of_term, sign_due};
use crate::domain::days::{day, from, to};
use crate::domain::license::jwk::read_signing_key;
use crate::domain::license::key::{Claims, inspect};
use crate::machine::machine_time;

/// How PEM names a private key, of whatever algorithm.
const PRIVATE: &[u8] = b"PRIVATE KEY-----";

/// Issues a key offline: the same key that the operator would issue for the contract.
///
/// Without --term, the key is for the current term, or for the first one if no term runs now. A term in which the seats
/// change has several keys: the one in force now is issued or, for a term that is still to come, the one in force at
/// its start.
#[derive(Args)]
pub struct Arguments {
    /// YAML with the Subscription and its Plans.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// The private key, as `seatkeeper keygen` makes it: an Ed25519 key as PKCS #8 in PEM.
    #[arg(long, value_name = "PEM")]
    signing_key: PathBuf,
    /// The term, counted from 1.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    term: Option<u32>,
    /// The Plan, if the Subscription has several: each has its own keys.
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// The Subscription, if the file has several.
    #[arg(long, value_name = "NAME")]
    subscription: Option<String>,
    /// The issuer's name (claim iss). Default: the namespace of the Subscription. All keys of a contract need the same
    /// issuer, or they do not supersede one another.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// The file to write the key to. A file with anything else than this key is never overwritten.
    #[arg(long, value_name = "KEYFILE")]
    out: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    private::forbid_core_dumps();
    let contract = documents::read_contract(&arguments.file, arguments.subscription.as_deref())?;
    let plans: Vec<&str> = contract.lines.iter().map(|line| line.plan.as_str()).collect();
    let plan = match (&arguments.plan, &plans[..]) {
        (Some(plan), _) if plans.contains(&plan.as_str()) => plan,
        (None, [plan]) => *plan,
        (named, _) => {
            let named = named.as_ref().map(|name| format!(", and no {name}")).unwrap_or_default();
            let message = format!("the Subscription has the Plans {}{named}: name one with --plan", plans.join(", "));
            return Err(Failure::usage(printable(&message)));
        }
    };
    private::warn_if_open(&arguments.signing_key);
    let key = read_signing_key(&private::read_key(&arguments.signing_key)?)
        .map_err(|fault| Failure::usage(format!("{}: {}", arguments.signing_key.display(), fault.message)))?;
    let issuer = arguments.issuer.as_deref().unwrap_or(default_issuer(&contract.namespace));
    let now = machine_time();
    let (of_term, refused) = keys_of_term(&contract, plan, issuer, arguments.term, now)?;
    for fault in refused {
        warn(&fault.to_string());
    }
    let claims = &of_term.now;
    let signed = sign_due(claims, &key)? + "\n";
    refuse_to_overwrite(&arguments.out, &signed)?;
    files::replace(&arguments.out, &signed, 0o600)?;
    for later in &of_term.later {
        let seats = later.pools.iter().map(|pool| format!("{} {}", pool.name, pool.seats)).collect::<Vec<_>>();
        warn(&format!(
            "the seats change on {}: {}. Issue another key from then on",
            day(later.starts_at(), &later.zone()),
            seats.join(", ")
        ));
    }
    say(&printable(&described(claims, &arguments.out.display().to_string())))
}

/// Fails if there is a file whose loss would matter: `--out` may be mistyped as the signing key's own file.
fn refuse_to_overwrite(out: &Path, signed: &str) -> Result<(), Failure> {
    if out.symlink_metadata().is_err() {
        return Ok(());
    }
    // To read a terminal or a pipe would not end.
    let is_file = out.metadata().is_ok_and(|there| there.is_file());
    let there = if is_file { private::read_key(out)? } else { Default::default() };
    if is_file && there.is_empty() || is_same_key(&there, signed.as_bytes()) {
        return Ok(());
    }
    let what = match () {
        () if !is_file => "is not a file that can be replaced: name another one with --out",
        () if holds_private_key(&there) => "holds a private key and is not overwritten: name another file with --out",
        () => {
            "exists already, holds something else and is not overwritten: name another file with --out, or move it away"
        }
    };
    Err(Failure::new(format!("{}: {what}", out.display())))
}

/// Whether both are the same key by the same signer, apart from when it was signed.
fn is_same_key(one: &[u8], other: &[u8]) -> bool {
    let says = |text: &[u8]| {
        let (header, mut claims) = inspect(text).ok()?;
        claims.as_object_mut()?.remove("iat");
        Some((header, claims))
    };
    says(one).is_some_and(|says_one| says(other) == Some(says_one))
}

fn holds_private_key(text: &[u8]) -> bool {
    read_signing_key(text).is_ok() || text.windows(PRIVATE.len()).any(|part| part == PRIVATE)
}

fn described(claims: &Claims, file: &str) -> String {
    let term = claims.subscription.as_ref().map_or(1, |s| s.term);
    let zone = claims.zone();
    let end = claims.ends_at().map_or("without an end".to_owned(), |end| to(end, &zone));
    format!(
        "{file}: key {} for {}, Plan {}, term {term}, in force {} {end} ({zone})\n",
        claims.jti,
        claims.sub,
        claims.plan,
        from(claims.starts_at(), &zone)
    )
}
