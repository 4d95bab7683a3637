//! One TCP connection: a task that reads and frames, a task that writes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::Limits;
use crate::sip::wire::{Fault, Frame, Framer, Message};
use crate::sip::{Bytes, Flow};

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
    pub writes: mpsc::Sender<Bytes>,
    reader: tokio::task::AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Connection {
    pub(super) fn accepted(
        stream: TcpStream,
        flow: Flow,
        number: u64,
        limits: &Limits,
        news: mpsc::Sender<News>,
    ) -> Self {
        let (writes, queue) = mpsc::channel(WRITES_MAX);
        let (limits, pongs) = (limits.clone(), writes.downgrade());
        let task = tokio::spawn(async move {
            let (read, write) = split(stream);
            tokio::spawn(write_all(write, queue, limits.write));
            serve(read, flow, number, &limits, &news, &pongs).await;
        });
        Self { number, inbound: true, writes, reader: task.abort_handle() }
    }

    /// Opens one to the flow's peer; what is queued meanwhile goes out when it is there.
    pub(super) fn open(flow: Flow, number: u64, limits: &Limits, news: mpsc::Sender<News>) -> Self {
        let (writes, queue) = mpsc::channel(WRITES_MAX);
        let (limits, pongs) = (limits.clone(), writes.downgrade());
        let task = tokio::spawn(async move {
            match timeout(limits.write, TcpStream::connect(flow.peer)).await {
                Ok(Ok(stream)) => {
                    let (read, write) = split(stream);
                    tokio::spawn(write_all(write, queue, limits.write));
                    serve(read, flow, number, &limits, &news, &pongs).await;
                }
                Ok(Err(_)) | Err(_) => {
                    let _ = news.send(News { flow, number, what: What::Closed }).await;
                }
            }
        });
        Self { number, inbound: false, writes, reader: task.abort_handle() }
    }
}

fn split(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    // Messages are whole; waiting to fill a segment only delays them. Without it they are late, not lost.
    let _ = stream.set_nodelay(true);
    stream.into_split()
}

/// Reads until the end, an error, a limit or a broken stream, and says so.
async fn serve(
    read: OwnedReadHalf,
    flow: Flow,
    number: u64,
    limits: &Limits,
    news: &mpsc::Sender<News>,
    pongs: &mpsc::WeakSender<Bytes>,
) {
    let last = read_all(read, flow, number, limits, news, pongs).await;
    let _ = news.send(News { flow, number, what: last }).await;
}

async fn read_all(
    mut read: OwnedReadHalf,
    flow: Flow,
    number: u64,
    limits: &Limits,
    news: &mpsc::Sender<News>,
    pongs: &mpsc::WeakSender<Bytes>,
) -> What {
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
                    let _ = pongs.upgrade().map(|writes| writes.try_send(PONG.into()));
                    continue;
                }
            };
            if news.send(News { flow, number, what }).await.is_err() {
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

async fn write_all(mut write: OwnedWriteHalf, mut queue: mpsc::Receiver<Bytes>, patience: Duration) {
    while let Some(bytes) = queue.recv().await {
        match timeout(patience, write.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            // The driver finds the queue closed with its next message.
            Ok(Err(_)) | Err(_) => return,
        }
    }
    let _ = timeout(patience, write.shutdown()).await;
}
