//! Spans to an OpenTelemetry collector: OTLP over HTTP, as JSON.
//!
//! Whoever ends a call hands it over and goes on; a task collects for a moment and posts what came. A call that
//! finds the queue full, or that the collector does not take, is counted and lost: it has its record.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::spans::{self, PastCall};

/// Calls that wait; more are lost.
const QUEUE: usize = 1_024;
/// Calls of one request.
const AT_ONCE: usize = 128;
/// For how long they are collected.
const COLLECT: Duration = Duration::from_millis(500);
/// What a request may take in all.
const ANSWER: Duration = Duration::from_secs(5);
/// More of an answer is not read.
const ANSWER_MAX: usize = 64 * 1024;

/// Where spans go, by HTTP without TLS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OtlpSettings {
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
    /// With its query.
    pub path: String,
}

impl OtlpSettings {
    /// `http://HOST[:PORT][/PATH]`; without a path `/v1/traces`, as collectors have it.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected such as \"http://127.0.0.1:4318/v1/traces\"";
        let uri: Uri = url.parse().map_err(|_| EXPECTED)?;
        // Somebody's name and password would go over the wire as they are.
        if uri.scheme_str() != Some("http") || uri.authority().is_none_or(|all| all.as_str().contains('@')) {
            return Err(EXPECTED);
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(EXPECTED)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "/" => "/v1/traces",
            path => path,
        };
        Ok(Self { host, port: uri.port_u16().unwrap_or(4318), path: path.to_owned() })
    }

    fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// The way to the task. It ends with this, once all is sent or lost.
pub struct Spans {
    queue: mpsc::Sender<PastCall>,
}

impl Spans {
    /// Must be called in a runtime.
    #[must_use]
    pub fn start(settings: OtlpSettings) -> (Self, JoinHandle<()>) {
        let (queue, calls) = mpsc::channel(QUEUE);
        (Self { queue }, tokio::spawn(run(settings, calls)))
    }

    /// Costs one attempt to queue, and never waits.
    pub fn tell(&self, call: PastCall) {
        if let Err(full) = self.queue.try_send(call) {
            lost(full.into_inner().count());
        }
    }
}

async fn run(settings: OtlpSettings, mut calls: mpsc::Receiver<PastCall>) {
    let mut is_there = true;
    while let Some(first) = calls.recv().await {
        let mut batch = vec![first];
        let until = tokio::time::Instant::now() + COLLECT;
        while batch.len() < AT_ONCE
            && let Ok(Some(call)) = tokio::time::timeout_at(until, calls.recv()).await
        {
            batch.push(call);
        }
        let count = batch.iter().map(PastCall::count).sum();
        let posted = tokio::time::timeout(ANSWER, post(&settings, &batch)).await;
        let posted = posted.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        match posted {
            Ok(()) => {
                metrics::counter!("doorline_spans_sent_total").increment(count);
                if !is_there {
                    info!("the collector takes spans again");
                }
                is_there = true;
            }
            Err(why) => {
                lost(count);
                // Once, not for each batch.
                if is_there {
                    warn!(%why, "the collector takes no spans: they are lost until it does");
                }
                is_there = false;
            }
        }
    }
}

async fn post(settings: &OtlpSettings, calls: &[PastCall]) -> Result<(), String> {
    let body = spans::request(calls).to_string();
    let request = Request::post(&settings.path)
        .header(HOST, settings.authority())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let stream = TcpStream::connect((settings.host.as_str(), settings.port)).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        // Read to its end, so that the other side sees no broken connection.
        let _ = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        if status.is_success() { Ok(()) } else { Err(format!("answered {}", status.as_u16())) }
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => answer,
        _ = &mut connection => exchange.await,
    }
}

fn lost(spans: u64) {
    metrics::counter!("doorline_spans_lost_total").increment(spans);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_collectors() {
        for (url, expected) in [
            ("http://127.0.0.1:4318/v1/traces", Some(("127.0.0.1:4318", "/v1/traces"))),
            ("http://collector", Some(("collector:4318", "/v1/traces"))),
            ("http://[::1]:4000/otlp?tenant=a", Some(("[::1]:4000", "/otlp?tenant=a"))),
            ("https://collector:4318/v1/traces", None),
            ("http://me:word@collector/", None),
            ("collector:4318", None),
            ("/v1/traces", None),
            ("http://", None),
            ("", None),
        ] {
            let read = OtlpSettings::parse(url).ok().map(|read| (read.authority(), read.path));
            let read = read.as_ref().map(|(authority, path)| (authority.as_str(), path.as_str()));
            assert_eq!(read, expected, "{url}");
        }
    }
}
