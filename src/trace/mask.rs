//! What of a message may be shown: everything but secrets, which are x-ed out at their length.
//!
//! Gone are credentials, signed tokens, keys of SRTP, every body that is no session description (key
//! presses by INFO, messages), and the middle of telephone numbers, as everywhere else. Call-IDs, tags
//! and branches stay: they are what a trace is followed by. Lengths stay, so that Content-Length is right.

/// A message as it may be kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Masked {
    pub sip_call_id: String,
    /// An INVITE: its call is kept.
    pub begins_call: bool,
    pub summary: String,
    pub text: Vec<u8>,
}

/// Longest Call-ID of a call that is kept.
const CALL_ID_MAX: usize = 256;

/// `None`: no message, or one without a Call-ID.
pub(super) fn mask(bytes: &[u8]) -> Option<Masked> {
    let head_end = find(bytes, b"\r\n\r\n")
        .map(|at| (at + 4, at))
        .or_else(|| find(bytes, b"\n\n").map(|at| (at + 2, at)));
    let (body_at, head_end) = head_end.unwrap_or((bytes.len(), bytes.len()));
    let mut text = bytes.to_vec();
    let mut facts = Facts::default();
    let mut name: Vec<u8> = Vec::new();
    for (index, (begin, end)) in lines(bytes, head_end).into_iter().enumerate() {
        let line = &bytes[begin..end];
        if index == 0 {
            facts.first = String::from_utf8_lossy(line).into_owned();
            numbers(&mut text[begin..end], Numbers::Middle);
            continue;
        }
        // A folded line belongs to the header above it (RFC 3261 §7.3.1).
        let folded = line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        let value_at = if folded {
            begin
        } else {
            let colon = line.iter().position(|byte| *byte == b':');
            let colon = colon.unwrap_or(line.len());
            name = line[..colon].trim_ascii().to_ascii_lowercase();
            begin + (colon + 1).min(line.len())
        };
        let value = &mut text[value_at..end];
        match Header::of(&name) {
            Header::Plain => {}
            Header::Secret => cross_out(value),
            Header::Address => numbers(value, Numbers::Middle),
            Header::Other => numbers(value, Numbers::Whole),
        }
        let value = String::from_utf8_lossy(&bytes[value_at..end]);
        let value = value.trim();
        match name.as_slice() {
            b"call-id" | b"i" if facts.call_id.is_empty() => facts.call_id = value.to_owned(),
            b"cseq" => facts.method = value.split_whitespace().nth(1).unwrap_or_default().to_owned(),
            b"content-type" | b"c" => facts.content_type = value.to_ascii_lowercase(),
            _ => {}
        }
    }
    let has_body = body_at < bytes.len();
    let is_sdp = facts.content_type.split(';').next().is_some_and(|kind| kind.trim() == "application/sdp");
    if is_sdp {
        description(&mut text, body_at);
    } else {
        cross_out(&mut text[body_at..]);
    }
    if facts.call_id.is_empty() || facts.call_id.len() > CALL_ID_MAX {
        return None;
    }
    let first: Vec<&str> = facts.first.splitn(3, ' ').collect();
    let is_response = first.first().is_some_and(|word| word.eq_ignore_ascii_case("SIP/2.0"));
    let body = if has_body && is_sdp { "sdp" } else { "" };
    let shown = |text: &str| text.chars().take(40).collect::<String>();
    let summary = if is_response {
        let status = shown(&first[1..].join(" "));
        let parts: Vec<&str> =
            [facts.method.as_str(), body].into_iter().filter(|part| !part.is_empty()).collect();
        format!("{status} ({})", parts.join(", "))
    } else {
        let method = shown(first.first().copied().unwrap_or_default());
        if body.is_empty() { method } else { format!("{method} ({body})") }
    };
    let begins_call = !is_response && facts.method == "INVITE";
    Some(Masked { sip_call_id: facts.call_id, begins_call, summary, text })
}

#[derive(Default)]
struct Facts {
    first: String,
    call_id: String,
    method: String,
    content_type: String,
}

enum Header {
    /// Holds no number of a telephone and no secret.
    Plain,
    Secret,
    /// Somebody's address.
    Address,
    /// Anything may be in it.
    Other,
}

impl Header {
    /// By lower-case name, long or compact (RFC 3261 §7.3.3).
    fn of(name: &[u8]) -> Self {
        match name {
            b"via" | b"v" | b"call-id" | b"i" | b"cseq" | b"rack" | b"rseq" | b"max-forwards"
            | b"content-length" | b"l" | b"content-type" | b"c" | b"session-id" | b"date" | b"timestamp"
            | b"session-expires" | b"x" | b"min-se" | b"expires" | b"allow" | b"supported" | b"k"
            | b"require" | b"accept" | b"user-agent" | b"server" | b"reason" | b"retry-after"
            | b"in-reply-to" | b"privacy" => Self::Plain,
            b"authorization"
            | b"proxy-authorization"
            | b"authentication-info"
            | b"proxy-authentication-info"
            | b"identity"
            | b"y"
            | b"p-asserted-service-token" => Self::Secret,
            b"from"
            | b"f"
            | b"to"
            | b"t"
            | b"contact"
            | b"m"
            | b"route"
            | b"record-route"
            | b"p-asserted-identity"
            | b"p-preferred-identity"
            | b"remote-party-id"
            | b"diversion"
            | b"history-info"
            | b"referred-by"
            | b"b"
            | b"refer-to"
            | b"r"
            | b"p-called-party-id"
            | b"reply-to"
            | b"p-associated-uri"
            | b"path"
            | b"service-route" => Self::Address,
            _ => Self::Other,
        }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Numbers {
    /// Those of 7 digits and more lose their middle.
    Middle,
    /// Those of 4 digits and more are gone.
    Whole,
}

/// X-es out digits. A number may have separators in it, and its digits may be escaped (`%31`).
fn numbers(text: &mut [u8], how: Numbers) {
    let mut at = 0;
    while at < text.len() {
        if let Some(end) = token(text, at) {
            at = end;
            continue;
        }
        let (digits, end) = run(text, at);
        if digits.is_empty() {
            at += 1;
            continue;
        }
        let (least, head, tail) = match how {
            Numbers::Whole => (4, 0, 0),
            Numbers::Middle if digits.len() >= 11 => (7, 4, 4),
            Numbers::Middle => (7, 2, 2),
        };
        if digits.len() >= least {
            for (begin, length) in &digits[head..digits.len() - tail] {
                text[*begin..begin + length].fill(b'x');
            }
        }
        at = end;
    }
}

/// Digits that begin here, as (place, length), and where they end.
fn run(text: &[u8], begin: usize) -> (Vec<(usize, usize)>, usize) {
    let digit = |at: usize| match text.get(at..) {
        Some([b'0'..=b'9', ..]) => Some(1),
        Some([b'%', b'3', b'0'..=b'9', ..]) => Some(3),
        _ => None,
    };
    let (mut digits, mut at, mut end) = (Vec::new(), begin, begin);
    loop {
        if let Some(length) = digit(at) {
            digits.push((at, length));
            at += length;
            end = at;
        } else if !digits.is_empty() && matches!(text.get(at), Some(b'-' | b'(' | b')')) && at < end + 2 {
            at += 1;
        } else {
            return (digits, end.max(begin));
        }
    }
}

/// A tag or branch that begins here is passed over: where it ends.
fn token(text: &[u8], at: usize) -> Option<usize> {
    let name = [&b"tag="[..], b"branch="]
        .into_iter()
        .find(|name| text.get(at..at + name.len()).is_some_and(|there| there.eq_ignore_ascii_case(name)))?;
    let begin = at + name.len();
    let stop = |byte: &u8| matches!(byte, b';' | b',' | b'>' | b'?' | b' ' | b'\t' | b'"');
    Some(text[begin..].iter().position(stop).map_or(text.len(), |length| begin + length))
}

/// Keys and names of a session description (RFC 8866), from `begin` on.
fn description(text: &mut [u8], begin: usize) {
    for (from, to) in lines(text, text.len()).into_iter().filter(|(from, _)| *from >= begin) {
        let line = &mut text[from..to];
        let is = |start: &[u8]| line.len() >= start.len() && line[..start.len()].eq_ignore_ascii_case(start);
        if is(b"a=crypto:") || is(b"a=ice-pwd:") || is(b"a=key-mgmt:") {
            let colon = line.iter().position(|byte| *byte == b':').map_or(0, |at| at + 1);
            // The suite of `a=crypto:1 SUITE inline:…` tells nothing and explains much.
            let keep = if is(b"a=crypto:") { secret_of_crypto(line) } else { colon };
            cross_out(&mut line[keep..]);
        } else if is(b"k=") {
            cross_out(&mut line[2..]);
        } else if [&b"s="[..], b"i=", b"u=", b"e=", b"p=", b"o="].iter().any(|start| is(start)) {
            // The session's id and version in o= are numbers, but no telephone's: its user name may be.
            let end = if is(b"o=") {
                line.iter().position(|byte| *byte == b' ').unwrap_or(line.len())
            } else {
                line.len()
            };
            numbers(&mut line[..end], Numbers::Middle);
        } else if is(b"a=ssrc:") {
            // The source is a number, but no telephone's; its cname may be somebody's address.
            let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
            numbers(&mut line[end..], Numbers::Middle);
        } else if is(b"a=") && !NO_TELEPHONE.iter().any(|start| is(start)) {
            numbers(line, Numbers::Middle);
        }
    }
}

/// Attributes whose numbers are long and nobody's.
const NO_TELEPHONE: [&[u8]; 6] =
    [b"a=rtpmap:", b"a=fmtp:", b"a=candidate:", b"a=fingerprint:", b"a=ssrc-group:", b"a=rtcp:"];

/// Where the third word of a crypto attribute begins, which is the key.
fn secret_of_crypto(line: &[u8]) -> usize {
    let mut spaces = line.iter().enumerate().filter(|(_, byte)| **byte == b' ').map(|(at, _)| at + 1);
    let _suite = spaces.next();
    spaces.next().unwrap_or(b"a=crypto:".len())
}

fn cross_out(text: &mut [u8]) {
    for byte in text.iter_mut().filter(|byte| !matches!(byte, b'\r' | b'\n')) {
        *byte = b'x';
    }
}

/// Begin and end of each line before `end`, without what ends it.
fn lines(text: &[u8], end: usize) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    let mut begin = 0;
    while begin < end {
        let next = text[begin..end].iter().position(|byte| *byte == b'\n').map_or(end, |at| begin + at);
        let stop = if next > begin && text[next - 1] == b'\r' { next - 1 } else { next };
        all.push((begin, stop.max(begin)));
        begin = next + 1;
    }
    all
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let text = text.replace('\n', "\r\n");
        let masked = mask(text.as_bytes()).expect("a message");
        assert_eq!(masked.text.len(), text.len(), "lengths stay");
        String::from_utf8(masked.text).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn what_is_secret_is_gone_and_what_a_trace_is_followed_by_stays() {
        let message = "\
INVITE sip:+442079460000@192.0.2.1 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK12345678901
From: \"Ada 07700900123\" <sip:+447700900123@192.0.2.7>;tag=1234567890
To: <sip:%2B44%32%30%379460000@192.0.2.1;user=phone>
Call-ID: 12345678901234@192.0.2.7
CSeq: 314159265 INVITE
P-Asserted-Identity: <tel:+44-7700-900-123>,
 <sip:+447700900123@192.0.2.7>
Authorization: Digest username=\"ada\", response=\"6629fae49393a05397450978507c4ef1\",
 nonce=\"abc\"
Identity: eyJhbGciOi.eyJvcmlnIjp7.c2ln;info=<https://x>
X-Entered: pin 471100815 code 4271
Content-Type: application/sdp
Content-Length: 99

v=0
o=447700900123 2890844526 2890844527 IN IP4 192.0.2.7
s=call of +447700900123
c=IN IP4 192.168.100.200
m=audio 49170 RTP/SAVP 0 101
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20
a=ice-pwd:asd88fgpdd777uzjYhagZg
a=ssrc:4027158913 cname:sip:+447700900123@192.0.2.7
a=candidate:1467250027 1 udp 2122260223 192.168.100.200 46243 typ host
a=X-caller:447700900123
";
        let expected = "\
INVITE sip:+4420xxxx0000@192.0.2.1 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK12345678901
From: \"Ada 0770xxx0123\" <sip:+4477xxxx0123@192.0.2.7>;tag=1234567890
To: <sip:%2B44%32%30xxxxxx0000@192.0.2.1;user=phone>
Call-ID: 12345678901234@192.0.2.7
CSeq: 314159265 INVITE
P-Asserted-Identity: <tel:+44-77xx-xx0-123>,
 <sip:+4477xxxx0123@192.0.2.7>
Authorization:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
xxxxxxxxxxxx
Identity:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
X-Entered: pin xxxxxxxxx code xxxx
Content-Type: application/sdp
Content-Length: 99

v=0
o=4477xxxx0123 2890844526 2890844527 IN IP4 192.0.2.7
s=call of +4477xxxx0123
c=IN IP4 192.168.100.200
m=audio 49170 RTP/SAVP 0 101
a=crypto:1 AES_CM_128_HMAC_SHA1_80 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
a=ice-pwd:xxxxxxxxxxxxxxxxxxxxxx
a=ssrc:4027158913 cname:sip:+4477xxxx0123@192.0.2.7
a=candidate:1467250027 1 udp 2122260223 192.168.100.200 46243 typ host
a=X-caller:4477xxxx0123
";
        let shown = shown(message);
        for (line, expected) in shown.lines().zip(expected.lines()) {
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn keys_pressed_and_messages_written_are_gone_whatever_carries_them() {
        for (kind, body) in [
            ("Content-Type: application/dtmf-relay", "Signal=4\nDuration=160\n"),
            ("c: application/dtmf", "4"),
            ("Content-Type: text/plain", "the PIN is 471100815"),
            (
                "Content-Type: multipart/mixed; boundary=x",
                "--x\nContent-Type: application/sdp\n\na=crypto:1 S k\n",
            ),
            ("Subject: none", "4271"),
        ] {
            let message = format!("INFO sip:a@b SIP/2.0\ni: x\nCSeq: 2 INFO\n{kind}\n\n{body}");
            let shown = shown(&message);
            let (_, rest) = shown.split_once("\n\n").unwrap();
            assert!(rest.bytes().all(|byte| matches!(byte, b'x' | b'\n')), "{kind}: {rest}");
        }
    }

    #[test]
    fn a_message_is_named_in_a_few_words() {
        let cases = [
            (
                "INVITE sip:a@b SIP/2.0\nCall-ID: x\nCSeq: 1 INVITE\nc: application/sdp\n\nv=0\n",
                "INVITE (sdp)",
                true,
            ),
            (
                "SIP/2.0 200 OK\nCall-ID: x\nCSeq: 1 INVITE\nc: application/sdp\n\nv=0\n",
                "200 OK (INVITE, sdp)",
                false,
            ),
            ("SIP/2.0 180 Ringing\ni: x\nCSeq: 1 INVITE\n\n", "180 Ringing (INVITE)", false),
            ("BYE sip:a@b SIP/2.0\ni: x\nCSeq: 2 BYE\n\n", "BYE", false),
        ];
        for (message, summary, begins_call) in cases {
            let masked = mask(message.replace('\n', "\r\n").as_bytes()).unwrap();
            assert_eq!((masked.summary.as_str(), masked.begins_call), (summary, begins_call));
            assert_eq!(masked.sip_call_id, "x");
        }
        assert_eq!(mask(b"\r\n\r\n"), None);
        assert_eq!(mask(b""), None);
        assert_eq!(mask(b"INVITE"), None);
    }

    #[test]
    fn no_bytes_make_it_panic_or_change_their_number() {
        let seed = "INFO sip:%31%3 SIP/2.0\r\nFrom:\r\n 1-2(3)4-5-6-7tag=\r\ni:x\r\nk\r\n:\r\n\r\no=1234567\r\na=crypto:\r\nk=";
        for cut in 0..=seed.len() {
            for odd in [b'\n', b':', b'%', 0xff, b'9'] {
                let mut bytes = seed.as_bytes()[..cut].to_vec();
                bytes.push(odd);
                bytes.extend_from_slice(&seed.as_bytes()[cut..]);
                let masked = mask(&bytes);
                assert!(masked.is_none_or(|masked| masked.text.len() == bytes.len()));
            }
        }
    }
}
