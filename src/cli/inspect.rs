//! `seatkeeper inspect`: what a key says.

use chrono::DateTime;
use clap::Args;
use std::path::PathBuf;

use super::failure::Failure;
use super::files;
use super::output::{json, local, printable, say};
use crate::domain::license::key::{self, MAX_KEY_BYTES};
use crate::domain::zone::Zone;

/// Shows what a key says, without verifying it.
#[derive(Args)]
pub struct Arguments {
    /// The file with the key.
    #[arg(value_name = "KEYFILE")]
    key: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let text = files::read_start(&arguments.key, MAX_KEY_BYTES)?;
    let (header, claims) = key::inspect(&text)
        .map_err(|refusal| Failure::new(format!("{}: {}", arguments.key.display(), printable(&refusal.to_string()))))?;
    let mut shown = format!(
        "NOT VERIFIED: anybody could have written this. `seatkeeper verify` says whether it is genuine.\n\nHeader\n{}\n\nClaims\n{}\n",
        json(&header),
        json(&claims)
    );
    let zone = claims.get("zone").and_then(|zone| Zone::named(zone.as_str()?)).unwrap_or_else(Zone::utc);
    let times = [
        ("iat", "issued"),
        ("nbf", "valid from"),
        ("notice_deadline", "too late to cancel"),
        ("exp", "ends"),
        ("grace_until", "grace ends"),
    ];
    let times = times.into_iter().filter_map(|(claim, meaning)| {
        let at = DateTime::from_timestamp(claims.get(claim)?.as_i64()?, 0)?;
        Some(format!("{claim:<16} {meaning:<19} {}\n", local(at, &zone)))
    });
    let times: String = times.collect();
    if !times.is_empty() {
        shown += &format!("\nTimes ({zone})\n{times}");
    }
    say(&printable(&shown))
}
