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
        (_, Err(wrong), _) if !head.start.is_empty() => Err(fault(wrong)),
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

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:+442079460000@192.0.2.10 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport\r\n\
        Max-Forwards: 70\r\n\
        From: \"A\" <sip:+442079460001@192.0.2.1>;tag=f\r\n\
        To: <sip:+442079460000@192.0.2.10>\r\n\
        Call-ID: c@192.0.2.1\r\n\
        CSeq: 1 INVITE\r\n";

    fn read(text: &str) -> Result<Message, Fault> {
        parse(text.as_bytes(), Framing::Datagram)
    }

    fn request(text: &str) -> Request {
        match read(text) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_comes_apart_into_what_signalling_acts_on() {
        let request = request(&format!(
            "{INVITE}m: <sip:a@192.0.2.1:5070;transport=tcp>;q=0.5, <tel:+1>\r\n\
             Record-Route: <sip:p1;lr>,<sip:p2;lr>\r\nRecord-Route: <sip:p3;lr>\r\n\
             Require: 100rel\r\nk: timer, replaces\r\nSupported:\r\nAllow: INVITE, ACK,UPDATE\r\n\
             P-Asserted-Identity: <tel:+442079460001>\r\nx: 1800\r\nExpires: 99999999999\r\n\
             c: Application / SDP ; charset=x\r\nl: 3\r\n\r\nv=0 noise"
        ));
        assert_eq!(request.method, Method::Invite);
        assert_eq!(request.uri.user().as_deref(), Some("+442079460000"));
        assert_eq!(request.via[0].transaction_branch(), Some("z9hG4bKa"));
        assert_eq!((request.from.tag(), request.to.tag()), (Some("f"), None));
        assert_eq!((request.contact.len(), request.record_route.len()), (2, 3));
        assert!(request.supports("100rel") && request.supports("TIMER") && !request.supports("x"));
        assert!(request.allows(&Method::Update) && !request.allows(&Method::Info));
        assert_eq!(request.headers.get("session-expires"), Some("1800"));
        assert_eq!(request.headers.get("p-asserted-identity"), Some("<tel:+442079460001>"));
        assert_eq!(request.content_type().as_deref(), Some("application/sdp"));
        assert_eq!((request.expires(), request.body.as_slice()), (Some(u32::MAX), b"v=0".as_slice()));
    }

    #[test]
    fn what_is_wrong_has_a_name_and_a_status() {
        let change = |from: &str, to: &str| format!("{INVITE}\r\n").replacen(from, to, 1);
        let cases: &[(String, Wrong, u16)] = &[
            (change("SIP/2.0\r", "SIP/7.0\r"), Wrong::Version, 505),
            (change("SIP/2.0\r", "HTTP/1.1\r"), Wrong::StartLine, 400),
            (change(" SIP/2.0\r", "  SIP/2.0\r"), Wrong::StartLine, 400),
            (change("SIP/2.0\r", "SIP/2.0 \r"), Wrong::StartLine, 400),
            (change("sip:+442079460000@", "foo:+442079460000@"), Wrong::Scheme, 416),
            (change("192.0.2.10 ", "192.0.2.10?a=b "), Wrong::RequestUriHeaders, 400),
            (change("CSeq: 1 INVITE", "CSeq: 1 BYE"), Wrong::CSeqMethod, 400),
            (change("CSeq: 1 INVITE", "CSeq: 2147483648 INVITE"), Wrong::Malformed("CSeq"), 400),
            (change("Max-Forwards: 70", "Max-Forwards: 256"), Wrong::Malformed("Max-Forwards"), 400),
            (
                change("Max-Forwards: 70", "Max-Forwards: 70\r\nMax-Forwards: 70"),
                Wrong::Repeated("Max-Forwards"),
                400,
            ),
            (change("Call-ID", "From: <sip:a@b>\r\nCall-ID"), Wrong::Repeated("From"), 400),
            (change("Call-ID:", "X:"), Wrong::Missing("Call-ID"), 400),
            (change("From:", "X:"), Wrong::Missing("From"), 400),
            (change("\r\nTo:", "\r\nX:"), Wrong::Missing("To"), 400),
            (change("CSeq:", "X:"), Wrong::Missing("CSeq"), 400),
            (change("Via:", "X:"), Wrong::Missing("Via"), 400),
            (change("CSeq:", "l: 1\r\nCSeq:"), Wrong::BodyTooShort { expected: 1, got: 0 }, 400),
            (change("CSeq:", "l: -1\r\nCSeq:"), Wrong::Malformed("Content-Length"), 400),
            (change("CSeq:", "l: 0\r\nl: 0\r\nCSeq:"), Wrong::Repeated("Content-Length"), 400),
            (change("CSeq:", "c: a/b\r\nc: a/c\r\nCSeq:"), Wrong::Repeated("Content-Type"), 400),
            (
                change("CSeq:", &format!("{}CSeq:", "m: <sip:a@b>\r\n".repeat(17))),
                Wrong::TooMany("Contact"),
                400,
            ),
            (
                change("CSeq:", &format!("{}CSeq:", "v: SIP/2.0/UDP h\r\n".repeat(40))),
                Wrong::TooMany("Via"),
                400,
            ),
            (change("CSeq:", &format!("X: {}\r\nCSeq:", "x".repeat(40_000))), Wrong::HeaderTooLong, 400),
            (change("To: <", "To: \"open <"), Wrong::Malformed("To"), 400),
            (
                change("Require", "X").replace("CSeq:", "Require: a b\r\nCSeq:"),
                Wrong::Malformed("Require"),
                400,
            ),
        ];
        for (text, wrong, status) in cases {
            let fault = read(text).expect_err(text);
            assert_eq!((&fault.wrong, fault.wrong.status()), (wrong, *status));
            let answered = fault.answer("192.0.2.1:5060".parse().unwrap(), "t");
            assert_eq!(answered.is_some(), *wrong != Wrong::Missing("Via"), "{wrong}");
            if let Some(answer) = answered {
                assert!(answer.starts_with(format!("SIP/2.0 {status} ").as_bytes()));
                assert!(!String::from_utf8(answer).unwrap().contains("\r\n\r\n\r\n"));
            }
        }
    }

    #[test]
    fn an_answer_to_what_cannot_be_read_repeats_what_can() {
        let text = format!(
            "{}\r\n",
            INVITE
                .replace("To: <", "To: \"open <")
                .replace("Max-", "v: SIP/2.0/TCP p;branch=1 , nonsense\r\nMax-")
        );
        let fault = read(&text).unwrap_err();
        let answer =
            String::from_utf8(fault.answer("198.51.100.7:4000".parse().unwrap(), "t").unwrap()).unwrap();
        assert_eq!(
            answer,
            "SIP/2.0 400 Bad Request\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport=4000;received=198.51.100.7\r\n\
             Via: SIP/2.0/TCP p;branch=1 , nonsense\r\n\
             From: \"A\" <sip:+442079460001@192.0.2.1>;tag=f\r\n\
             To: \"open <sip:+442079460000@192.0.2.10>;tag=t\r\n\
             Call-ID: c@192.0.2.1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn responses_acks_and_garbage_are_never_answered() {
        let ack = format!("{INVITE}X\r\n\r\n").replace("INVITE", "ACK");
        let response = format!("{INVITE}X\r\n\r\n")
            .replace("INVITE sip:+442079460000@192.0.2.10 SIP/2.0", "SIP/2.0 200 OK");
        for text in [&*ack, &*response, "", "\r\n\r\n", "\0\0\0", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
            assert_eq!(read(text).expect_err(text).salvaged, None, "{text:?}");
        }
    }

    #[test]
    fn a_start_line_past_the_bound_says_so_and_is_not_answered() {
        // Latin-1 in a reason phrase doubles as UTF-8, so a line read once may be too long to read again.
        let long = format!("{INVITE}\r\n").replacen("sip:", &format!("sip:{}", "x".repeat(9_000)), 1);
        assert_eq!(read(&long), Err(Fault::silent(Wrong::HeaderTooLong)));
    }

    #[test]
    fn status_lines_are_read_with_and_without_a_reason() {
        let rest = INVITE.split_once("\r\n").unwrap().1;
        let cases = [
            ("SIP/2.0 200 OK then", Ok((200, "OK then"))),
            ("SIP/2.0 180 ", Ok((180, ""))),
            ("SIP/2.0 180", Ok((180, ""))),
            ("sip/2.0 699 Ω", Ok((699, "Ω"))),
            ("SIP/2.0 4294967301 no", Err(Wrong::StatusCode)),
            ("SIP/2.0 099 no", Err(Wrong::StatusCode)),
            ("SIP/2.0 700 no", Err(Wrong::StatusCode)),
            ("SIP/3.0 200 OK", Err(Wrong::Version)),
            ("SIP/2.0", Err(Wrong::StartLine)),
        ];
        for (line, expected) in cases {
            let got = match read(&format!("{line}\r\n{rest}\r\n")) {
                Ok(Message::Response(response)) => Ok((response.status, response.reason)),
                Ok(other) => panic!("{other:?}"),
                Err(fault) => Err(fault.wrong),
            };
            assert_eq!(got, expected.map(|(status, reason)| (status, reason.to_owned())), "{line}");
        }
    }

    #[test]
    fn what_is_printed_reads_back_the_same_for_us_and_for_rsip() {
        let mut request = request(&format!(
            "{INVITE}m: <sip:a@192.0.2.1:5070>\r\nSubject: x\r\nRoute: <sip:p1;lr>, <sip:p2;lr>\r\nk: timer\r\nl: 4\r\n\r\n\0\u{7f}\r\n"
        ));
        request.mark_received("192.0.2.1:4000".parse().unwrap());
        let bytes = request.to_bytes();
        assert_eq!(parse(&bytes, Framing::Stream), Ok(Message::Request(request.clone())));
        let rsip = rsip::Request::try_from(bytes).unwrap();
        assert_eq!((rsip.method, rsip.body.as_slice()), (rsip::Method::Invite, b"\0\x7f\r\n".as_slice()));

        let contact = NameAddr::new("sip:192.0.2.10:5060".parse().unwrap());
        let response = Response::to(&request, 200)
            .with_to_tag("our")
            .with_contact(contact)
            .with_header("Allow", "INVITE, ACK")
            .with_body("application/sdp", b"v=0\r\n".to_vec());
        let bytes = response.to_bytes();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(
            text.starts_with("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport=4000")
        );
        assert!(text.ends_with("Content-Length: 5\r\n\r\nv=0\r\n"), "{text}");
        assert_eq!(parse(&bytes, Framing::Stream), Ok(Message::Response(response)));
        assert_eq!(rsip::Response::try_from(bytes).unwrap().status_code, rsip::StatusCode::OK);
    }

    #[test]
    fn an_answer_copies_what_makes_the_dialog_and_keeps_a_tag_that_is_there() {
        let request = request(&format!("{INVITE}Record-Route: <sip:p1;lr>\r\nTimestamp: 54\r\n\r\n"));
        for (status, routes, timestamp) in [(100, 0, true), (180, 1, false), (200, 1, false), (404, 0, false)]
        {
            let response = Response::to(&request, status).with_to_tag("one").with_to_tag("two");
            assert_eq!(response.record_route.len(), routes, "{status}");
            assert_eq!(response.headers.get("Timestamp").is_some(), timestamp, "{status}");
            assert_eq!(response.to.tag(), Some("one"));
        }
    }

    #[test]
    fn debug_tells_no_number() {
        let shown =
            format!("{:?}", request(&format!("{INVITE}P-Asserted-Identity: <tel:+442079460001>\r\n\r\n")));
        assert!(!shown.contains("7946"), "{shown}");
    }
}
