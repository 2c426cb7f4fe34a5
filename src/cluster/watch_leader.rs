//! Watches whether the leader is alive: a broken connection reveals sooner than the Lease that it is gone.

use std::time::Duration;
use tokio::net::TcpStream;

use super::leader::{Rank, Suspicion};
use crate::machine::jittered;

/// A leader that does not accept a connection for this long is unreachable; whether it is gone, only its Lease shows.
const CONNECT: Duration = Duration::from_secs(1);
/// How long to wait after a refused connection before the next attempt, and how many refusals it takes: a port may be
/// bound late.
const AGAIN: Duration = Duration::from_millis(50);
const REFUSALS: u32 = 2;
/// How long to wait before a connection that did not last is made again.
const PAUSE: Duration = Duration::from_millis(250);

/// Watches the leader while it is another replica. Never returns.
pub async fn watch_leader(rank: Rank) {
    let mut leader = rank.leader.subscribe();
    loop {
        let address = leader.borrow_and_update().clone();
        let Some(address) = address else {
            if leader.changed().await.is_err() {
                return;
            }
            continue;
        };
        tokio::select! {
            _ = leader.changed() => {}
            () = watch(&address, &rank.suspicion) => {}
        }
    }
}

/// Holds a connection to `address` until no new one can be made.
async fn watch(address: &str, suspicion: &Suspicion) {
    let mut refusals = 0;
    loop {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(connection)) => {
                refusals = 0;
                // Nothing is ever sent on the connection: if it becomes readable, it has broken.
                let _ = connection.readable().await;
                suspicion.look();
                tokio::time::sleep(AGAIN).await;
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                refusals += 1;
                if refusals >= REFUSALS {
                    tracing::info!(
                        address,
                        "the connection to the leader broke and it refuses a new one: the leader is considered gone"
                    );
                    suspicion.gone(address);
                    tokio::time::sleep(jittered(PAUSE)).await;
                    return;
                }
                tokio::time::sleep(AGAIN).await;
            }
            _ => {
                suspicion.look();
                tokio::time::sleep(jittered(PAUSE)).await;
            }
        }
    }
}
