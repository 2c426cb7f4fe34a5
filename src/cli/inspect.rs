//! `seatkeeper inspect`: what a key says.

use chrono::DateTime;
use clap::Args;
use std::path::PathBuf;

use super::failure::Failure;
use super::files;
use super::output::{json, printable, say, utc};
use crate::domain::license::key::{self, MAX_KEY_BYTES};

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
    let times = [("iat", "issued"), ("nbf", "valid from"), ("exp", "ends"), ("grace_until", "grace ends")];
    let times = times.into_iter().filter_map(|(claim, meaning)| {
        let at = DateTime::from_timestamp(claims.get(claim)?.as_i64()?, 0)?;
        Some(format!("{claim:<12} {meaning:<11} {}\n", utc(at)))
    });
    let times: String = times.collect();
    if !times.is_empty() {
        shown += &format!("\nTimes\n{times}");
    }
    say(&printable(&shown))
}
