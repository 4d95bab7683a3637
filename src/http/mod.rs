//! The HTTP API: hosts, meetings, verified numbers, calls, what is live.
//!
//! Everything under `/api/v1` takes and gives JSON, needs a bearer token, and says what is wrong as
//! `application/problem+json` (RFC 9457). What touches a live call goes to the
//! [`Switchboard`]; the rest goes to the [`Store`].

mod auth;
mod calls;
mod check;
mod conditions;
mod connection;
mod context;
mod erasures;
mod events;
mod feed;
mod health;
mod hosts;
mod input;
pub mod invitation;
mod links;
mod list;
mod live;
mod meetings;
mod notices;
mod once;
mod openapi;
mod operations;
mod page;
mod problem;
pub mod settings;
mod traces;
mod trunks;
mod verified;
mod webhooks;
mod words;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use crate::mail::AccessNumber;
pub use feed::Feed;
pub use openapi::document;
pub use operations::{
    ConfigFault, Operations, Ping, Probe, Probing, Refused, Registration, Reloaded, Reloading, TrunkFacts,
    Verdict,
};
pub use settings::Settings;
pub use traces::{NoTraces, Trace, TraceMessage, Traces};

use crate::bridge::{self, By, Command, Rejection, Reply, Snapshot};
use crate::store::Store;
use context::Context;
use problem::Problem;

/// The way to the bridge: commands in, replies and snapshots out.
pub trait Switchboard: Send + Sync + 'static {
    fn command(&self, by: By, command: Command) -> Answered<'_>;
    /// What is alive now.
    fn snapshot(&self) -> Arc<Snapshot>;
}

/// A reply that is on its way.
pub type Answered<'a> = Pin<Box<dyn Future<Output = Result<Reply, Rejection>> + Send + 'a>>;

/// What the API tells of the service and does not find in the store.
#[derive(Clone)]
pub struct ServiceFacts {
    /// The configuration and the trunks.
    pub operations: Arc<dyn Operations>,
    /// The signalling of the latest calls.
    pub traces: Arc<dyn Traces>,
    /// Length of PINs, expiry of verified numbers.
    pub rules: bridge::Settings,
    pub version: &'static str,
    /// The text of `/metrics`, in Prometheus' format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// What happens, for those who look on.
    pub feed: Feed,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("HTTP on {listen}: {source}")]
    Bind { listen: SocketAddr, source: std::io::Error },
}

/// Serves until `shutdown`; the task then ends when the requests at hand are answered. Gives the
/// address it really listens on.
pub async fn serve(
    settings: Settings,
    store: Store,
    switchboard: Arc<dyn Switchboard>,
    service: ServiceFacts,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(SocketAddr, JoinHandle<()>), Error> {
    let listen = settings.listen;
    let fault = |source| Error::Bind { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    let feed = service.feed.clone();
    let app = router(Context::new(&settings.operator_token, store, switchboard, service));
    let listener = connection::Bounded::new(listener);
    let task = tokio::spawn(async move {
        // Never an error: the listener retries by itself.
        let stopped = async move {
            shutdown.await;
            // Who looks on would never end by itself.
            feed.close();
        };
        let _ = axum::serve(listener, app).with_graceful_shutdown(stopped).await;
    });
    Ok((address, task))
}

fn router(context: Context) -> axum::Router {
    let (router, _document) = openapi::routes().split_for_parts();
    router
        .route("/moderate", axum::routing::get(page::moderate))
        .fallback(async || Problem::no_such_route())
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn(once::keyed))
        .layer(middleware::from_fn(finish))
        .with_state(context)
}

/// What is the same for every answer: its bound in time, a problem for an empty 405, and headers
/// that keep browsers from guessing, caching and framing.
async fn finish(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("the service did not answer in time").into_response(),
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allow = response.headers().get(header::ALLOW).cloned();
        response = Problem::method_not_allowed().into_response();
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    let policy = response.headers_mut().remove(header::CONTENT_SECURITY_POLICY);
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // The page brings its own.
    if let Some(policy) = policy {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// Longest body we read.
const BODY_MAX: usize = 64 * 1024;

/// Longest time for one request once it has been read.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
