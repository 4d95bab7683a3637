//! Configuration: from TOML files to the finished settings of every room.
//!
//! Only this room sees raw text. [`load`] gives settings without a fault, or every fault there is; a
//! service never starts on half a configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::types::{Country, Language, PhoneNumber, Token};
use crate::{bridge, http, mail, media, server, signalling, sip, stir, store, telemetry, trace};

mod addresses;
pub mod explain;
mod fault;
mod file;
mod finish;
mod keeping;
mod outgoing;
mod raw;
mod read;
mod remote;
mod secrets;
mod signatures;
mod traces;
mod transports;
mod trunks;
mod webhooks;

pub use fault::Fault;
pub use webhooks::Hook;

/// The environment variable that goes before `http.operator_token_file`.
pub const TOKEN_VARIABLE: &str = "DOORLINE_OPERATOR_TOKEN";

/// What every room must know, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Absolute; may not exist yet.
    pub data_dir: PathBuf,
    /// Folder of the operator's own language packs.
    pub prompts: Option<PathBuf>,
    pub signalling: signalling::Settings,
    pub media: media::Settings,
    /// `None`: no signatures are verified.
    pub stir: Option<stir::Settings>,
    pub recording: media::recording::Settings,
    pub retention: server::Retention,
    pub trace: trace::Settings,
    /// `None`: no spans are sent.
    pub otlp: Option<trace::OtlpSettings>,
    pub webhooks: Vec<Hook>,
    pub http: http::Settings,
    pub store: store::Settings,
    /// `None`: no mail is sent.
    pub mail: Option<mail::Settings>,
    pub bridge: bridge::Settings,
    /// How long live calls may go on once the service is told to stop.
    pub drain: Duration,
    /// By name.
    pub trunks: Vec<sip::trunk::Trunk>,
    /// None at all: every dialled number is answered.
    pub access_numbers: Vec<AccessNumber>,
    pub log_format: telemetry::LogFormat,
    /// A filter that `tracing_subscriber` understands.
    pub log_level: String,
}

/// A number that callers dial.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessNumber {
    pub number: PhoneNumber,
    pub language: Language,
    pub other_languages: Vec<Language>,
    pub country: Option<Country>,
}

/// Reads the configuration in `file`, its trunks folder and the operator's token. On failure: every
/// fault, at least one, sorted by file.
pub fn load(file: &Path) -> Result<Settings, Vec<Fault>> {
    let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
    load_with(file, token.map(Token::new))
}

/// The same with the token that the environment gave.
pub fn load_with(file: &Path, token: Option<Token>) -> Result<Settings, Vec<Fault>> {
    finish::settings(file, token)
}
