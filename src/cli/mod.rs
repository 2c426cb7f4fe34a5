//! The commands of the binary, one file each.
//!
//! | what several of them need | file |
//! |---|---|
//! | an error, and the exit status that it leads to | `failure.rs` |
//! | standard output and standard error | `output.rs` |
//! | the arguments of everything that serves seats | `seat_settings.rs` |
//! | objects in YAML files, and their schemas | `documents.rs`, over `yaml.rs`; `schema.rs` |
//! | files, read with a limit | `files.rs` |
//! | what nobody else may write or read | `private.rs` |
//!
//! Exit status: 0 done, 1 it cannot be done (standard error says what is wrong, where, and what to do), 2 wrong use.

mod crds;
mod documents;
mod failure;
mod files;
mod hold;
mod inspect;
mod issue;
mod keygen;
mod openapi;
mod operator;
mod output;
mod private;
mod schema;
mod seat_settings;
mod timeline;
mod up;
mod verify;
pub mod yaml;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use std::sync::LazyLock;

use crate::domain::zone;
use failure::Failure;
use output::warn;

/// Keeps software licences in Kubernetes.
#[derive(Parser)]
#[command(name = "seatkeeper", version = VERSION.as_str(), about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// The version, with the release of the time zones that it has.
static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (time zones {})", env!("CARGO_PKG_VERSION"), zone::release()));

#[derive(Subcommand)]
enum Command {
    Operator(operator::Arguments),
    Crds(crds::Arguments),
    Hold(hold::Arguments),
    Inspect(inspect::Arguments),
    Issue(issue::Arguments),
    Keygen(keygen::Arguments),
    Openapi(openapi::Arguments),
    Timeline(timeline::Arguments),
    Up(up::Arguments),
    Verify(verify::Arguments),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    // The one provider of cryptography, installed before anything uses TLS. This fails only if one is installed
    // already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match Arguments::parse().command {
        Command::Operator(arguments) => operator::run(arguments),
        Command::Crds(arguments) => crds::run(&arguments),
        Command::Hold(arguments) => return end(hold::run(arguments)),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Issue(arguments) => issue::run(&arguments),
        Command::Keygen(arguments) => keygen::run(&arguments),
        Command::Openapi(arguments) => openapi::run(&arguments),
        Command::Timeline(arguments) => timeline::run(&arguments),
        Command::Up(arguments) => up::run(arguments),
        Command::Verify(arguments) => return end(verify::run(&arguments)),
    };
    end(done.map(|()| ExitCode::SUCCESS))
}

fn end(done: Result<ExitCode, Failure>) -> ExitCode {
    done.unwrap_or_else(|failure| {
        failure.message.lines().for_each(warn);
        ExitCode::from(failure.status)
    })
}
