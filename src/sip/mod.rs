//! Signalling as state machines (RFC 3261): bytes and time in, bytes and events out.

pub mod bucket;
pub mod dialog;
pub mod digest;
pub mod endpoint;
pub mod flow;
pub mod identity;
pub mod offer;
pub mod outside;
pub mod passport;
pub mod ping;
pub mod reason;
pub mod redirection;
pub mod register;
pub mod resolve;
pub mod session;
mod session_id;
mod timer;
pub mod tls_name;
pub mod transaction;
pub mod transport;
pub mod trunk;
pub mod uri;
pub mod warning;
pub mod wire;

pub use endpoint::{Endpoint, Event, HowEnded, Incoming, Outgoing};
pub use flow::{Bytes, Flow, Transmit};
pub use outside::Outside;
pub use reason::{Farewell, Reason};
pub use redirection::Redirection;
pub use tls_name::TlsName;
pub use transport::Transport;
pub use uri::{Host, Uri};
pub use warning::Warning;
