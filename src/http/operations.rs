//! What the API asks of the running service itself, beside its calls.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use serde::Serialize;
use utoipa::ToSchema;

use super::AccessNumber;

/// The way to the service's configuration and trunks.
pub trait Operations: Send + Sync + 'static {
    /// Reads the configuration again. On failure every fault, and nothing has changed.
    fn reload(&self) -> Reloading<'_>;
    /// For invitations. None at all: every dialled number is answered, and none can be told.
    fn access_numbers(&self) -> Vec<AccessNumber>;
    /// By name.
    fn trunks(&self) -> Vec<TrunkFacts>;
    /// Whether a call from that address would come in over that trunk; `None`: no such trunk.
    fn judge(&self, trunk: &str, from: IpAddr) -> Option<Verdict>;
}

/// A reload that is under way.
pub type Reloading<'a> = Pin<Box<dyn Future<Output = Result<Reloaded, Vec<ConfigFault>>> + Send + 'a>>;

/// What a reload did.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Reloaded {
    /// Such as `trunk added lab`.
    #[schema(example = json!(["trunk added lab"]))]
    pub changes: Vec<String>,
    /// Parts that differ in the file and stay as they are until a restart.
    #[schema(example = json!(["[sip]"]))]
    pub needs_restart: Vec<String>,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct ConfigFault {
    pub file: String,
    /// Such as `sip.listen`; empty: the file as a whole.
    pub key: String,
    pub what: String,
}

/// One trunk as it stands.
#[derive(Clone, Debug)]
pub struct TrunkFacts {
    pub name: String,
    pub allow: Vec<String>,
    pub tls_names: Vec<String>,
    pub believes: &'static str,
    pub country: Option<String>,
    pub calls_max: Option<usize>,
    /// Calls that are over, since the start.
    pub answered: u64,
    pub unanswered: u64,
}

/// Whether a source's calls come in.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Verdict {
    pub accepted: bool,
    /// The rule that decided: `allow`, `other-trunk`, `draining`, `limits.calls_max` or `service`.
    pub rule: &'static str,
    pub why: String,
    /// The line for the trunk's file that would let it in.
    pub paste: Option<String>,
}
