//! `seatkeeper operator`: runs in the cluster.

use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinError;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::failure::Failure;
use super::private;
use super::seat_settings::{SeatArguments, raise_open_files, seat_thread, seats_listener};
use crate::cluster::client::{RequestCount, connect};
use crate::cluster::clock::Clock;
use crate::cluster::scope::Scope;
use crate::controllers::wiring::Bounds;
use crate::domain::license::whom_to_trust::TrustFromLicenses;
use crate::machine::random_bytes;
use crate::operator::servers::{Certificates, CertificatesFrom, Replicas, SeatServer, Servers};
use crate::operator::settings::{Policies, Settings};
use crate::operator::{self, Clients, End};
use crate::server::http::callers::Callers;

/// What is logged, if RUST_LOG does not say.
/// What kube's client says of each request that fails is told once, in the operator's own words.
const LOGGED: &str = "info,kube=warn,kube_client::client=off";

/// Runs the operator: keeps the Plans, Subscriptions and Licenses of the cluster that KUBECONFIG names, or that its pod
/// runs in.
#[derive(Args)]
pub struct Arguments {
    /// The operator's own namespace, with its Lease and the trust that the installation pins.
    #[arg(long, env = "POD_NAMESPACE", default_value = "seatkeeper")]
    namespace: String,
    /// Where /livez and /readyz are served, and /metrics to everybody if --metrics-listen is not given.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where /metrics is served to callers with a token for the API server and the right to get the path /metrics; over
    /// HTTPS if seats are.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
    /// Where seats are served: /v1/seats.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8081")]
    seats_listen: SocketAddr,
    /// Where other replicas reach the seat server of this one, to pass requests on. Default: where it listens.
    #[arg(long, value_name = "ADDRESS:PORT", env = "SEATS_ADVERTISE")]
    seats_advertise: Option<String>,
    /// A folder with tls.crt and tls.key, mounted from a Secret of type kubernetes.io/tls: seats are served over HTTPS,
    /// and renewed files are picked up while the operator runs. Other replicas are verified by ca.crt in it, else by
    /// the system's certificates.
    #[arg(long, value_name = "DIR", requires = "seats_tls_name", group = "certificates")]
    seats_tls_dir: Option<PathBuf>,
    /// The name that every replica's certificate is for: that of their Service, such as seatkeeper.seatkeeper.svc.
    #[arg(long, value_name = "NAME", requires = "certificates")]
    seats_tls_name: Option<String>,
    /// Serve seats over HTTPS with a certificate of an authority of the operator's own. Its public certificate is written
    /// to the ConfigMap seatkeeper-ca.
    #[arg(long, requires = "seats_tls_name", group = "certificates")]
    seats_tls_own: bool,
    #[command(flatten)]
    seats: SeatArguments,
    /// Whether a License may name the keys that it trusts, in spec.trust. Everybody who may write Licenses and Secrets can
    /// then grant any number of seats.
    #[arg(long, value_name = "refuse|allow", value_enum, default_value_t = FromLicenses::Refuse)]
    trust_from_licenses: FromLicenses,
    /// Look at these namespaces alone. Default: all.
    #[arg(long, value_name = "NAMESPACE,…", value_delimiter = ',')]
    watch_namespaces: Vec<String>,
    /// Only use keys: look at no Plan, Subscription and signing key.
    #[arg(long)]
    keys_only: bool,
    /// Begin only once the API server refuses what the chart's admission policies forbid the operator.
    #[arg(long)]
    await_policies: bool,
    /// The name that tells replicas apart. Default: a random one.
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
    /// Write log lines as JSON.
    #[arg(long)]
    log_json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum FromLicenses {
    Refuse,
    Allow,
}

impl From<FromLicenses> for TrustFromLicenses {
    fn from(said: FromLicenses) -> Self {
        match said {
            FromLicenses::Refuse => TrustFromLicenses::Refuse,
            FromLicenses::Allow => TrustFromLicenses::Allow,
        }
    }
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    private::forbid_core_dumps();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| LOGGED.into());
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = log(arguments.log_json, colours, filter, std::io::stderr);
    tracing::subscriber::set_global_default(log).map_err(|e| Failure::new(e.to_string()))?;
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(format!("threads cannot be started: {e}")))?;
    runtime.block_on(operate(arguments))
}

/// Writes log lines as JSON or as text, with colours or without. Each says its target, so that lines for auditors can be
/// told from others.
fn log(
    json: bool,
    colours: bool,
    filter: EnvFilter,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> Box<dyn Subscriber + Send + Sync> {
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(writer);
    if json { Box::new(log.json().finish()) } else { Box::new(log.finish()) }
}

/// Whether the environment names a proxy for HTTPS. Many clusters set one in every pod, for the world outside. The API server
/// is inside, and the list of what is, `NO_PROXY`, is not read.
fn names_a_proxy(mut variables: impl Iterator<Item = OsString>) -> bool {
    variables.any(|name| name.eq_ignore_ascii_case("HTTPS_PROXY"))
}

async fn operate(arguments: Arguments) -> Result<(), Failure> {
    let mut config = kube::Config::infer().await.map_err(|e| {
        Failure::new(format!("no cluster: set KUBECONFIG, or run in a pod with a ServiceAccount ({e})"))
    })?;
    // The URL is not shown: it may have a password.
    if config.proxy_url.take().is_some() && !names_a_proxy(std::env::vars_os().map(|(name, _)| name)) {
        return Err(Failure::new("the kubeconfig names a proxy (proxy-url), which is not supported: remove it"));
    }
    let clock = Clock::of_machine();
    let requests = RequestCount::default();
    let connect = || {
        connect(config.clone(), clock.clone(), requests.clone())
            .map_err(|e| Failure::new(format!("the API server's address or credentials cannot be used: {e}")))
    };
    let clients = Clients { client: connect()?, for_lead: connect()? };
    let seat_thread = seat_thread()?;
    let seat_client = seat_thread.make(connect)?;
    let listener = bound("--listen", arguments.listen).await?;
    let metrics_listener = match arguments.metrics_listen {
        Some(address) => Some(bound("--metrics-listen", address).await?),
        None => None,
    };
    let seats_listener = seat_thread.make(|| seats_listener(arguments.seats_listen))?;
    let identity = match arguments.identity {
        Some(identity) => identity,
        None => random_identity()?,
    };
    let (told, stop) = watch::channel(false);
    stop_on_signal(told)?;
    let from = match (arguments.seats_tls_dir, arguments.seats_tls_own) {
        (Some(folder), _) => Some(CertificatesFrom::Folder(folder)),
        (None, own) => own.then_some(CertificatesFrom::Own),
    };
    let tls = from.zip(arguments.seats_tls_name).map(|(from, name)| Certificates { from, name });
    let seats = SeatServer {
        thread: seat_thread,
        listener: seats_listener,
        callers: Callers::of_cluster(seat_client, clock.clone()),
        replicas: Some(Replicas { advertised: arguments.seats_advertise, tls }),
    };
    let servers = Servers { health: Some(listener), metrics: metrics_listener, seats };
    let settings = Settings {
        namespace: arguments.namespace,
        identity,
        bounds: Bounds {
            trust_from_licenses: arguments.trust_from_licenses.into(),
            scope: Scope::of(arguments.watch_namespaces),
            keys_only: arguments.keys_only,
        },
        policies: if arguments.await_policies { Policies::Awaited } else { Policies::NotAwaited },
        seats: arguments.seats.settings(false),
    };
    let running = operator::start(settings, clients, clock, &requests, servers, stop).await;
    let running = running.map_err(|why| Failure::new(format!("seats over HTTPS: {why}")))?;
    match running.ended().await {
        Ok(End::Stopped) => Ok(()),
        Ok(End::LostLead) => Err(Failure::new("the lead was lost to another replica")),
        Err(error) => Err(failed(error)),
    }
}

async fn bound(option: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    let failed = |error| Failure::new(format!("{option} {address}: {error}; name another address"));
    TcpListener::bind(address).await.map_err(failed)
}

/// The failure of an operator that has panicked.
pub fn failed(error: JoinError) -> Failure {
    Failure::new(format!("the operator failed, which is a defect of Seatkeeper: {error}"))
}

fn random_identity() -> Result<String, Failure> {
    let bytes =
        random_bytes::<6>().map_err(|e| Failure::new(format!("the system could not provide random bytes: {e}")))?;
    Ok(bytes.iter().fold("seatkeeper-".to_owned(), |name, byte| format!("{name}{byte:02x}")))
}

/// Turns `told` true at SIGTERM or SIGINT. Once this returns, both are received in the background.
pub fn stop_on_signal(told: watch::Sender<bool>) -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(|e| Failure::new(format!("signals cannot be received: {e}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.send_replace(true);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::license::name::LicenseName;
    use crate::server::http::callers::Caller;
    use crate::server::seats::audit::Audit;
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::sync::Arc;

    /// What is logged while somebody evicts, and something else happens.
    fn logged(json: bool) -> Vec<String> {
        let path = std::env::temp_dir().join(format!("seatkeeper-log-{}-{json}", std::process::id()));
        let file = Arc::new(File::create(&path).expect("a folder for temporary files"));
        tracing::subscriber::with_default(log(json, false, LOGGED.into(), file), || {
            let caller = Caller::new("m.huber", None, Vec::new(), BTreeMap::new());
            Audit::default().evicted(&caller, &LicenseName::new("centre", "acd"), Some("a.ivanov"), 1);
            Audit::default().holders_seen(&caller, &LicenseName::new("centre", "acd"), 2);
            tracing::info!("another line");
        });
        let text = std::fs::read_to_string(&path).expect("it was written");
        std::fs::remove_file(&path).expect("it is there");
        text.lines().map(str::to_owned).collect()
    }

    /// The target was left out, so that nothing told these lines from others.
    #[test]
    fn lines_for_auditors_are_told_from_others_by_their_target() {
        let text = logged(false);
        let is_audit = |line: &str| line.contains(" audit: audit ") && line.contains("who=\"m.huber\"");
        assert_eq!(text.iter().map(|line| is_audit(line)).collect::<Vec<_>>(), [true, true, false], "{text:?}");
        let json = logged(true);
        let is_audit = |line: &String| line.contains("\"target\":\"audit\"");
        assert_eq!(json.iter().map(is_audit).collect::<Vec<_>>(), [true, true, false], "{json:?}");
    }
}
