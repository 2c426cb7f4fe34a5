//! `seatkeeper up`: the whole product on one machine, without a cluster.

mod apply;
mod calendar;
mod data;
mod drift;
mod folder;
mod issuers;
mod screen;
mod twice;

use clap::Args;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::failure::Failure;
use super::hold;
use super::operator::{failed, stop_on_signal};
use super::output::say;
use super::private;
use super::seat_settings::{SeatArguments, raise_open_files, seat_thread, seats_listener};
use crate::cluster::client::{RequestCount, over};
use crate::cluster::clock::Clock;
use crate::domain::license::whom_to_trust::TrustFromLicenses;
use crate::operator::embedded::setup;
use crate::operator::servers::{SeatServer, Servers};
use crate::operator::settings::{Policies, SeatSettings, Settings};
use crate::operator::{self, Clients, End, Running};
use crate::server::http::callers::Callers;
use crate::server::kube_api::KubeApi;
use calendar::Speed;
use data::Data;
use folder::Folder;
use screen::Screen;
use seatkeeper_embedded::Embedded;

/// The operator's own namespace.
const HOME: &str = "seatkeeper";
/// How often the folder is looked at and the calendar recorded.
const LOOK: Duration = Duration::from_secs(1);
/// The operator has this long to end.
const ENDING: Duration = Duration::from_secs(5);
/// The pause before an operator that has ended begins again.
const PAUSE: Duration = Duration::from_secs(1);
const BEGINS_AGAIN: &str = "the operator could not renew its lead in time, because this machine slept or the data folder \
                            cannot be written; it begins again";

/// Runs the whole product on this machine, without a cluster: applies the YAML of a folder and every change to it, runs
/// the operator, and serves the Kubernetes API for kubectl.
#[derive(Args)]
pub struct Arguments {
    /// The folder whose YAML files are applied, and applied again when they change.
    #[arg(value_name = "DIR", required_unless_present = "api_only", conflicts_with = "api_only")]
    folder: Option<PathBuf>,
    /// Where state is kept: the database, the credential and the kubeconfig.
    #[arg(long, value_name = "FOLDER", default_value = ".seatkeeper")]
    data: PathBuf,
    /// Where the API is served. An address that other machines can reach opens it to the network.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6440")]
    listen: SocketAddr,
    /// Where seats are served: /v1/seats, with the token in the data folder.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6441")]
    seats_listen: SocketAddr,
    #[command(flatten)]
    seats: SeatArguments,
    /// Let the calendar run faster than the clock, to see what will happen: 1d/s is a day each second.
    #[arg(long, value_name = "TIME/s")]
    speed: Option<Speed>,
    /// The day on which a new calendar begins. Default: three days before the first renewal in DIR.
    #[arg(long, value_name = "YYYY-MM-DD", requires = "speed")]
    from: Option<chrono::NaiveDate>,
    /// Make a new signing key for this issuer, whose Secret is gone although keys were issued with it. What the old key has
    /// signed stays good where its public half is published; others need the new jwks.json. May be given several times.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = secret_name)]
    new_signing_key: Vec<String>,
    /// Serve the API alone: nothing is applied, and no operator runs.
    #[arg(long, conflicts_with = "speed")]
    api_only: bool,
}

fn secret_name(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(text.to_owned())
        }
        _ => Err("write the namespace and the name of the issuer's Secret, such as vendor/issuer".to_owned()),
    }
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    private::forbid_core_dumps();
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(format!("threads cannot be started: {e}")))?;
    let done = runtime.block_on(up(arguments));
    // The watches of clients would keep it running for ever.
    runtime.shutdown_background();
    done
}

async fn up(arguments: Arguments) -> Result<(), Failure> {
    let folder = arguments.folder.as_deref().map(|folder| Folder::new(folder, &arguments.data)).transpose()?;
    let folder = folder.map(|folder| folder.with_new_keys(&arguments.new_signing_key)).transpose()?;
    let data = Data::open(&arguments.data)?;
    let clock = clock(&arguments, &data, folder.as_ref())?;
    let begins = clock.now().at.date_naive();
    let is_new = !data.is_used();
    let hands = clock.clone();
    let setup = setup(move || hands.now().at).map_err(|e| Failure::new(e.to_string()))?;
    let api = Embedded::open(&data.database(), setup).map_err(|e| Failure::new(e.to_string()))?;
    let listener = TcpListener::bind(arguments.listen).await.map_err(|e| {
        Failure::new(format!("--listen {}: {e}; name another address, port 0 takes any that is free", arguments.listen))
    })?;
    let address = listener.local_addr().map_err(|e| Failure::new(format!("--listen: {e}")))?;
    let credential = data.credential(address.ip())?;
    let kubeconfig = data.write_kubeconfig(&credential, address)?;
    let tls = credential.tls()?;
    let (told, mut stop) = watch::channel(false);
    stop_on_signal(told)?;
    let Some(folder) = folder else {
        let server = tokio::spawn(KubeApi::new(api, &credential.token, None).serve(listener, tls));
        say(&format!("ready: KUBECONFIG={}\n", kubeconfig.display()))?;
        let _ = stop.wait_for(|stop| *stop).await;
        server.abort();
        return Ok(());
    };

    if arguments.speed.is_some() {
        calendar::store(&data, &clock)?;
    }
    let requests = RequestCount::default();
    let client = over(api.clone(), clock.clone(), requests.clone());
    api.ensure_namespace(HOME);
    let (port, seats_address) = seats_port(arguments.seats_listen)?;
    let seats = seat_server(&port, &credential.seats_token)?;

    let screen = Screen::new(clock.clone(), arguments.speed.is_some_and(|speed| speed.0 >= 3_600.0));
    let served = Served { api: address, seats: seats_address };
    screen.show(&first_screen(&arguments, &data, &served, begins, &folder));
    let telling = tokio::spawn({
        let (screen, client) = (screen.clone(), client.clone());
        async move { screen.follow_events(client).await }
    });
    let machine = Machine { client: client.clone(), clock: clock.clone(), requests, stop: stop.clone() };
    let mut running = machine.start(arguments.seats.settings(is_new), seats).await?;
    let (metrics, shown) = watch::channel(running.metrics());
    let kube_api = KubeApi::new(api.clone(), &credential.token, Some(shown));
    let server = tokio::spawn(kube_api.serve(listener, tls));
    let mut keeping = pin!(keep(folder, &api, &client, &screen, &data, &clock, arguments.speed.is_some()));
    let mut asked = stop.clone();
    loop {
        let mut ended = pin!(running.ended());
        let end = tokio::select! {
            biased;
            // The operator ends by itself and gives up its lead. After Ctrl-C, the user is not kept waiting for long.
            _ = asked.wait_for(|stop| *stop) => {
                let _ = tokio::time::timeout(ENDING, ended).await;
                break;
            }
            end = &mut ended => end,
            () = &mut keeping => break,
        };
        match end {
            Ok(End::Stopped) => break,
            Ok(End::LostLead) => screen.warn(BEGINS_AGAIN),
            Err(error) => return Err(failed(error)),
        }
        tokio::time::sleep(PAUSE).await;
        let seats = seat_server(&port, &credential.seats_token)?;
        running = machine.start(arguments.seats.settings(false), seats).await?;
        metrics.send_replace(running.metrics());
    }
    telling.abort();
    server.abort();
    if arguments.speed.is_some() {
        calendar::store(&data, &clock)?;
    }
    screen.show("\nended; run the same command to continue\n");
    Ok(())
}

/// What every operator of this process runs on.
struct Machine {
    client: kube::Client,
    clock: Clock,
    requests: RequestCount,
    stop: watch::Receiver<bool>,
}

impl Machine {
    async fn start(&self, seat_settings: SeatSettings, seats: SeatServer) -> Result<Running, Failure> {
        let Machine { client, clock, requests, stop } = self;
        // The same name each time: after a kill the next start leads at once.
        let identity = "seatkeeper-up".to_owned();
        let settings = Settings {
            namespace: HOME.to_owned(),
            identity,
            // The one who runs this may write everything.
            bounds: TrustFromLicenses::Allow.into(),
            policies: Policies::NotAwaited,
            seats: seat_settings,
        };
        let servers = Servers { health: None, metrics: None, seats };
        let clients = Clients { client: client.clone(), for_lead: client.clone() };
        let running = operator::start(settings, clients, clock.clone(), requests, servers, stop.clone()).await;
        running.map_err(Failure::new)
    }
}

/// Binds the port for seats, once: while the operator begins again, nobody else on this machine can take it.
fn seats_port(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), Failure> {
    let unusable = |e: std::io::Error| Failure::new(format!("--seats-listen: {e}"));
    let port = seats_listener(address)?.into_std().map_err(unusable)?;
    let bound = port.local_addr().map_err(unusable)?;
    Ok((port, bound))
}

fn seat_server(port: &std::net::TcpListener, token: &str) -> Result<SeatServer, Failure> {
    let thread = seat_thread()?;
    let listener = thread.make(|| port.try_clone().and_then(TcpListener::from_std));
    let listener = listener.map_err(|e| Failure::new(format!("--seats-listen: {e}")))?;
    Ok(SeatServer { thread, listener, callers: Callers::with_credential(token), replicas: None })
}

/// Looks at the folder again and again, and records where the calendar stands. Never returns.
async fn keep(
    mut folder: Folder,
    api: &Embedded,
    client: &kube::Client,
    screen: &Screen,
    data: &Data,
    clock: &Clock,
    paced: bool,
) {
    loop {
        folder.look(api, client, screen).await;
        if paced && let Err(failure) = calendar::store(data, clock) {
            screen.warn(&failure.message);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn clock(arguments: &Arguments, data: &Data, folder: Option<&Folder>) -> Result<Clock, Failure> {
    let stored = calendar::stored(data)?;
    let there = data.folder.display();
    match (arguments.speed, stored) {
        (None, None) => Ok(Clock::of_machine()),
        (None, Some(at)) => Err(Failure::usage(format!(
            "{there} runs on its own calendar, now {}: give --speed, or name another folder with --data",
            at.date_naive()
        ))),
        (Some(_), None) if data.is_used() => Err(Failure::usage(format!(
            "{there} runs in real time, which cannot be sped up: name another folder with --data"
        ))),
        (Some(speed), None) => {
            let start = arguments.from.map(calendar::midnight);
            let start = start.or_else(|| folder.map(|folder| calendar::beginning(&folder.documents())));
            Ok(Clock::paced(start.unwrap_or_else(crate::machine::machine_time), speed.0))
        }
        (Some(speed), Some(at)) => {
            if let Some(from) = arguments.from.filter(|from| calendar::midnight(*from) > at) {
                return Ok(Clock::paced(calendar::midnight(from), speed.0));
            }
            Ok(Clock::paced(at, speed.0))
        }
    }
}

/// Where the two servers are.
struct Served {
    api: SocketAddr,
    seats: SocketAddr,
}

fn first_screen(
    arguments: &Arguments,
    data: &Data,
    served: &Served,
    begins: chrono::NaiveDate,
    folder: &Folder,
) -> String {
    let namespaces = folder.namespaces();
    let namespace = namespaces.first().map_or("default", String::as_str);
    let calendar = match arguments.speed {
        None => "that of this machine".to_owned(),
        Some(Speed(speed)) if speed >= 86_400.0 => {
            format!("{begins}, then {} days each second", speed / 86_400.0)
        }
        Some(Speed(speed)) => format!("{begins}, then {speed} seconds each second"),
    };
    let calendar = calendar.replace("then 1 days", "then a day");
    let hold = folder.license().map(|license| {
        // The default address is left out, as `hold` knows it. The token is named, as the other terminal's folder is
        // not known.
        let server = match served.seats.to_string() == hold::DEFAULT_ADDRESS {
            true => String::new(),
            false => format!(" --server http://{}", served.seats),
        };
        format!("  seatkeeper hold --license {license}{server} --token-file {} -- sleep 60\n", data.token().display())
    });
    let hold = hold.unwrap_or_default();
    format!(
        "Seatkeeper {version} is up. Ctrl-C ends it; run the same command to continue.

  applies    {folder}, and every change there
  API        https://{api}
  seats      http://{seats}/v1/seats
  data       {data}
  calendar   {calendar}

In another terminal:

  export KUBECONFIG={kubeconfig}
  kubectl -n {namespace} get licensing
  kubectl -n {namespace} describe subscriptions.seatkeeper.dev
{hold}
",
        version = env!("CARGO_PKG_VERSION"),
        folder = folder.path().display(),
        data = data.folder.display(),
        kubeconfig = data.kubeconfig().display(),
        api = served.api,
        seats = served.seats,
    )
}
