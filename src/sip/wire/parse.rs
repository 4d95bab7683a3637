//! From header fields to a [`Message`], or to a [`Fault`] that says what is wrong with it.

use std::borrow::Cow;

use super::fault::{Fault, Salvaged, Wrong};
use super::grammar::{self, SPACE, is_token};
use super::headers::Headers;
use super::limits;
use super::lines::{self, Field, Head};
use super::message::{Message, Request, Response};
use super::method::{CSeq, Method};
use super::name_addr::NameAddr;
use super::via::Via;
use crate::sip::uri::Uri;

/// How a message's end is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// One message; what follows its Content-Length is noise, and without one it ends with the
    /// datagram (RFC 3261 §18.3).
    Datagram,
    /// Content-Length is required; [`Framer`](super::Framer) has cut the bytes already.
    Stream,
}

/// Reads one message. Cost grows with its length, never faster.
///
/// # Errors
/// A [`Fault`] with the first thing wrong.
pub fn parse(bytes: &[u8], framing: Framing) -> Result<Message, Fault> {
    if bytes.len() > limits::MESSAGE_BYTES {
        // Too large to look at: who sends this over UDP is no phone, and a stream ends here anyway.
        return Err(Fault::silent(Wrong::TooLarge));
    }
    let head = lines::read(bytes);
    let start = StartLine::parse(&head.start);
    let body = body(&head, bytes, framing);
    let wrong = match (&head.wrong, &body) {
        (Some(wrong), _) => Some(wrong.clone()),
        (None, Err(wrong)) => Some(wrong.clone()),
        (None, Ok(_)) => None,
    };
    let fault = |wrong: Wrong| Fault { wrong, salvaged: salvage(&head) };
    match (wrong, start, body) {
        (None, Ok(start), Ok(body)) => message(start, &head, body).map_err(fault),
        // What the start line says about the protocol counts more than what a header says.
        (_, Err(wrong), _) if head.wrong != Some(Wrong::Empty) => Err(fault(wrong)),
        (Some(wrong), ..) => Err(fault(wrong)),
        (None, Err(wrong), _) | (None, _, Err(wrong)) => Err(fault(wrong)),
    }
}

enum StartLine<'a> {
    Request { method: Method, uri: Uri },
    Response { status: u16, reason: &'a str },
}

impl<'a> StartLine<'a> {
    /// Exactly one space between the parts and none behind (RFC 3261 §7.1).
    fn parse(line: &'a str) -> Result<Self, Wrong> {
        if is_status_line(line) {
            let (version, rest) = line.split_once(' ').ok_or(Wrong::StartLine)?;
            check_version(version)?;
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            if code.len() != 3 {
                return Err(Wrong::StatusCode);
            }
            let status = grammar::number(code, 699).filter(|code| *code >= 100).ok_or(Wrong::StatusCode)?;
            let status = u16::try_from(status).map_err(|_| Wrong::StatusCode)?;
            return Ok(Self::Response { status, reason });
        }
        let mut parts = line.split(' ');
        let (Some(method), Some(uri), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Wrong::StartLine);
        };
        let method = method.parse().map_err(|_| Wrong::StartLine)?;
        check_version(version)?;
        let uri: Uri = uri.parse().map_err(Wrong::RequestUri)?;
        match &uri {
            Uri::Other { .. } => Err(Wrong::Scheme),
            Uri::Sip(sip) if sip.headers.is_some() => Err(Wrong::RequestUriHeaders),
            Uri::Sip(_) | Uri::Tel(_) => Ok(Self::Request { method, uri }),
        }
    }
}

fn is_status_line(line: &str) -> bool {
    line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/"))
}

fn check_version(version: &str) -> Result<(), Wrong> {
    if version.eq_ignore_ascii_case("SIP/2.0") {
        return Ok(());
    }
    let number = if is_status_line(version) { &version[4..] } else { return Err(Wrong::StartLine) };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_version =
        number.split_once('.').is_some_and(|(major, minor)| is_number(major) && is_number(minor));
    Err(if is_version { Wrong::Version } else { Wrong::StartLine })
}

/// The one Content-Length, if there is one.
pub(super) fn content_length(head: &Head<'_>) -> Result<Option<usize>, Wrong> {
    const NAME: &str = "Content-Length";
    let mut lengths = head.fields.iter().filter(|field| field.name == NAME);
    let Some(first) = lengths.next() else { return Ok(None) };
    if lengths.next().is_some() {
        return Err(Wrong::Repeated(NAME));
    }
    let length = grammar::number(&first.value, u64::from(u32::MAX)).ok_or(Wrong::Malformed(NAME))?;
    usize::try_from(length).map(Some).map_err(|_| Wrong::Malformed(NAME))
}

fn body<'a>(head: &Head<'_>, bytes: &'a [u8], framing: Framing) -> Result<&'a [u8], Wrong> {
    let rest = &bytes[head.body_at..];
    match (content_length(head)?, framing) {
        (Some(length), _) => {
            rest.get(..length).ok_or(Wrong::BodyTooShort { expected: length, got: rest.len() })
        }
        (None, Framing::Datagram) => Ok(rest),
        (None, Framing::Stream) => Err(Wrong::Missing("Content-Length")),
    }
}

/// The typed fields while they are collected.
#[derive(Default)]
struct Draft {
    via: Vec<Via>,
    from: Option<NameAddr>,
    to: Option<NameAddr>,
    call_id: Option<String>,
    cseq: Option<CSeq>,
    contact: Vec<NameAddr>,
    route: Vec<NameAddr>,
    record_route: Vec<NameAddr>,
    max_forwards: Option<u8>,
    require: Vec<String>,
    supported: Vec<String>,
    has_content_type: bool,
    headers: Headers,
}

impl Draft {
    fn take(&mut self, field: &Field<'_>) -> Result<(), Wrong> {
        let value = &*field.value;
        match &*field.name {
            "Via" => list("Via", value, &mut self.via, limits::VIAS, Via::parse),
            "From" => once("From", &mut self.from, NameAddr::parse(value)),
            "To" => once("To", &mut self.to, NameAddr::parse(value)),
            "Call-ID" => once("Call-ID", &mut self.call_id, is_call_id(value).then(|| value.to_owned())),
            "CSeq" => once("CSeq", &mut self.cseq, CSeq::parse(value)),
            "Max-Forwards" => {
                let hops = grammar::number(value, 255).and_then(|hops| u8::try_from(hops).ok());
                once("Max-Forwards", &mut self.max_forwards, hops)
            }
            "Contact" if value == "*" => {
                self.headers.push("Contact", "*");
                Ok(())
            }
            "Contact" => list("Contact", value, &mut self.contact, limits::CONTACTS, NameAddr::parse),
            "Route" => list("Route", value, &mut self.route, limits::ROUTES, NameAddr::parse),
            "Record-Route" => {
                list("Record-Route", value, &mut self.record_route, limits::ROUTES, NameAddr::parse)
            }
            "Require" => list("Require", value, &mut self.require, limits::OPTION_TAGS, option_tag),
            // An empty Supported is how a peer says "nothing" (RFC 3261 §20.37).
            "Supported" if value.is_empty() => Ok(()),
            "Supported" => list("Supported", value, &mut self.supported, limits::OPTION_TAGS, option_tag),
            "Content-Length" => Ok(()),
            "Content-Type" if self.has_content_type => Err(Wrong::Repeated("Content-Type")),
            name => {
                self.has_content_type |= name == "Content-Type";
                self.headers.push(name, value);
                Ok(())
            }
        }
    }
}

fn once<T>(name: &'static str, slot: &mut Option<T>, value: Option<T>) -> Result<(), Wrong> {
    if slot.is_some() {
        return Err(Wrong::Repeated(name));
    }
    *slot = Some(value.ok_or(Wrong::Malformed(name))?);
    Ok(())
}

/// A header that may hold several values, and may itself stand several times.
fn list<T>(
    name: &'static str,
    value: &str,
    all: &mut Vec<T>,
    most: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<(), Wrong> {
    for piece in grammar::split(value, b',').ok_or(Wrong::Malformed(name))? {
        if all.len() == most {
            return Err(Wrong::TooMany(name));
        }
        all.push(parse(piece).ok_or(Wrong::Malformed(name))?);
    }
    Ok(())
}

fn option_tag(text: &str) -> Option<String> {
    is_token(text).then(|| text.to_owned())
}

/// `callid` is made of words; anything visible without spaces does no harm.
fn is_call_id(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn message(start: StartLine<'_>, head: &Head<'_>, body: &[u8]) -> Result<Message, Wrong> {
    let mut draft = Draft::default();
    for field in &head.fields {
        draft.take(field)?;
    }
    let Draft { via, contact, route, record_route, max_forwards, require, supported, headers, .. } = draft;
    if via.is_empty() {
        return Err(Wrong::Missing("Via"));
    }
    let from = draft.from.ok_or(Wrong::Missing("From"))?;
    let to = draft.to.ok_or(Wrong::Missing("To"))?;
    let call_id = draft.call_id.ok_or(Wrong::Missing("Call-ID"))?;
    let cseq = draft.cseq.ok_or(Wrong::Missing("CSeq"))?;
    let body = body.to_vec();
    Ok(match start {
        StartLine::Request { method, .. } if method != cseq.method => return Err(Wrong::CSeqMethod),
        StartLine::Request { method, uri } => Message::Request(Request {
            method,
            uri,
            via,
            from,
            to,
            call_id,
            cseq,
            contact,
            route,
            record_route,
            max_forwards,
            require,
            supported,
            headers,
            body,
        }),
        StartLine::Response { status, reason } => Message::Response(Response {
            status,
            reason: reason.to_owned(),
            via,
            from,
            to,
            call_id,
            cseq,
            contact,
            route,
            record_route,
            max_forwards,
            require,
            supported,
            headers,
            body,
        }),
    })
}

/// What an answer needs, from a request that is refused. Its first Via must be readable; the rest
/// is repeated as it came, as far as it is there. Responses and ACK are never answered.
fn salvage(head: &Head<'_>) -> Option<Box<Salvaged>> {
    let method = head.start.split(SPACE).next()?;
    if is_status_line(&head.start) || method == "ACK" || !is_token(method) {
        return None;
    }
    let raw =
        |name: &str| head.fields.iter().find(|field| field.name == name).map(|field| field.value.to_string());
    let mut vias = head.fields.iter().filter(|field| field.name == "Via");
    let first = grammar::split(&vias.next()?.value, b',')?;
    let (top, others) = first.split_first()?;
    let others = others.iter().map(|via| Cow::Borrowed(*via));
    let vias = others.chain(vias.map(|field| field.value.clone())).map(Cow::into_owned).collect();
    Some(Box::new(Salvaged {
        top_via: Via::parse(top)?,
        vias,
        from: raw("From"),
        to: raw("To"),
        call_id: raw("Call-ID"),
        cseq: raw("CSeq"),
    }))
}
