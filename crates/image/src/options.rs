//! What is packed, and what the image says of itself.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Parser;

/// What an image is made of, and what it says of itself.
#[derive(Parser)]
#[command(about, version)]
pub struct Options {
    /// The program, linked statically
    pub program: PathBuf,
    /// The file to write: an OCI layout and a Docker archive in one
    pub out: PathBuf,
    /// The image's name without a tag
    #[arg(long)]
    pub name: String,
    /// The version, which is the tag too
    #[arg(long)]
    pub tag: String,
    /// The commit that it was built from
    #[arg(long)]
    pub revision: String,
    /// The processor in the words of Go: amd64, arm64
    #[arg(long)]
    pub architecture: String,
    /// The time that files and image bear, in seconds since 1970
    #[arg(long, env = "SOURCE_DATE_EPOCH", value_parser = moment)]
    pub created: DateTime<Utc>,
}

fn moment(seconds: &str) -> Result<DateTime<Utc>, String> {
    let seconds = seconds.parse().map_err(|e| format!("{e}"))?;
    DateTime::from_timestamp(seconds, 0).ok_or_else(|| "it is too far away".to_owned())
}
