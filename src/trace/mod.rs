//! Traces of signalling: the last calls' messages in a ring, as a ladder, as a capture file, and to Homer. And
//! whole calls as spans to an OpenTelemetry collector.
//!
//! Signalling hands each message over without waiting ([`Tap`]); a task masks it before anything else is
//! done with it ([`mask`]), keeps it in a bounded [`ring`] and sends it on by [`hep`]. Whatever finds a
//! queue full is counted and lost: a trace is never worth a call.

mod hep;
mod ladder;
mod mask;
mod otlp;
mod pcap;
mod ring;
pub mod settings;
mod spans;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::mpsc;

pub use otlp::{OtlpSettings, Spans};
pub use settings::{HepSettings, Settings};
pub use spans::PastCall;

use crate::signalling::{Seen, Tap};
use crate::sip::Transport;
use crate::types::CallId;
use hep::Homer;
use mask::Masked;
use ring::Ring;

/// Messages that wait to be looked at; more are lost.
const QUEUE: usize = 4_096;

/// One message, masked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    pub at: Timestamp,
    pub transport: Transport,
    pub from: SocketAddr,
    pub to: SocketAddr,
    /// To the peer, not from it.
    pub outgoing: bool,
    /// Such as `INVITE` or `200 OK (INVITE)`.
    pub summary: String,
    /// All of it; what is secret is x-ed out at its length.
    pub text: Vec<u8>,
}

/// What there is of one call.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Trace {
    /// `Call-ID` of its dialog.
    pub sip_call_id: String,
    pub messages: Vec<Message>,
    /// Messages that found no room; they are missing after the first ones.
    pub left_out: u64,
}

impl Trace {
    /// The messages as arrows between addresses, for a terminal.
    #[must_use]
    pub fn ladder(&self) -> String {
        ladder::draw(self)
    }

    /// A capture file (pcap) of what the messages would be as UDP, whatever carried them.
    #[must_use]
    pub fn pcap(&self) -> Vec<u8> {
        pcap::write(&self.messages)
    }
}

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("hep.server {0}: {1}")]
    Socket(SocketAddr, std::io::Error),
    #[error("hep.password_file {0}: {1}")]
    Password(std::path::PathBuf, std::io::Error),
}

/// The traces of this service. Clones share them; the task ends with the last tap.
#[derive(Clone)]
pub struct Traces {
    ring: Arc<Mutex<Ring>>,
    queue: mpsc::Sender<Job>,
}

/// For the task.
enum Job {
    Seen(Seen),
    Name(CallId, String),
}

impl Traces {
    /// Must be called in a runtime.
    pub fn start(settings: &Settings) -> Result<Self, Error> {
        let homer = settings.hep.as_ref().map(Homer::connect).transpose()?;
        let ring = Arc::new(Mutex::new(Ring::new(settings.bytes_max)));
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(run(ring.clone(), homer, jobs));
        Ok(Self { ring, queue })
    }

    /// What signalling tells of its messages. Costs it one attempt to queue, and never waits.
    #[must_use]
    pub fn tap(&self) -> Tap {
        let queue = self.queue.clone();
        Tap::new(move |seen| {
            if queue.try_send(Job::Seen(seen)).is_err() {
                metrics::counter!("doorline_trace_lost_total").increment(1);
            }
        })
    }

    /// Which call a dialog is, for as long as its record is not written.
    pub fn name(&self, call: CallId, sip_call_id: &str) {
        let _ = self.queue.try_send(Job::Name(call, sip_call_id.to_owned()));
    }

    /// What there is of a call, by its id or the `Call-ID` of its dialog.
    #[must_use]
    pub fn find(&self, call: CallId, sip_call_id: Option<&str>) -> Option<Trace> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).find(call, sip_call_id)
    }
}

async fn run(ring: Arc<Mutex<Ring>>, homer: Option<Homer>, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Seen(seen) => {
                let Some(Masked { sip_call_id, begins_call, summary, text }) = mask::mask(&seen.bytes())
                else {
                    continue;
                };
                let (from, to) = match seen.outgoing {
                    true => (seen.flow.local, seen.flow.peer),
                    false => (seen.flow.peer, seen.flow.local),
                };
                let message = Message {
                    at: seen.at,
                    transport: seen.flow.transport,
                    from,
                    to,
                    outgoing: seen.outgoing,
                    summary,
                    text,
                };
                if let Some(homer) = &homer {
                    match homer.send(&message, &sip_call_id) {
                        Ok(()) => metrics::counter!("doorline_hep_sent_total").increment(1),
                        Err(error) => {
                            metrics::counter!("doorline_hep_lost_total").increment(1);
                            tracing::debug!(%error, "a message did not go to Homer");
                        }
                    }
                }
                let mut ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
                ring.add(&sip_call_id, begins_call, message);
            }
            Job::Name(call, sip_call_id) => {
                ring.lock().unwrap_or_else(PoisonError::into_inner).name(call, &sip_call_id);
            }
        }
    }
}
