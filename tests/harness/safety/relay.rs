//! A stretch of network that can hold back its traffic, one way or both. Nothing is lost: held bytes pass once they are
//! released, as with TCP after a cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Which direction is held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The bytes from the side that connects.
    pub requests: bool,
    pub answers: bool,
}

impl Held {
    pub const NOTHING: Held = Held { requests: false, answers: false };
    pub const ALL: Held = Held { requests: true, answers: true };
}

pub struct Relay {
    pub address: SocketAddr,
    to: SocketAddr,
    held: watch::Sender<Held>,
    /// The number of bytes held back so far.
    stopped: Arc<AtomicU64>,
    listening: Option<JoinHandle<()>>,
    /// The listener that is ending; until then its address is taken.
    closing: Option<JoinHandle<()>>,
}

impl Relay {
    /// Listens at `address`, or at a free port if its port is 0.
    pub async fn open(address: SocketAddr, to: SocketAddr) -> Self {
        let held = watch::Sender::new(Held::NOTHING);
        let mut relay = Relay { address, to, held, stopped: Arc::default(), listening: None, closing: None };
        relay.listen().await;
        relay
    }

    /// Accepts connections again.
    pub async fn listen(&mut self) {
        if self.listening.is_some() {
            return;
        }
        if let Some(closing) = self.closing.take() {
            let _ = closing.await;
        }
        let listener = TcpListener::bind(self.address).await.expect("the port is free, or was ours");
        self.address = listener.local_addr().expect("it is bound");
        let (to, held, stopped) = (self.to, self.held.clone(), self.stopped.clone());
        self.listening = Some(tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((from, _)) = listener.accept().await {
                while open.try_join_next().is_some() {}
                open.spawn(pass(from, to, held.subscribe(), stopped.clone()));
            }
        }));
    }

    /// Breaks every connection and accepts no more, as if nothing listened.
    pub fn close(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            self.closing = Some(listening);
        }
    }

    pub fn hold(&self, held: Held) {
        self.held.send_replace(held);
    }

    pub fn stopped(&self) -> u64 {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.close();
    }
}

async fn pass(from: TcpStream, to: SocketAddr, mut held: watch::Receiver<Held>, stopped: Arc<AtomicU64>) {
    if held.wait_for(|held| *held != Held::ALL).await.is_err() {
        return;
    }
    let Ok(to) = TcpStream::connect(to).await else { return };
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let (from_in, from_out) = from.into_split();
    let (to_in, to_out) = to.into_split();
    let requests = flow(from_in, to_out, held.clone(), |held| held.requests, &stopped);
    let answers = flow(to_in, from_out, held, |held| held.answers, &stopped);
    tokio::join!(requests, answers);
}

/// Passes bytes on until one of the two sides ends.
async fn flow(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut held: watch::Receiver<Held>,
    is_held: impl Fn(Held) -> bool,
    stopped: &AtomicU64,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if is_held(*held.borrow()) {
            stopped.fetch_add(count as u64, Ordering::Relaxed);
        }
        if held.wait_for(|held| !is_held(*held)).await.is_err() || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
    // The end of the stream is held back too.
    let _ = held.wait_for(|held| !is_held(*held)).await;
    let _ = to.shutdown().await;
}
