//! Connections of a server that anybody on the machine can reach: bounded in number, and a caller without the
//! credential cannot crowd out one that has it.

use futures::task::AtomicWaker;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The open connections, the oldest first. When there is no room, the oldest that has not shown the credential is
/// closed; if all have shown it, the newcomer is.
#[derive(Clone)]
pub struct Guests {
    present: Arc<Mutex<BTreeMap<u64, Weak<Guest>>>>,
    room: usize,
}

/// The other end of a connection.
pub struct Guest {
    number: u64,
    /// Whether it has shown the credential.
    known: AtomicBool,
    sent_away: AtomicBool,
    reader: AtomicWaker,
    all: Guests,
}

impl Guests {
    /// No connections yet, and room for `room` of them.
    pub fn with_room(room: usize) -> Self {
        Guests { present: Arc::default(), room }
    }

    /// Admits a connection. `None` if there is no room: the connection is closed.
    pub fn admit(&self, stream: TcpStream) -> Option<Connection> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        if self.all().len() >= self.room {
            // Collected first, which frees the lock again: a guest that is dropped meanwhile takes the same lock.
            let present: Vec<Arc<Guest>> = self.all().values().filter_map(Weak::upgrade).collect();
            let stranger = present.iter().find(|guest| !guest.known.load(Relaxed))?;
            self.all().remove(&stranger.number);
            stranger.sent_away.store(true, Relaxed);
            stranger.reader.wake();
        }
        let guest = Arc::new(Guest {
            number: COUNT.fetch_add(1, Relaxed),
            known: AtomicBool::new(false),
            sent_away: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            all: self.clone(),
        });
        self.all().insert(guest.number, Arc::downgrade(&guest));
        Some(Connection { stream, guest })
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Weak<Guest>>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    /// Notes that it has shown the credential.
    pub fn becomes_known(&self) {
        self.known.store(true, Relaxed);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.all.all().remove(&self.number);
    }
}

/// A connection that breaks when its guest is sent away.
pub struct Connection {
    stream: TcpStream,
    pub guest: Arc<Guest>,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.guest.reader.register(context.waker());
        if self.guest.sent_away.load(Relaxed) {
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
