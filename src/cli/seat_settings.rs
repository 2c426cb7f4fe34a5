//! The arguments of everything that serves seats, and what they lead to.

use clap::Args;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

use super::failure::Failure;
use crate::domain::seats::journal::LONGEST_TTL;
use crate::operator::settings::SeatSettings;
use crate::seats::budget::BYTES_A_SECOND;
use crate::seats::limits::TTL;
use crate::seats::thread::SeatThread;

/// How seats are kept: the same for everything that serves them.
#[derive(Args)]
pub struct SeatArguments {
    /// A seat is freed after this many seconds without a heartbeat from its holder. Holders that were given another
    /// time before may rely on it.
    #[arg(long, value_name = "SECONDS", default_value_t = TTL.as_secs(), value_parser = clap::value_parser!(u64).range(5..=LONGEST_TTL))]
    seat_ttl: u64,
    /// The most bytes a second that writes of SeatLedgers may cost on average; 0: no limit. Under pressure, writes get
    /// larger and nothing fails.
    #[arg(long, value_name = "BYTES", default_value_t = BYTES_A_SECOND)]
    ledger_bytes_a_second: u64,
}

impl SeatArguments {
    /// `is_new` says that what the API server keeps has just begun.
    pub fn settings(&self, is_new: bool) -> SeatSettings {
        let SeatArguments { seat_ttl, ledger_bytes_a_second } = *self;
        SeatSettings { ttl: Duration::from_secs(seat_ttl), ledger_bytes_a_second, is_new }
    }
}

/// Starts the thread that serves seats.
pub fn seat_thread() -> Result<SeatThread, Failure> {
    SeatThread::start().map_err(|e| Failure::new(format!("the thread for seats cannot be started: {e}")))
}

/// As many open files as anything here needs: each connection is one.
const OPEN_FILES: u64 = 65_536;

/// Lets this process open as many files as it needs, if the system allows it. Many systems begin with 1,024.
pub fn raise_open_files() {
    if let Ok((now, most)) = getrlimit(Resource::RLIMIT_NOFILE)
        && now < OPEN_FILES.min(most)
    {
        // If it is not allowed, fewer connections are served at a time.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES.min(most), most);
    }
}

/// How many agents may connect at the same instant.
const BACKLOG: u32 = 1024;

/// Takes the port of the seat server.
pub fn seats_listener(address: SocketAddr) -> Result<TcpListener, Failure> {
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
