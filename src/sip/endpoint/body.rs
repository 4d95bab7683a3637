//! What a request carries: SDP, keys, or something we do not take (RFC 3261 §8.2.3, RFC 5621).

use std::borrow::Cow;

use crate::sip::wire::{Headers, Request, Response};
use crate::types::Digit;

/// The body cannot be used: 415.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Unsupported;

/// Multipart inside multipart, no deeper.
const DEPTH_MAX: u8 = 2;
/// Parts looked at of each multipart.
const PARTS_MAX: usize = 16;

/// The SDP of a request. `Ok(None)`: it has none, and nothing else that it insists on.
pub(super) fn sdp(request: &Request) -> Result<Option<Vec<u8>>, Unsupported> {
    find_sdp(&request.headers, &request.body).map(|sdp| sdp.map(Cow::into_owned))
}

/// The SDP of a response; one we cannot read counts as none.
pub(super) fn sdp_of(response: &Response) -> Option<Vec<u8>> {
    find_sdp(&response.headers, &response.body).ok().flatten().map(Cow::into_owned)
}

fn find_sdp<'a>(headers: &Headers, body: &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, Unsupported> {
    if body.is_empty() {
        return Ok(None);
    }
    let encoding = headers.get("Content-Encoding").unwrap_or("identity");
    let optional = headers.get("Content-Disposition").is_some_and(is_optional);
    let found = if encoding.eq_ignore_ascii_case("identity") {
        let kind = headers.get("Content-Type").unwrap_or(if body.starts_with(b"v=0") { SDP } else { "" });
        part(kind, body, DEPTH_MAX)
    } else {
        None
    };
    match found {
        Some(sdp) => Ok(Some(Cow::Borrowed(sdp))),
        None if optional => Ok(None),
        None => Err(Unsupported),
    }
}

const SDP: &str = "application/sdp";

/// The receiver may ignore the body (RFC 3204 §8.1).
fn is_optional(disposition: &str) -> bool {
    let mut params = disposition.split(';').skip(1);
    params.any(|param| {
        param.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("handling") && value.trim().eq_ignore_ascii_case("optional")
        })
    })
}

/// The SDP in a body of this type: itself, or the first such part of a multipart.
fn part<'a>(kind: &str, body: &'a [u8], depth: u8) -> Option<&'a [u8]> {
    let name = kind.split(';').next().unwrap_or_default().trim();
    if name.eq_ignore_ascii_case(SDP) {
        return Some(body);
    }
    let multipart = name.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    if !multipart || depth == 0 {
        return None;
    }
    let boundary = kind.split(';').skip(1).find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    if boundary.is_empty() {
        return None;
    }
    parts(body, boundary).find_map(|(kind, body)| part(&kind, body, depth - 1))
}

/// Content-Type and body of each part (RFC 2046 §5.1).
fn parts<'a>(body: &'a [u8], boundary: &str) -> impl Iterator<Item = (String, &'a [u8])> {
    let marker = format!("--{boundary}").into_bytes();
    let mut starts = Vec::new();
    let mut from = 0;
    while starts.len() <= PARTS_MAX {
        let Some(at) = find(&body[from..], &marker) else { break };
        let at = from + at;
        if at == 0 || body[at - 1] == b'\n' {
            starts.push(at);
        }
        from = at + marker.len();
    }
    let ends: Vec<usize> = starts.iter().skip(1).copied().collect();
    let marker_length = marker.len();
    starts.into_iter().zip(ends).filter_map(move |(start, end)| {
        let text = &body[start + marker_length..end];
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let (head, content) = match (find(text, b"\r\n\r\n"), find(text, b"\n\n")) {
            (Some(at), _) => (&text[..at], &text[at + 4..]),
            (None, Some(at)) => (&text[..at], &text[at + 2..]),
            (None, None) => return None,
        };
        let head = String::from_utf8_lossy(head);
        let kind = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let name = name.trim();
            let is_type = name.eq_ignore_ascii_case("Content-Type") || name.eq_ignore_ascii_case("c");
            is_type.then(|| value.trim().to_owned())
        });
        Some((kind?, content))
    })
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// What an INFO is about.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Info {
    /// A key and for how long, in ms; 0 when not told.
    Key(Digit, u16),
    /// No body: a sign of life.
    Nothing,
    Malformed,
    Unsupported,
}

/// Keys by INFO: `application/dtmf-relay` (`Signal=5`, `Duration=160`) and `application/dtmf` (`5`).
/// Neither is a standard; both are what phones and gateways send.
pub(super) fn info(request: &Request) -> Info {
    if request.body.is_empty() {
        return Info::Nothing;
    }
    let kind = request.content_type().unwrap_or_default();
    let text = String::from_utf8_lossy(&request.body);
    match kind.as_str() {
        "application/dtmf-relay" => {
            let value = |wanted: &str| {
                text.lines().find_map(|line| {
                    let (name, value) = line.split_once(['=', ':'])?;
                    name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
                })
            };
            let duration = value("Duration").and_then(|text| text.parse().ok()).unwrap_or(0);
            value("Signal")
                .and_then(|text| key(&text))
                .map_or(Info::Malformed, |key| Info::Key(key, duration))
        }
        "application/dtmf" => key(text.trim()).map_or(Info::Malformed, |key| Info::Key(key, 0)),
        _ => Info::Unsupported,
    }
}

/// The key itself, or its event code where it is no single character (`10` is `*`).
fn key(text: &str) -> Option<Digit> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(one), None) => Digit::from_char(one),
        (Some(_), Some(_)) => text.parse().ok().and_then(Digit::from_event),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::wire::{Framing, Message, parse};

    fn request(headers: &str, body: &str) -> Request {
        let text = format!(
            "INFO sip:1@us SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
             To: <sip:1@us>\r\nCall-ID: c\r\nCSeq: 7 INFO\r\n{headers}\r\n{body}"
        );
        match parse(text.as_bytes(), Framing::Datagram) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sdp_is_found_alone_and_among_other_parts() {
        let isup = "multipart/mixed;boundary=\"x\"";
        let two = "--x\r\nContent-Type: application/isup\r\n\r\n\x01--x\r\n--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--x--\r\n";
        let inner = "--y\r\nc: multipart/mixed;boundary=x\r\n\r\n--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--\r\n--y--";
        let cases = [
            ("Content-Type: application/sdp\r\n", "v=0\r\n", Ok(Some("v=0\r\n"))),
            ("Content-Type: Application/SDP;charset=utf-8\r\n", "v=0", Ok(Some("v=0"))),
            ("Content-Type: application/sdp\r\n", "", Ok(None)),
            ("", "", Ok(None)),
            ("", "v=0", Ok(Some("v=0"))),
            ("", "hello", Err(Unsupported)),
            ("Content-Type: text/plain\r\n", "hello", Err(Unsupported)),
            ("Content-Type: text/plain\r\nContent-Disposition: x;handling=optional\r\n", "hello", Ok(None)),
            ("Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n", "v=0", Err(Unsupported)),
            (&format!("Content-Type: {isup}\r\n"), two, Ok(Some("v=0\r\n"))),
            ("Content-Type: multipart/mixed;boundary=y\r\n", inner, Ok(Some("v=0"))),
            ("Content-Type: multipart/mixed;boundary=z\r\n", two, Err(Unsupported)),
            ("Content-Type: multipart/mixed\r\n", two, Err(Unsupported)),
            ("Content-Type: multipart/mixed;boundary=\r\n", two, Err(Unsupported)),
        ];
        for (headers, body, expected) in cases {
            let expected = expected.map(|sdp| sdp.map(|sdp| sdp.as_bytes().to_vec()));
            assert_eq!(sdp(&request(headers, body)), expected, "{headers}{body}");
        }
    }

    #[test]
    fn a_key_by_info_is_read_however_it_is_written() {
        let relay = "Content-Type: application/dtmf-relay\r\n";
        let plain = "Content-Type: application/dtmf\r\n";
        let cases = [
            (relay, "Signal=5\r\nDuration=160\r\n", Some(('5', 160))),
            (relay, "Signal= #\nDuration = 100", Some(('#', 100))),
            (relay, "signal=*", Some(('*', 0))),
            (relay, "Signal=10\r\n", Some(('*', 0))),
            (relay, "Signal=\r\n", None),
            (relay, "Signal=99\r\n", None),
            (relay, "5", None),
            (plain, "5", Some(('5', 0))),
            (plain, "11\r\n", Some(('#', 0))),
            (plain, "x", None),
        ];
        for (headers, body, expected) in cases {
            let expected = expected.map_or(Info::Malformed, |(key, duration)| {
                Info::Key(Digit::from_char(key).unwrap(), duration)
            });
            assert_eq!(info(&request(headers, body)), expected, "{body}");
        }
        assert_eq!(info(&request("", "")), Info::Nothing);
        assert_eq!(info(&request("Content-Type: text/plain\r\n", "5")), Info::Unsupported);
    }
}
