//! Webhooks: events that other programs asked to be told of, signed, by https.
//!
//! What is told waits in an [`outbox`](crate::outbox); this room hands one event over. Where it goes is
//! an operator's word and still not followed anywhere: see [`reach`](crate::reach).

mod settings;
mod sign;

use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use jiff::Timestamp;

pub use settings::Settings;
pub use sign::Secret;

use crate::outbox::{Carrier, Fault, Item};
use crate::reach::{self, Https, NotReached};

/// From the first packet to the last of an answer.
const WITHIN: Duration = Duration::from_secs(5);

/// Bytes of an answer; nothing of it is looked at but its status.
const ANSWER_MAX: usize = 64 * 1024;

/// One event, as it is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Of its row in the outbox.
    pub id: i64,
    /// Attempts before this one.
    pub attempts: u32,
    /// The same whenever it is told: by it a receiver knows what it had before.
    pub event: String,
    /// JSON.
    pub body: String,
}

impl Item for Event {
    const WHAT: &'static str = "webhook";

    fn id(&self) -> i64 {
        self.id
    }

    fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// The way to one receiver.
pub struct Hook {
    settings: Settings,
    https: Https,
}

impl Hook {
    pub fn new(settings: Settings) -> Result<Self, reach::Error> {
        let https = Https::new(&settings.authorities, settings.allow_private)?;
        Ok(Self { settings, https })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    async fn post(&self, event: &Event) -> Result<(), Fault> {
        let Settings { host, port, authority, path, secret, .. } = &self.settings;
        let timestamp = Timestamp::now().as_second();
        let request = Request::post(path)
            .header(HOST, authority)
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "close")
            .header("webhook-id", &event.event)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", sign::sign(secret, &event.event, timestamp, &event.body))
            .body(Full::new(Bytes::from(event.body.clone())))
            .map_err(|_| Fault::Permanent("no request can be made of it".to_owned()))?;
        let later = |what: &str| Fault::Transient(what.to_owned());
        let answer =
            match tokio::time::timeout(WITHIN, self.https.ask(host, *port, request, ANSWER_MAX)).await {
                Ok(answer) => answer,
                Err(_) => return Err(later("no answer within 5 s")),
            };
        match answer {
            Ok((200..=299, ..)) => Ok(()),
            // What is there has said that it never wants this.
            Ok((410, ..)) => Err(Fault::Permanent("410: it is gone".to_owned())),
            Ok((status @ 300..=399, ..)) => {
                Err(later(&format!("{status}: it points elsewhere, which is not followed")))
            }
            Ok((status, ..)) => Err(later(&format!("answered {status}"))),
            Err(why) => Err(later(match why {
                NotReached::NoAddress => "its name has no address",
                NotReached::PrivateAddress => "it is not on the public Internet",
                NotReached::NoConnection => "it takes no connection",
                NotReached::NoTls => "it could not prove its name by TLS",
                NotReached::NoAnswer => "it gave no answer",
                NotReached::TooLarge => "its answer is too large",
            })),
        }
    }
}

impl Carrier<Event> for Hook {
    async fn carry(&self, event: &Event) -> Result<(), Fault> {
        let result = self.post(event).await;
        let outcome = if result.is_ok() { "told" } else { "not-told" };
        metrics::counter!("doorline_webhooks_total", "hook" => self.settings.name.clone(), "result" => outcome)
            .increment(1);
        result
    }
}
