//! One connection: a task that opens or secures it, reads and frames, and a task that writes.
//!
//! Over TLS nothing is read as SIP before the driver has heard who is there and has said to go on.

use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Limits;
use super::tls::certificate::names_of;
use crate::sip::wire::{Fault, Frame, Framer, Message};
use crate::sip::{Bytes, Flow, TlsName};

/// Messages that wait to be written to one connection.
const WRITES_MAX: usize = 256;
const READ_BYTES: usize = 16 * 1024;
/// Answers a ping (RFC 5626 §4.4.1).
const PONG: &[u8] = b"\r\n";

/// What a connection tells the driver.
#[derive(Debug)]
pub(super) struct News {
    pub flow: Flow,
    /// Connections of one flow follow each other; this is which.
    pub number: u64,
    pub what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// The TLS handshake is done; the peer proved these names, or showed no certificate. It is read
    /// once `go` says so.
    Secured {
        names: Vec<TlsName>,
        go: oneshot::Sender<()>,
    },
    /// The TLS handshake failed, for this reason.
    Unsecured(String),
    Message(Box<Message>),
    /// A message that is refused; the stream goes on.
    Fault(Fault),
    /// Nobody knows where the next message begins: answer, then close.
    Broken(Fault),
    Closed,
}

/// The driver's end. Dropped, what is queued is still written, then the connection is closed.
pub(super) struct Connection {
    pub number: u64,
    /// A peer opened it (and it counts).
    pub inbound: bool,
    /// In its TLS handshake.
    pub securing: bool,
    pub writes: mpsc::Sender<Bytes>,
    reader: tokio::task::AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Where a connection comes from, and what protects it.
pub(super) enum Origin {
    Accepted(TcpStream),
    AcceptedTls(TcpStream, TlsAcceptor),
    Open,
    /// The server must prove this name.
    OpenTls(TlsConnector, ServerName<'static>),
}

impl Connection {
    /// What is queued before it is there goes out then.
    pub(super) fn start(
        origin: Origin,
        flow: Flow,
        number: u64,
        limits: &Limits,
        news: mpsc::Sender<News>,
    ) -> Self {
        let (writes, queue) = mpsc::channel(WRITES_MAX);
        let inbound = matches!(origin, Origin::Accepted(_) | Origin::AcceptedTls(..));
        let securing = matches!(origin, Origin::AcceptedTls(..) | Origin::OpenTls(..));
        let task = Task { flow, number, limits: limits.clone(), news, pongs: writes.downgrade() };
        let task = tokio::spawn(async move {
            let last = task.run(origin, queue).await;
            let _ = task.tell(last).await;
        });
        Self { number, inbound, securing, writes, reader: task.abort_handle() }
    }
}

/// The reading side, from the first packet to the last.
struct Task {
    flow: Flow,
    number: u64,
    limits: Limits,
    news: mpsc::Sender<News>,
    pongs: mpsc::WeakSender<Bytes>,
}

impl Task {
    /// Until the end, an error, a limit or a broken stream; which of them.
    async fn run(&self, origin: Origin, queue: mpsc::Receiver<Bytes>) -> What {
        match origin {
            Origin::Accepted(stream) => {
                let (read, write) = undelayed(stream).into_split();
                self.talk(read, write, queue).await
            }
            Origin::Open => match self.connect().await {
                Some(stream) => {
                    let (read, write) = undelayed(stream).into_split();
                    self.talk(read, write, queue).await
                }
                None => What::Closed,
            },
            Origin::AcceptedTls(stream, acceptor) => {
                match timeout(self.limits.handshake, acceptor.accept(undelayed(stream))).await {
                    Ok(Ok(stream)) => {
                        let names = names_of(stream.get_ref().1.peer_certificates());
                        self.talk_if_allowed(names, stream, queue).await
                    }
                    Ok(Err(error)) => What::Unsecured(error.to_string()),
                    Err(_) => self.too_slow(),
                }
            }
            Origin::OpenTls(connector, name) => {
                let Some(stream) = self.connect().await else { return What::Closed };
                match timeout(self.limits.handshake, connector.connect(name, undelayed(stream))).await {
                    Ok(Ok(stream)) => {
                        let names = names_of(stream.get_ref().1.peer_certificates());
                        self.talk_if_allowed(names, stream, queue).await
                    }
                    Ok(Err(error)) => What::Unsecured(error.to_string()),
                    Err(_) => self.too_slow(),
                }
            }
        }
    }

    fn too_slow(&self) -> What {
        What::Unsecured(format!("handshake not done within {:?}", self.limits.handshake))
    }

    async fn connect(&self) -> Option<TcpStream> {
        timeout(self.limits.write, TcpStream::connect(self.flow.peer)).await.ok()?.ok()
    }

    async fn tell(&self, what: What) -> Result<(), ()> {
        let news = News { flow: self.flow, number: self.number, what };
        self.news.send(news).await.map_err(|_| ())
    }

    async fn talk_if_allowed(
        &self,
        names: Vec<TlsName>,
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
        queue: mpsc::Receiver<Bytes>,
    ) -> What {
        let (go, allowed) = oneshot::channel();
        if self.tell(What::Secured { names, go }).await.is_err() || allowed.await.is_err() {
            return What::Closed;
        }
        let (read, write) = split(stream);
        self.talk(read, write, queue).await
    }

    async fn talk(
        &self,
        read: impl AsyncRead + Unpin,
        write: impl AsyncWrite + Unpin + Send + 'static,
        queue: mpsc::Receiver<Bytes>,
    ) -> What {
        tokio::spawn(write_all(write, queue, self.limits.write));
        self.read_all(read).await
    }

    async fn read_all(&self, mut read: impl AsyncRead + Unpin) -> What {
        let limits = &self.limits;
        let mut framer = Framer::new();
        let mut buffer = vec![0; READ_BYTES];
        // A message must be complete by then; between messages, something must come by then.
        let mut deadline = Instant::now() + limits.first_message;
        let mut mid_message = true;
        loop {
            let length = match timeout_at(deadline, read.read(&mut buffer)).await {
                Ok(Ok(length @ 1..)) => length,
                Ok(Ok(0) | Err(_)) | Err(_) => return What::Closed,
            };
            framer.push(&buffer[..length]);
            let mut complete = false;
            while let Some(frame) = framer.next_frame() {
                complete = true;
                let what = match frame {
                    Frame::Message(message) => What::Message(Box::new(message)),
                    Frame::Fault(fault) => What::Fault(fault),
                    Frame::Broken(fault) => return What::Broken(fault),
                    Frame::Ping => {
                        // A peer that does not read its answers gets no more of them.
                        let _ = self.pongs.upgrade().map(|writes| writes.try_send(PONG.into()));
                        continue;
                    }
                };
                if self.tell(what).await.is_err() {
                    return What::Closed;
                }
            }
            let now_mid = framer.is_mid_message();
            if complete || now_mid != mid_message {
                deadline = Instant::now() + if now_mid { limits.first_message } else { limits.idle };
                mid_message = now_mid;
            }
        }
    }
}

/// Messages are whole; waiting to fill a segment only delays them. Without it they are late, not lost.
fn undelayed(stream: TcpStream) -> TcpStream {
    let _ = stream.set_nodelay(true);
    stream
}

async fn write_all(mut write: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Bytes>, patience: Duration) {
    while let Some(bytes) = queue.recv().await {
        let written = async {
            write.write_all(&bytes).await?;
            // TLS keeps what the socket did not take at once.
            write.flush().await
        };
        match timeout(patience, written).await {
            Ok(Ok(())) => {}
            // The driver finds the queue closed with its next message.
            Ok(Err(_)) | Err(_) => return,
        }
    }
    let _ = timeout(patience, write.shutdown()).await;
}
