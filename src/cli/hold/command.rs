//! The command that runs on a seat.

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgrp, tcgetpgrp};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Error, ErrorKind};
use std::process::ExitStatus;
use tokio::process::{Child, Command};

use super::signals::Received;
use crate::cli::failure::Failure;
use crate::cli::output::printable;

/// The exit statuses of shells, `env` and `timeout`.
const NOT_FOUND: u8 = 127;
const CANNOT_RUN: u8 = 126;

/// A running command, which shares our standard input, output and error.
pub struct Started {
    child: Child,
    process: Process,
}

/// Where signals are sent. The process id is valid until the end of the process has been waited for, and only `Started`
/// does that.
#[derive(Clone, Copy)]
pub struct Process(Pid);

impl Started {
    pub fn command(command: &[OsString]) -> Result<Self, Failure> {
        let [program, arguments @ ..] = command else { return Err(Failure::usage("name a command after --")) };
        let failed = |e: Error| {
            let status = if e.kind() == ErrorKind::NotFound { NOT_FOUND } else { CANNOT_RUN };
            Failure { status, message: printable(&format!("{}: {e}", program.display())) }
        };
        let child = Command::new(program).args(arguments).spawn().map_err(failed)?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.ok_or_else(|| failed(Error::other("it has ended before it began")))?;
        Ok(Started { child, process: Process(Pid::from_raw(id)) })
    }

    pub fn process(&self) -> Process {
        self.process
    }

    pub async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }
}

impl Process {
    /// Passes a signal on, except the Ctrl-C of a terminal: that has reached the command already, as it reaches every
    /// process in the foreground, and a second one means "at once" to many programs.
    pub fn pass_on(self, received: Received) {
        if received.signal() == Signal::SIGINT && is_in_foreground() {
            return;
        }
        self.send(received.signal());
    }

    pub fn terminate(self) {
        self.send(Signal::SIGTERM);
    }

    fn send(self, signal: Signal) {
        // The command may have ended.
        let _ = kill(self.0, signal);
    }
}

/// Whether what is typed at a terminal reaches this process and its command.
fn is_in_foreground() -> bool {
    let terminal = File::open("/dev/tty");
    terminal.is_ok_and(|terminal| tcgetpgrp(&terminal).is_ok_and(|foreground| foreground == getpgrp()))
}
