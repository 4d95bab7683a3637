//! What is wrong with a message, and what can still be answered.

use std::net::SocketAddr;

use super::reason::reason_phrase;
use super::via::Via;
use crate::sip::uri::NotAUri;

/// What is wrong. Never holds a value from the message: it may be somebody's number or PIN.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Wrong {
    #[error("no message, only line ends")]
    Empty,
    #[error("start line that is neither a request line nor a status line")]
    StartLine,
    #[error("SIP version other than 2.0")]
    Version,
    #[error("status code outside 100 to 699")]
    StatusCode,
    #[error("request URI: {0}")]
    RequestUri(NotAUri),
    #[error("request URI with headers, which belong into no request (RFC 3261 section 19.1.1)")]
    RequestUriHeaders,
    #[error("request URI of a scheme other than sip, sips or tel")]
    Scheme,
    #[error("headers without the empty line that ends them")]
    Unfinished,
    #[error("carriage return without a line feed in the headers")]
    BareReturn,
    #[error("header line without a name and a colon")]
    HeaderName,
    #[error("header or start line of more than 8 KiB")]
    HeaderTooLong,
    #[error("more than 128 headers")]
    TooManyHeaders,
    #[error("message of more than 64 KiB")]
    TooLarge,
    #[error("header {0} missing")]
    Missing(&'static str),
    #[error("header {0} more than once")]
    Repeated(&'static str),
    #[error("header {0} malformed")]
    Malformed(&'static str),
    #[error("header {0} with too many values")]
    TooMany(&'static str),
    #[error("CSeq of another method than the request")]
    CSeqMethod,
    #[error("Content-Length {expected} of a body of {got} bytes")]
    BodyTooShort { expected: usize, got: usize },
}

impl Wrong {
    /// What a request with this fault is answered. Of the server errors only 505, which RFC 3261 asks for.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Version => 505,
            Self::Scheme => 416,
            Self::TooLarge => 413,
            _ => 400,
        }
    }

    /// On a stream nobody can say where the next message begins: answer and close (RFC 3261 §18.3).
    #[must_use]
    pub fn loses_framing(&self) -> bool {
        match self {
            Self::Unfinished
            | Self::BareReturn
            | Self::HeaderName
            | Self::HeaderTooLong
            | Self::TooManyHeaders
            | Self::TooLarge
            | Self::BodyTooShort { .. } => true,
            Self::Missing(name) | Self::Repeated(name) | Self::Malformed(name) => *name == "Content-Length",
            Self::Empty
            | Self::StartLine
            | Self::Version
            | Self::StatusCode
            | Self::RequestUri(_)
            | Self::RequestUriHeaders
            | Self::Scheme
            | Self::TooMany(_)
            | Self::CSeqMethod => false,
        }
    }
}

/// A message that is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{wrong}")]
pub struct Fault {
    pub wrong: Wrong,
    /// `None`: say nothing. It was a response, an ACK, or nothing that tells where an answer goes.
    pub salvaged: Option<Box<Salvaged>>,
}

impl Fault {
    pub(super) const fn silent(wrong: Wrong) -> Self {
        Self { wrong, salvaged: None }
    }

    /// The whole answer, where there is one to give.
    #[must_use]
    pub fn answer(&self, source: SocketAddr, to_tag: &str) -> Option<Vec<u8>> {
        self.salvaged.as_ref().map(|salvaged| salvaged.answer(self.wrong.status(), source, to_tag))
    }
}

/// What an answer repeats of a request that could not be read as a whole. All but the first Via is
/// text as it came.
#[derive(Clone, Eq, PartialEq)]
pub struct Salvaged {
    pub top_via: Via,
    pub(super) vias: Vec<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) call_id: Option<String>,
    pub(super) cseq: Option<String>,
}

impl Salvaged {
    /// A stateless answer. `to_tag` is added where To has none (RFC 3261 §8.2.6.2).
    #[must_use]
    pub fn answer(&self, status: u16, source: SocketAddr, to_tag: &str) -> Vec<u8> {
        let mut top = self.top_via.clone();
        top.mark_received(source);
        let mut text = format!("SIP/2.0 {status} {}\r\nVia: {top}\r\n", reason_phrase(status));
        let mut line = |name: &str, value: &str| {
            let value = value.replace(['\r', '\n', '\0'], " ");
            text.push_str(&format!("{name}: {value}\r\n"));
        };
        self.vias.iter().for_each(|via| line("Via", via));
        self.from.iter().for_each(|from| line("From", from));
        if let Some(to) = &self.to {
            let has_tag =
                to.to_ascii_lowercase().split(';').skip(1).any(|p| p.trim_start().starts_with("tag"));
            let to = if has_tag { to.clone() } else { format!("{to};tag={to_tag}") };
            line("To", &to);
        }
        self.call_id.iter().for_each(|call_id| line("Call-ID", call_id));
        self.cseq.iter().for_each(|cseq| line("CSeq", cseq));
        text.push_str("Content-Length: 0\r\n\r\n");
        text.into_bytes()
    }

    /// Where the answer goes over UDP: see [`Via::answer_address`].
    #[must_use]
    pub fn answer_address(&self, source: SocketAddr) -> SocketAddr {
        let mut top = self.top_via.clone();
        top.mark_received(source);
        top.answer_address().unwrap_or(source)
    }
}

impl std::fmt::Debug for Salvaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Salvaged").field("top_via", &self.top_via).finish_non_exhaustive()
    }
}
