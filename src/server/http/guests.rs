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
    /// The task that reads and writes.
    task: AtomicWaker,
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
            stranger.task.wake();
        }
        let guest = Arc::new(Guest {
            number: COUNT.fetch_add(1, Relaxed),
            known: AtomicBool::new(false),
            sent_away: AtomicBool::new(false),
            task: AtomicWaker::new(),
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

impl Connection {
    /// Fails if the guest was sent away, and has the task woken when it is. Writing checks too: a guest that reads no
    /// answers is never read from again.
    fn check_open(&self, context: &Context<'_>) -> std::io::Result<()> {
        self.guest.task.register(context.waker());
        match self.guest.sent_away.load(Relaxed) {
            true => Err(std::io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.check_open(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.check_open(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.check_open(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// The attack: requests one after the other, whose answers nobody reads. Such a connection was never sent away.
    #[tokio::test]
    async fn a_guest_that_reads_no_answers_makes_room_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let guests = Guests::with_room(1);
        let silent = TcpStream::connect(address).await.expect("it listens");
        let mut first = guests.admit(listener.accept().await.expect("it comes").0).expect("there is room");
        let writing = tokio::spawn(async move { while first.write_all(&[0; 65_536]).await.is_ok() {} });
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(!writing.is_finished(), "it waits for the other end to read");
        let _second = TcpStream::connect(address).await.expect("it listens");
        assert!(guests.admit(listener.accept().await.expect("it comes").0).is_some());
        let ended = tokio::time::timeout(std::time::Duration::from_secs(5), writing).await;
        assert!(ended.is_ok(), "it was not sent away");
        drop(silent);
    }
}
