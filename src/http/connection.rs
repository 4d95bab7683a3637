//! Connections: so many at once, and none that only holds its place.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// A listener that leaves further callers in the kernel's queue while [`CONNECTIONS_MAX`] are open.
pub struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Bounded {
    pub fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)), patience: PATIENCE }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // Small answers go out at once.
                    let _ = stream.set_nodelay(true);
                    return (Connection::new(stream, place, self.patience), address);
                }
                // Out of descriptors, or the peer was gone: others will come.
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection must bring a whole request, and take a whole answer, within [`PATIENCE`] of the
/// last byte we could send; one that trickles bytes does not put that off.
pub struct Connection {
    stream: TcpStream,
    patience: Duration,
    until: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit, patience: Duration) -> Self {
        Self { stream, patience, until: Box::pin(sleep(patience)), _place: place }
    }

    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.until.as_mut().poll(context).is_ready()
    }

    fn sent<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        if polled.is_ready() {
            self.until.as_mut().reset(Instant::now() + self.patience);
        }
        polled
    }
}

fn timed_out<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over(context) {
            return timed_out();
        }
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if polled.is_pending() && self.is_over(context) {
            return timed_out();
        }
        self.sent(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if polled.is_pending() && self.is_over(context) {
            return timed_out();
        }
        self.sent(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Open at once. Each takes a descriptor and some 20 KiB.
const CONNECTIONS_MAX: usize = 512;

/// A request of 64 KiB over a bad line takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const SHORT: Duration = Duration::from_secs(1);

    async fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut bounded = Bounded { patience: SHORT, ..Bounded::new(listener) };
        (bounded.accept().await.0, peer)
    }

    /// A byte every eighth of the patience, for three times as long: how many came?
    async fn trickled(answers: bool) -> usize {
        let (mut connection, mut peer) = pair().await;
        let mut byte = [0];
        for count in 0..24 {
            peer.write_all(b"x").await.unwrap();
            if connection.read_exact(&mut byte).await.is_err() {
                return count;
            }
            if answers {
                connection.write_all(b"y").await.unwrap();
            }
            sleep(SHORT / 8).await;
        }
        24
    }

    #[tokio::test]
    async fn one_that_trickles_bytes_is_cut_off_and_one_that_is_answered_is_not() {
        let cut_off = trickled(false).await;
        assert!((1..16).contains(&cut_off), "cut off after {cut_off} bytes");
        assert_eq!(trickled(true).await, 24);
    }

    #[tokio::test]
    async fn one_that_says_nothing_is_cut_off() {
        let (mut connection, _peer) = pair().await;
        let began = Instant::now();
        let error = connection.read_exact(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= SHORT);
    }
}
