//! `seatkeeper up`: the whole product on one machine, without a cluster.

mod data;

use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;

use super::operator::stop_on_signal;
use super::{Failure, say};
use crate::cluster::clock::machine_time;
use crate::embedded::Embedded;
use crate::server::api::serve;
use data::Data;

/// Runs the whole product on this machine, without a cluster: keeps applying the YAML of a folder, runs the operator, and
/// serves the Kubernetes API for kubectl.
#[derive(Args)]
pub struct Arguments {
    /// The folder whose YAML files are applied, and applied again when they change.
    #[arg(value_name = "DIR", required_unless_present = "api_only", conflicts_with = "api_only")]
    folder: Option<PathBuf>,
    /// Where state is kept: the database, the credential and the kubeconfig.
    #[arg(long, value_name = "FOLDER", default_value = ".seatkeeper")]
    data: PathBuf,
    /// Where the API is served. Another address than one of this machine alone opens it to the network.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6440")]
    listen: SocketAddr,
    /// Serves the API alone: nothing is applied, and no operator runs.
    #[arg(long)]
    api_only: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(format!("threads cannot be started: {e}")))?;
    let done = runtime.block_on(up(arguments));
    // Watches of clients would hold it for ever.
    runtime.shutdown_background();
    done
}

async fn up(arguments: Arguments) -> Result<(), Failure> {
    let data = Data::open(&arguments.data)?;
    let api = Embedded::open(&data.folder, machine_time).map_err(|e| Failure::new(e.to_string()))?;
    let listener = TcpListener::bind(arguments.listen).await.map_err(|e| {
        Failure::new(format!("--listen {}: {e}; name another address, port 0 takes any that is free", arguments.listen))
    })?;
    let address = listener.local_addr().map_err(|e| Failure::new(format!("--listen: {e}")))?;
    let credential = data.credential(address.ip())?;
    let kubeconfig = data.write_kubeconfig(&credential, address)?;
    let server = tokio::spawn({
        let (tls, api, token) = (credential.tls()?, api.clone(), credential.token.clone());
        async move { serve(listener, tls, api, &token, None).await }
    });
    let (told, mut stop) = tokio::sync::watch::channel(false);
    tokio::spawn(stop_on_signal(told));
    say(&format!("ready: KUBECONFIG={}\n", kubeconfig.display()))?;
    let _ = stop.wait_for(|stop| *stop).await;
    server.abort();
    Ok(())
}
