//! The signals that ask a program to end.

use nix::sys::signal::Signal;
use std::io;
use std::process::ExitCode;
use tokio::signal::unix::{self, SignalKind};

/// The signals that this process receives from now on. A signal that was ignored when it began (`nohup`) stays ignored.
pub struct Signals {
    terminate: unix::Signal,
    interrupt: Option<unix::Signal>,
    hang_up: Option<unix::Signal>,
}

/// A signal that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received(Signal);

impl Signals {
    pub fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let unless_ignored = |signal: Signal, kind| match ignored >> (signal as i32 - 1) & 1 {
            0 => unix::signal(kind).map(Some),
            _ => Ok(None),
        };
        Ok(Signals {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unless_ignored(Signal::SIGINT, SignalKind::interrupt())?,
            hang_up: unless_ignored(Signal::SIGHUP, SignalKind::hangup())?,
        })
    }

    pub async fn next(&mut self) -> Received {
        async fn one(of: &mut Option<unix::Signal>) {
            match of {
                Some(signal) => _ = signal.recv().await,
                None => std::future::pending().await,
            }
        }
        Received(tokio::select! {
            _ = self.terminate.recv() => Signal::SIGTERM,
            () = one(&mut self.interrupt) => Signal::SIGINT,
            () = one(&mut self.hang_up) => Signal::SIGHUP,
        })
    }
}

/// The signals that this process ignores, one bit each (proc_pid_status(5)); zero if that cannot be read.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

impl Received {
    pub fn signal(self) -> Signal {
        self.0
    }

    /// The exit status by which shells show that this signal ended a program.
    pub fn exit_code(self) -> ExitCode {
        u8::try_from(128 + self.0 as i32).map_or(ExitCode::FAILURE, ExitCode::from)
    }
}
