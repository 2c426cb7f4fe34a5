//! The commands of the binary, one file each.
//!
//! Exit status: 0 done, 1 it cannot be done (standard error says what is wrong, where, and what to do), 2 wrong use.

mod crds;
mod documents;
mod files;
mod hold;
mod inspect;
mod issue;
mod keygen;
mod openapi;
mod operator;
mod timeline;
mod up;
mod verify;
mod yaml;

use clap::{Args, Parser, Subcommand};
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

use crate::domain::fault::Fault;
use crate::domain::seats::journal::LONGEST_TTL;
use crate::seats::limits::TTL;
use crate::seats::thread::SeatThread;

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

/// Writes to standard output. A reader that has read enough (`| head`) is not a failure.
fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(format!("standard output: {e}"))),
        _ => Ok(()),
    }
}

/// Writes a line to standard error.
fn warn(line: &str) {
    // If standard error is gone, there is nobody left to notify.
    let _ = writeln!(std::io::stderr(), "seatkeeper: {line}");
}

/// Makes text that somebody else wrote safe to show on a terminal: control characters are escaped.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let spelt = (c.is_control() && c != '\n').then(|| c.escape_default());
            let plain = spelt.is_none().then_some(c);
            spelt.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// How long a seat is held without a heartbeat: the same for everything that serves seats.
#[derive(Args)]
struct SeatTtl {
    /// A seat is freed after this many seconds without a heartbeat from its holder. Holders that were given another
    /// time before may rely on it.
    #[arg(long, value_name = "SECONDS", default_value_t = TTL.as_secs(), value_parser = clap::value_parser!(u64).range(5..=LONGEST_TTL))]
    seat_ttl: u64,
}

impl SeatTtl {
    fn ttl(&self) -> Duration {
        Duration::from_secs(self.seat_ttl)
    }
}

/// Starts the thread that serves seats.
fn seat_thread() -> Result<SeatThread, Failure> {
    SeatThread::start().map_err(|e| Failure::new(format!("the thread for seats cannot be started: {e}")))
}

/// How many agents may connect at the same instant.
const BACKLOG: u32 = 1024;

/// Takes the port of the seat server.
fn seats_listener(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|e: std::io::Error| {
        Failure::new(format!("--seats-listen {address}: {e}; name another address, port 0 takes any that is free"))
    })
}

/// Why a command could not do its work, and the exit status that says so.
#[derive(Debug)]
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

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::new(fault.to_string())
    }
}
