//! The commands of the binary, one file each.
//!
//! Exit status: 0 done, 1 it cannot be done (what, where, and what to do is on standard error), 2 wrong use.

mod crds;
mod operator;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Keeps software licences in Kubernetes.
#[derive(Parser)]
#[command(name = "seatkeeper", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Operator(operator::Arguments),
    Crds(crds::Arguments),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    // One provider of cryptography, named before anything uses TLS. It fails only where one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match Arguments::parse().command {
        Command::Operator(arguments) => operator::run(arguments),
        Command::Crds(arguments) => crds::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("seatkeeper: {}", failure.message);
            ExitCode::from(failure.status)
        }
    }
}

/// Why a command could not do its work, and the exit status that says so.
pub struct Failure {
    pub status: u8,
    pub message: String,
}

impl Failure {
    /// The work cannot be done.
    pub fn new(message: impl Into<String>) -> Self {
        Failure { status: 1, message: message.into() }
    }

    /// The command was called wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure { status: 2, message: message.into() }
    }
}
