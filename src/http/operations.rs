//! What the API asks of the running service itself, beside its calls.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use jiff::Timestamp;
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
    /// Asks that trunk's peer whether it is there; `None`: nothing says where it is.
    fn probe(&self, trunk: String) -> Probing<'_>;
}

/// A peer that is being asked.
pub type Probing<'a> = Pin<Box<dyn Future<Output = Option<Probe>> + Send + 'a>>;

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
    pub recognised_by: Vec<&'static str>,
    pub state: &'static str,
    pub learned: Vec<String>,
    pub registration: Option<Registration>,
    pub ping: Option<Ping>,
    pub refused: Refused,
}

/// Our registration with the trunk's registrar.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Registration {
    /// `registered`, `failing`, or `trying`: nothing has come of it yet.
    pub state: &'static str,
    /// The registrar sends us calls until then, and we come again before.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub registered_until: Option<Timestamp>,
    /// Where the registrar is, as the DNS says.
    #[schema(example = "203.0.113.7:5060")]
    pub address: Option<String>,
    /// The status of its last answer that was none of success; null also when it did not answer.
    pub last_status: Option<u16>,
    /// What went wrong last, since it last went right.
    pub why: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_try_at: Option<Timestamp>,
}

/// What became of asking the peer whether it is there.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Ping {
    /// `up`, `down`, or `unknown`: no answer yet.
    pub state: &'static str,
    /// Who is asked.
    #[schema(example = "203.0.113.7:5060")]
    pub address: Option<String>,
    /// The last answer; null when it was missed.
    pub last_status: Option<u16>,
    pub round_trip_ms: Option<f64>,
}

/// Requests of a trunk that were refused before anything was remembered of them, since the start.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct Refused {
    /// Calls beyond `limits.calls_per_second`.
    pub too_fast: u64,
    /// Asked to prove the password. Every call that does is asked first.
    pub challenged: u64,
    /// Wrong credentials.
    pub unproved: u64,
    /// Not even answered, or not looked at, because too many came before.
    pub limited: u64,
}

/// The answer to one OPTIONS.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Probe {
    pub answered: bool,
    /// Who answered.
    #[schema(example = "203.0.113.7:5060")]
    pub address: Option<String>,
    /// `udp`, `tcp` or `tls`.
    pub transport: Option<&'static str>,
    pub status: Option<u16>,
    pub round_trip_ms: Option<f64>,
    /// Why there was no answer.
    pub why: Option<String>,
}

/// Whether a source's calls come in.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Verdict {
    pub accepted: bool,
    /// The rule that decided: `allow`, `registration`, `other-trunk`, `draining`, `limits.calls_max` or `service`.
    pub rule: &'static str,
    pub why: String,
    /// The line for the trunk's file that would let it in.
    pub paste: Option<String>,
}
