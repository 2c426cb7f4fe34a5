//! Whether the leader is still there: a connection to it that breaks tells sooner than its Lease.

use std::time::Duration;
use tokio::net::TcpStream;

use crate::machine::jittered;
use super::leader::{Rank, Suspicion};

/// A leader that does not take a connection for this long is out of reach; that it is gone, only its Lease tells then.
const CONNECT: Duration = Duration::from_secs(1);
/// How long after a connection that was refused it is tried again, and how often it has to be: a port may be bound late.
const AGAIN: Duration = Duration::from_millis(50);
const REFUSALS: u32 = 2;
/// A connection that does not hold is not made anew at once.
const PAUSE: Duration = Duration::from_millis(250);

/// Watches whoever leads, while it is another replica. Never returns.
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

/// Holds a connection to `address` until it can be made no more.
async fn watch(address: &str, suspicion: &Suspicion) {
    let mut refusals = 0;
    loop {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(connection)) => {
                refusals = 0;
                // Nothing is said on it: something to read means that it broke.
                let _ = connection.readable().await;
                suspicion.look();
                tokio::time::sleep(AGAIN).await;
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                refusals += 1;
                if refusals >= REFUSALS {
                    tracing::info!(
                        address,
                        "the leader's connection broke and it takes no other: it is taken for gone"
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
