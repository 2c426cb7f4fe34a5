//! `seatkeeper openapi`: the OpenAPI document of the seat server.

use clap::Args;
use std::path::PathBuf;

use super::failure::Failure;
use super::output::say;
use crate::server::routes::document;

/// Prints the OpenAPI document of /v1/seats, or writes it to a file.
#[derive(Args)]
pub struct Arguments {
    /// Write it to this file instead.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let text = format!("{:#}\n", document());
    match &arguments.out {
        None => say(&text),
        Some(path) => std::fs::write(path, text).map_err(|e| Failure::new(format!("{}: {e}", path.display()))),
    }
}
