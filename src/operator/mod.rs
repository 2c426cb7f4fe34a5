//! The one place that puts the parts together.
//!
//! | question | file |
//! |---|---|
//! | Which settings does an operator have? | `settings.rs` |
//! | In which order does it begin, lead and end? | `run.rs` |
//! | Where does it serve, and to whom? | `servers.rs` |
//! | Is it restrained as the chart says? | `policies.rs` |
//! | What does an embedded API serve? | `embedded.rs` |

pub mod embedded;
mod policies;
mod run;
pub mod servers;
pub mod settings;

use kube::Client;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use crate::cluster::client::RequestCount;
use crate::cluster::clock::Clock;
use crate::cluster::metrics::Metrics;
pub use run::{End, Operator};
use servers::{Servers, Serving};
use settings::Settings;

/// An operator that has been started, and its servers.
pub struct Running {
    metrics: Arc<Metrics>,
    operating: JoinHandle<End>,
    serving: Serving,
}

/// The operator's clients of the API server. Each has connections of its own.
pub struct Clients {
    pub client: Client,
    /// For the Lease and the ledger, which nothing else may delay.
    pub for_lead: Client,
}

/// Starts an operator, which runs until `stop` turns true or the lead is lost. The clients count their requests in
/// `requests`. Fails as `Servers::start` does.
pub async fn start(
    settings: Settings,
    Clients { client, for_lead }: Clients,
    clock: Clock,
    requests: &RequestCount,
    servers: Servers,
    stop: watch::Receiver<bool>,
) -> Result<Running, String> {
    let Settings { namespace, identity, bounds, policies, seats } = settings;
    let mut operator = Operator::new(client, clock, requests, &namespace, &identity, bounds, seats.ttl);
    operator.policies = policies;
    operator.for_lead = for_lead;
    operator.desk.set_budget(seats.ledger_bytes_a_second);
    if seats.is_new {
        operator.desk.begins_from_nothing();
    }
    operator.seats_run = Some(servers.seats.thread.runtime().clone());
    operator.rank.own = servers.seats.address();
    let metrics = operator.metrics.clone();
    let serving = servers.start(&operator).await?;
    Ok(Running { metrics, operating: tokio::spawn(operator.run(stop)), serving })
}

impl Running {
    pub fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// Returns once the operator has ended; then its servers end too. Fails if it panicked.
    pub async fn ended(self) -> Result<End, JoinError> {
        let Running { operating, serving, .. } = self;
        let end = operating.await;
        drop(serving);
        end
    }
}
