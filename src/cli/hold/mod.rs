//! `seatkeeper hold`: runs a command on a seat.

mod command;
mod signals;

use clap::Args;
use std::cell::Cell;
use std::convert::Infallible;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use super::failure::Failure;
use super::output::{printable, warn};
use crate::machine::random_bytes;
use command::Started;
use seatkeeper_client::{Access, Lease, Request, SeatClient, Token, Trouble};
use signals::Signals;

/// Where `seatkeeper up` serves seats.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:6441";
/// Where a pod has its namespace and, if set up as in docs/seats.md, its token and the certificate to trust.
const NAMESPACE_OF_POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
const TOKEN_OF_POD: &str = "/var/run/secrets/seatkeeper/token";
const AUTHORITY_OF_POD: &str = "/var/run/secrets/seatkeeper/ca.crt";
/// Where `seatkeeper up` has its token, relative to the folder that it was started in.
const TOKEN_OF_UP: &str = ".seatkeeper/token";
/// Exit status if asking again later may help (EX_TEMPFAIL of sysexits.h), and if it will not (EX_NOPERM).
const MAY_PASS: u8 = 75;
const WILL_NOT_PASS: u8 = 77;
/// A request that is under way when a signal comes has this long to be answered, so that its seat can be given back.
const LAST_ANSWER: Duration = Duration::from_millis(500);

/// Takes a seat of a License, runs a command, and frees the seat when the command ends.
///
/// Exit status: that of the command, or 128 plus the signal's number if a signal ended it; 126 or 127 if it cannot be
/// started; 75 if no seat is free at present; 77 if there will be no seat until the licence, the rights or the request
/// change; 2 wrong use.
#[derive(Args)]
pub struct Arguments {
    /// The License to take a seat of. Default namespace: that of the pod, else `default`.
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    license: String,
    /// The pool, if the License has several and the user may choose.
    #[arg(long)]
    pool: Option<String>,
    /// The user that the seat is for. Without a user, each start counts on its own.
    #[arg(long)]
    user: Option<String>,
    /// The machine that the seat is used on, if seats are bound to machines.
    #[arg(long)]
    client: Option<String>,
    /// The major version of the program, if the licence covers only some versions.
    #[arg(long)]
    version: Option<u32>,
    /// The address of the seat server.
    #[arg(long, value_name = "URL", env = "SEATKEEPER_SERVER", default_value_t = format!("http://{DEFAULT_ADDRESS}"))]
    server: String,
    /// The file with the token, read again for each request. Default: the pod's token in /var/run/secrets/seatkeeper,
    /// else that of `seatkeeper up` in .seatkeeper.
    #[arg(long, value_name = "FILE", env = "SEATKEEPER_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// The file with the certificates to trust for https, in PEM. Default: ca.crt in /var/run/secrets/seatkeeper, else
    /// those of the system.
    #[arg(long, value_name = "FILE", env = "SEATKEEPER_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// Wait until a seat is free, at most this long: 30s, 5m, 2h; without a value, for ever.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "forever")]
    wait: Option<Wait>,
    /// End the command (SIGTERM) when its seat is lost. By default the command goes on, and a new seat is asked for.
    #[arg(long)]
    stop_when_lost: bool,
    /// The command to run, with its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// The longest time to wait in the queue; `None` to wait for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wait(Option<Duration>);

impl std::str::FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "forever" {
            return Ok(Wait(None));
        }
        let bad = || "write a whole number and a unit (s, m, h or d), for example 5m, or nothing".to_owned();
        let digits = text.trim_end_matches(char::is_alphabetic);
        let unit = match &text[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(bad()),
        };
        let number: u32 = digits.parse().map_err(|_| bad())?;
        Ok(Wait(Some(Duration::from_secs(u64::from(number) * unit))))
    }
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(format!("no runtime can be started: {e}")))?;
    let done = runtime.block_on(hold(&arguments));
    // A host-name look-up that nobody waits for any longer must not delay the end.
    runtime.shutdown_background();
    done
}

async fn hold(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let request = request(arguments)?;
    let of_pod = || Some(Path::new(AUTHORITY_OF_POD)).filter(|path| path.exists());
    let authority = arguments.ca_file.as_deref().or_else(of_pod);
    let client = SeatClient::new(&arguments.server, token(arguments)?, authority);
    let client = client.map_err(|trouble| Failure::usage(trouble.to_string()))?;
    // From here on no signal ends this process without the seat being given back.
    let mut signals = Signals::listen().map_err(|e| Failure::new(format!("signals cannot be received: {e}")))?;
    let lease = match take(&client, &request, arguments, &mut signals).await? {
        Ok(lease) => lease,
        Err(ended_by) => return Ok(ended_by.exit_code()),
    };
    let mut held = Some(lease);
    let done = match Started::command(&arguments.command) {
        Ok(started) => Ok(until_it_ends(started, &client, &request, arguments, &mut held, &mut signals).await),
        Err(failure) => Err(failure),
    };
    if let Some(lease) = held {
        let left = lease.left();
        if let Err(trouble) = client.release(lease).await {
            let when = left.as_secs();
            warn(&format!("the seat could not be released; it comes free in {when} s: {}", shown(&trouble)));
        }
    }
    done?.map(exit_code).map_err(|e| Failure::new(format!("the command cannot be waited for: {e}")))
}

/// Takes the first seat; the inner error is a signal that ended the wait.
async fn take(
    client: &SeatClient,
    request: &Request,
    arguments: &Arguments,
    signals: &mut Signals,
) -> Result<Result<Lease, signals::Received>, Failure> {
    let waited = Cell::new(false);
    let taking = async {
        match arguments.wait {
            None => client.take(request).await,
            Some(Wait(most)) => {
                let told = |trouble: &Trouble| {
                    waited.set(true);
                    let (license, place) = (&arguments.license, place(trouble));
                    warn(&format!("waiting for a seat of {license}{place}; Ctrl-C stops waiting. {}", shown(trouble)));
                };
                client.take_in_turn(request, most, false, told).await
            }
        }
    };
    let mut taking = std::pin::pin!(taking);
    let taken = tokio::select! {
        taken = &mut taking => taken,
        received = signals.next() => {
            if let Ok(Ok(lease)) = tokio::time::timeout(LAST_ANSWER, taking).await {
                // If this fails, the seat comes free by itself.
                let _ = client.release(lease).await;
            }
            return Ok(Err(received));
        }
    };
    let lease = taken.map_err(|trouble| refusal(&trouble, arguments))?;
    if waited.get() {
        warn(&format!("it is your turn: {}", seat(&lease)));
    }
    if lease.access() == Access::ReadOnly {
        warn("the seat is for reading only");
    }
    Ok(Ok(lease))
}

/// Waits for the command to end, passes signals on to it, and keeps its seat.
async fn until_it_ends(
    mut started: Started,
    client: &SeatClient,
    request: &Request,
    arguments: &Arguments,
    held: &mut Option<Lease>,
    signals: &mut Signals,
) -> std::io::Result<ExitStatus> {
    let process = started.process();
    let mut keeping = std::pin::pin!(keep(client, request, arguments, held, process));
    loop {
        tokio::select! {
            ended = started.ended() => return ended,
            received = signals.next() => process.pass_on(received),
            never = &mut keeping => match never {},
        }
    }
}

/// Keeps the seat and, if it is lost, tries to get another one. Never returns.
async fn keep(
    client: &SeatClient,
    request: &Request,
    arguments: &Arguments,
    held: &mut Option<Lease>,
    process: command::Process,
) -> Infallible {
    loop {
        if let Some(lease) = held {
            let lost = client.keep(lease).await;
            *held = None;
            warn(&lost.to_string());
            if arguments.stop_when_lost {
                warn("ending the command, as --stop-when-lost says");
                process.terminate();
                return std::future::pending().await;
            }
            warn("the command goes on; asking for another seat");
        }
        let told = |trouble: &Trouble| warn(&format!("no seat yet{}. {}", place(trouble), shown(trouble)));
        if let Ok(lease) = client.take_in_turn(request, None, true, told).await {
            warn(&format!("has a seat again: {}", seat(&lease)));
            *held = Some(lease);
        }
    }
}

fn request(arguments: &Arguments) -> Result<Request, Failure> {
    let (namespace, name) = match arguments.license.split_once('/') {
        Some((namespace, name)) => (namespace.to_owned(), name),
        None => {
            let of_pod = std::fs::read_to_string(NAMESPACE_OF_POD).ok();
            let of_pod = of_pod.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            (of_pod.unwrap_or_else(|| "default".to_owned()), arguments.license.as_str())
        }
    };
    if namespace.is_empty() || name.is_empty() || name.contains('/') {
        return Err(Failure::usage(format!("--license {:?}: write NAMESPACE/NAME, or NAME", arguments.license)));
    }
    let bytes =
        random_bytes::<16>().map_err(|e| Failure::new(format!("the system could not provide random bytes: {e}")))?;
    let session = bytes.iter().fold("hold-".to_owned(), |session, byte| format!("{session}{byte:02x}"));
    let mut request = Request::of(namespace, name, session);
    if let Some(user) = &arguments.user {
        request = request.user(user);
    }
    if let Some(client) = &arguments.client {
        request = request.client(client);
    }
    if let Some(pool) = &arguments.pool {
        request = request.pool(pool);
    }
    Ok(match arguments.version {
        Some(version) => request.version(version),
        None => request,
    })
}

fn token(arguments: &Arguments) -> Result<Token, Failure> {
    if let Some(file) = &arguments.token_file {
        return Ok(Token::in_file(file));
    }
    let there = [TOKEN_OF_POD, TOKEN_OF_UP].into_iter().find(|path| Path::new(path).exists());
    there.map(Token::in_file).ok_or_else(|| {
        let message = format!(
            "no token: there is neither {TOKEN_OF_POD} nor {TOKEN_OF_UP}; name its file with --token-file or \
             SEATKEEPER_TOKEN_FILE (docs/seats.md says where to get one)"
        );
        Failure { status: WILL_NOT_PASS, message }
    })
}

fn refusal(trouble: &Trouble, arguments: &Arguments) -> Failure {
    let mut message = format!("no seat of {}. {}", arguments.license, shown(trouble));
    let may_pass = trouble.may_pass();
    if may_pass && arguments.wait.is_none() {
        message.push_str("\nuse --wait to wait for a seat");
    }
    Failure { status: if may_pass { MAY_PASS } else { WILL_NOT_PASS }, message: printable(&message) }
}

fn shown(trouble: &Trouble) -> String {
    printable(&trouble.to_string())
}

/// `: place 3 in the queue`, if the place is known.
fn place(trouble: &Trouble) -> String {
    trouble.place().map_or(String::new(), |place| format!(": place {place} in the queue"))
}

fn seat(lease: &Lease) -> String {
    let seats = lease.seats().iter().map(|seat| format!("seat {} of pool `{}`", seat.slot, seat.pool));
    printable(&seats.collect::<Vec<_>>().join(", "))
}

fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let number = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(number.and_then(|number| u8::try_from(number).ok()).unwrap_or(1))
}
