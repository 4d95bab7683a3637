//! Requests and responses as signalling sees them, and how they print.
//!
//! What signalling acts on is a typed field; everything else is in `headers`. Each thing is in one
//! place only, so a field can be changed and printed without the two disagreeing. rsip prints the
//! head; the body goes behind it byte by byte, because rsip would send it through UTF-8.

use std::fmt;
use std::net::SocketAddr;

use rsip::headers::ToTypedHeader;
use rsip::headers::typed::MediaType;

use super::headers::{Headers, to_rsip};
use super::method::{CSeq, Method};
use super::name_addr::NameAddr;
use super::reason::reason_phrase;
use super::via::Via;
use crate::sip::uri::Uri;

/// All headers of a message in the order they are sent, as rsip prints them.
macro_rules! table {
    ($message:expr) => {{
        let message = $message;
        let mut all: Vec<rsip::Header> = Vec::with_capacity(24);
        all.extend(message.via.iter().map(|via| rsip::headers::Via::from(via.to_string()).into()));
        let routes = |list: &[NameAddr]| list.iter().map(NameAddr::to_string).collect::<Vec<_>>().join(", ");
        if !message.route.is_empty() {
            all.push(rsip::headers::Route::from(routes(&message.route)).into());
        }
        if !message.record_route.is_empty() {
            all.push(rsip::headers::RecordRoute::from(routes(&message.record_route)).into());
        }
        if let Some(hops) = message.max_forwards {
            all.push(rsip::headers::MaxForwards::from(u32::from(hops)).into());
        }
        all.push(rsip::headers::From::from(message.from.to_string()).into());
        all.push(rsip::headers::To::from(message.to.to_string()).into());
        all.push(rsip::headers::CallId::from(message.call_id.replace(['\r', '\n'], "")).into());
        all.push(rsip::headers::CSeq::from(message.cseq.to_string()).into());
        all.extend(message.contact.iter().map(|c| rsip::headers::Contact::from(c.to_string()).into()));
        if !message.require.is_empty() {
            all.push(to_rsip("Require", message.require.join(", ")));
        }
        if !message.supported.is_empty() {
            all.push(to_rsip("Supported", message.supported.join(", ")));
        }
        all.extend(message.headers.as_rsip().iter().cloned());
        all.push(
            rsip::headers::ContentLength::from(u32::try_from(message.body.len()).unwrap_or(u32::MAX)).into(),
        );
        rsip::Headers::from(all)
    }};
}
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    Request(Request),
    Response(Response),
}

/// `Debug` shows who and what masked: see [`NameAddr`], [`Headers`].
#[derive(Clone, Eq, PartialEq)]
pub struct Request {
    pub method: Method,
    pub uri: Uri,
    /// The newest first; at least one when parsed.
    pub via: Vec<Via>,
    pub from: NameAddr,
    pub to: NameAddr,
    pub call_id: String,
    /// Its method is `method`, except in an ACK or CANCEL that someone builds wrongly.
    pub cseq: CSeq,
    /// `Contact: *` of a REGISTER is in `headers`.
    pub contact: Vec<NameAddr>,
    pub route: Vec<NameAddr>,
    pub record_route: Vec<NameAddr>,
    pub max_forwards: Option<u8>,
    /// Option tags, as written.
    pub require: Vec<String>,
    pub supported: Vec<String>,
    pub headers: Headers,
    pub body: Vec<u8>,
}

#[derive(Clone, Eq, PartialEq)]
pub struct Response {
    /// 100–699.
    pub status: u16,
    /// May be empty.
    pub reason: String,
    pub via: Vec<Via>,
    pub from: NameAddr,
    pub to: NameAddr,
    pub call_id: String,
    pub cseq: CSeq,
    pub contact: Vec<NameAddr>,
    pub route: Vec<NameAddr>,
    pub record_route: Vec<NameAddr>,
    pub max_forwards: Option<u8>,
    pub require: Vec<String>,
    pub supported: Vec<String>,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Message {
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

impl Request {
    /// One of ours: Max-Forwards 70, no Via yet (the transaction adds it).
    #[must_use]
    pub fn new(
        method: Method,
        uri: Uri,
        from: NameAddr,
        to: NameAddr,
        call_id: &str,
        cseq_number: u32,
    ) -> Self {
        Self {
            cseq: CSeq { number: cseq_number, method: method.clone() },
            method,
            uri,
            via: Vec::new(),
            from,
            to,
            call_id: call_id.to_owned(),
            contact: Vec::new(),
            route: Vec::new(),
            record_route: Vec::new(),
            max_forwards: Some(70),
            require: Vec::new(),
            supported: Vec::new(),
            headers: Headers::default(),
            body: Vec::new(),
        }
    }

    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = format!("{} {} {}\r\n{}\r\n", self.method, self.uri, rsip::Version::V2, table!(self));
        finish(head, &self.body)
    }

    /// See [`Via::mark_received`].
    pub fn mark_received(&mut self, source: SocketAddr) {
        if let Some(top) = self.via.first_mut() {
            top.mark_received(source);
        }
    }
}

impl Response {
    /// An answer (RFC 3261 §8.2.6.2): Via, From, To, Call-ID and CSeq of the request, the registered
    /// reason phrase, Timestamp into a 100, Record-Route into what makes a dialog (§12.1.1). The To
    /// tag is the answerer's to add: [`Response::with_to_tag`].
    #[must_use]
    pub fn to(request: &Request, status: u16) -> Self {
        let mut headers = Headers::default();
        if let (100, Some(timestamp)) = (status, request.headers.get("Timestamp")) {
            headers.push("Timestamp", timestamp);
        }
        let makes_dialog = request.method.makes_dialog() && matches!(status, 101..=299);
        Self {
            status,
            reason: reason_phrase(status).to_owned(),
            via: request.via.clone(),
            from: request.from.clone(),
            to: request.to.clone(),
            call_id: request.call_id.clone(),
            cseq: request.cseq.clone(),
            contact: Vec::new(),
            route: Vec::new(),
            record_route: if makes_dialog { request.record_route.clone() } else { Vec::new() },
            max_forwards: None,
            require: Vec::new(),
            supported: Vec::new(),
            headers,
            body: Vec::new(),
        }
    }

    /// Only where the request had none: the tag of a dialog never changes.
    #[must_use]
    pub fn with_to_tag(mut self, tag: &str) -> Self {
        if self.to.tag().is_none() {
            self.to.params.set("tag", Some(tag));
        }
        self
    }

    #[must_use]
    pub fn with_contact(mut self, contact: NameAddr) -> Self {
        self.contact = vec![contact];
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    #[must_use]
    pub fn with_body(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.headers.set("Content-Type", content_type);
        self.body = body;
        self
    }

    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let reason = self.reason.replace(['\r', '\n'], " ");
        let printed = rsip::Response {
            status_code: rsip::StatusCode::Other(self.status, reason),
            version: rsip::Version::V2,
            headers: table!(self),
            body: Vec::new(),
        };
        finish(printed.to_string(), &self.body)
    }

    /// Neither provisional nor absent.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.status >= 200
    }
}

fn finish(head: String, body: &[u8]) -> Vec<u8> {
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// What requests and responses have in common.
macro_rules! common {
    ($($message:ident),*) => { $(
        impl $message {
            /// In lower case, without parameters: `application/sdp`. `None` also when malformed.
            #[must_use]
            pub fn content_type(&self) -> Option<String> {
                media_type(self.headers.get("Content-Type")?)
            }

            /// Seconds; one too large to count counts as the largest (RFC 3261 §20.19). `None` when malformed.
            #[must_use]
            pub fn expires(&self) -> Option<u32> {
                let text = self.headers.get("Expires")?;
                let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                is_number.then(|| text.parse().unwrap_or(u32::MAX))
            }

            /// Option tags have no case (RFC 3261 §7.3.1 on tokens).
            #[must_use]
            pub fn supports(&self, option: &str) -> bool {
                self.supported.iter().chain(&self.require).any(|tag| tag.eq_ignore_ascii_case(option))
            }

            /// `Allow` lists the method. Without the header nobody knows, and this is false.
            #[must_use]
            pub fn allows(&self, method: &Method) -> bool {
                self.headers.get_all("Allow").any(|list| list.split(',').any(|m| m.trim() == method.as_str()))
            }
        }
    )* };
}
common!(Request, Response);

fn media_type(text: &str) -> Option<String> {
    let typed = rsip::headers::ContentType::from(text).typed().ok()?;
    match typed.0 {
        MediaType::Sdp(_) => Some("application/sdp".to_owned()),
        MediaType::Other(name, _) => {
            let name = name.trim();
            let (kind, subtype) = name.split_once('/')?;
            let good = super::is_token(kind.trim()) && super::is_token(subtype.trim());
            good.then(|| format!("{}/{}", kind.trim(), subtype.trim()).to_ascii_lowercase())
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method.as_str())
            .field("uri", &self.uri)
            .field("via", &self.via)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("call_id", &self.call_id)
            .field("cseq", &self.cseq.number)
            .field("contact", &self.contact)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("reason", &self.reason)
            .field("via", &self.via)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("call_id", &self.call_id)
            .field("cseq", &format_args!("{}", self.cseq))
            .field("contact", &self.contact)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
