//! What each fuzz target does with its bytes: it must not panic, and what it asserts must hold.
//!
//! Written once. libFuzzer runs them from `tests/fuzz` (its `Cargo.toml` says how), and
//! `tests/corpora.rs` runs them on stable over the kept corpora and seeded mutations. Each says what
//! its input was like: an input that is like no other one is worth mutating again.

#[path = "endpoint.rs"]
mod life;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use doorline::config;

use doorline::rtp::packet::{self, Packet};
use doorline::rtp::rtcp;
use doorline::rtp::telephone_event::{Event, Receiver};
use doorline::sip::Uri;
use doorline::sip::digest::{Algorithm, Client, Credentials, Guard, Login, Nonces, Verdict};
use doorline::sip::identity::Evidence;
use doorline::sip::offer::{CodecName, Local, Negotiated, Offer, Unusable, accept_answer, answer, offer};
use doorline::sip::passport::{self, Chain, Passports, Roots};
use doorline::sip::wire::{Frame, Framer, Framing, Message, Method, NameAddr, Request, Response, parse};
use doorline::types::{Country, Password, PhoneNumber, Token};

/// Gives back a hash of what the input was like.
pub type Target = fn(&[u8]) -> u64;

/// Every target by name.
#[allow(dead_code)]
pub const ALL: [(&str, Target); 12] = [
    ("sip_datagram", sip_datagram),
    ("sip_stream", sip_stream),
    ("uri", uri),
    ("sdp", sdp),
    ("rtp_packet", rtp_packet),
    ("telephone_event", telephone_event),
    ("endpoint", endpoint),
    ("identity", identity),
    ("certificate", certificate),
    ("digest", digest),
    ("number", number),
    ("config", config),
];

fn like(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// One datagram: what is read prints and reads back the same; what is refused is answered, if at
/// all, with one whole response.
pub fn sip_datagram(bytes: &[u8]) -> u64 {
    let source = SocketAddr::from(([192, 0, 2, 1], 5060));
    match parse(bytes, Framing::Datagram) {
        Ok(mut message) => {
            assert_reads_back(&message);
            let _ = format!("{message:?}");
            if let Message::Request(request) = &mut message {
                request.mark_received(source);
                assert!(request.via[0].answer_address().is_some());
                let _ = (request.content_type(), request.expires(), request.uri.socket_address());
                let shape = (request.via.len(), request.contact.len(), request.route.len());
                let shape =
                    (request.method.as_str().to_owned(), shape, request.headers.get("Identity").is_some());
                let evidence = Evidence::of(request);
                let withheld = evidence.is_withheld();
                assert_reads_back(&message);
                return like((shape, withheld));
            }
            like(std::mem::discriminant(&message))
        }
        Err(fault) => {
            assert!((400..=505).contains(&fault.wrong.status()), "{fault}");
            if let Some(answer) = fault.answer(source, "tag") {
                let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
                assert_eq!(end, Some(answer.len() - 4), "one head, nothing behind it");
                assert!(answer.starts_with(b"SIP/2.0 "));
                assert!(!bytes.starts_with(b"ACK "), "an ACK is never answered");
            }
            like(fault.to_string())
        }
    }
}

/// A message read once is printed so that it reads back the same, unless it no longer fits.
fn assert_reads_back(message: &Message) {
    let printed = message.to_bytes();
    match parse(&printed, Framing::Stream) {
        Ok(again) => assert!(again == *message, "{}", String::from_utf8_lossy(&printed)),
        // Latin-1 becomes UTF-8, compact names full ones: a message at a bound can grow past it.
        Err(fault) => assert!(fault.wrong.loses_framing(), "{fault}: {}", String::from_utf8_lossy(&printed)),
    }
}

/// A stream: in pieces and whole it gives the same frames.
pub fn sip_stream(bytes: &[u8]) -> u64 {
    let Some((size, bytes)) = bytes.split_first() else { return 0 };
    let whole = frames(bytes, bytes.len().max(1));
    assert_eq!(frames(bytes, usize::from(size % 64) + 1), whole);
    assert!(whole.len() <= bytes.len());
    let broken = whole.iter().position(|frame| matches!(frame, Frame::Broken(_)));
    assert!(broken.is_none_or(|at| at + 1 == whole.len()), "nothing comes after a break");
    like((whole.iter().map(std::mem::discriminant).take(8).collect::<Vec<_>>(), broken.is_some()))
}

fn frames(bytes: &[u8], size: usize) -> Vec<Frame> {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for piece in bytes.chunks(size) {
        framer.push(piece);
        while let Some(frame) = framer.next_frame() {
            frames.push(frame);
        }
    }
    frames
}

/// A URI, and the same bytes as an address and a list of them.
pub fn uri(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let is_uri = text.parse::<Uri>().is_ok();
    let mut addresses = 0;
    if let Ok(uri) = text.parse::<Uri>() {
        let _ = (uri.user(), uri.port_or_default(), uri.socket_address(), format!("{uri:?}"));
        // ":::" is read as "::", and addresses have one spelling: the second print is the first.
        let printed = uri.to_string();
        assert_eq!(printed.parse::<Uri>(), Ok(uri), "{printed}");
    }
    if let Some(address) = NameAddr::parse(&text) {
        let printed = address.to_string();
        addresses = 1;
        assert_eq!(NameAddr::parse(&printed), Some(address), "{printed}");
    }
    if let Some(list) = NameAddr::parse_list(&text, 8) {
        assert!((1..=8).contains(&list.len()));
        addresses += list.len();
    }
    like((is_uri, addresses, text.matches([';', '?', '%', '[']).count().min(8)))
}

/// A description as an offer and as an answer to ours. Our answer to it is one that we ourselves
/// could read, and the same offer again has the same answer.
pub fn sdp(bytes: &[u8]) -> u64 {
    let local = Local {
        rtp: SocketAddr::from(([192, 0, 2, 10], 20_000)),
        rtcp_port: 20_001,
        codecs: vec![CodecName::Pcma, CodecName::Pcmu, CodecName::G722, CodecName::Opus],
        opus_rate: 16_000,
        noise: false,
        events: true,
        rtcp_mux: true,
        srtp: Default::default(),
        session_id: 1,
    };
    if let Ok(theirs) = Offer::parse(bytes)
        && let Ok((ours, negotiated)) = answer(&theirs, &local, None)
    {
        assert!(negotiated.payload_type < 128 && negotiated.remote_rtp.is_none_or(|rtp| rtp.port() != 0));
        assert!(Offer::parse(&ours).expect("our answer is SDP").has_audio());
        let (again, _) = answer(&theirs, &local, Some(&ours)).expect("what was usable stays so");
        assert_eq!(again, ours);
    }
    let ours = offer(&local, None, None);
    let accepted = accept_answer(&ours, bytes);
    // Whatever was described before, ours is one that we ourselves could read, with all its lines.
    let lines = |sdp: &[u8]| sdp.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"m=")).count();
    let again = offer(&local, Some(&ours), Some(bytes));
    assert!(Offer::parse(&again).expect("our offer is SDP").has_audio());
    assert_eq!(lines(&again), lines(&ours));
    let answered =
        Offer::parse(bytes).and_then(|theirs| answer(&theirs, &local, None).map(|(_, agreed)| agreed));
    let word = |agreed: Result<Negotiated, Unusable>| {
        agreed.map_or_else(
            |unusable| unusable.to_string(),
            |n| format!("{:?} {:?} {}", n.codec, n.direction, n.rtcp_mux),
        )
    };
    like((word(answered), word(accepted), lines(bytes)))
}

/// A datagram on an RTP port.
pub fn rtp_packet(bytes: &[u8]) -> u64 {
    if let Ok(packet) = Packet::parse(bytes) {
        assert!(!packet::is_control(bytes) && packet.payload.len() + 12 <= bytes.len());
        let mut again = vec![0; 12];
        again.extend_from_slice(packet.payload);
        packet.header.write(&mut again);
        assert_eq!(Packet::parse(&again), Ok(packet));
    }
    let mut items = 0;
    let read = rtcp::read(bytes, |_| items += 1);
    assert!(items <= bytes.len());
    like((Packet::parse(bytes).map_err(|error| error.to_string()).is_ok(), format!("{read:?}"), items))
}

/// Events in a row: two bytes of timestamp and four of event each. Never more presses than packets.
pub fn telephone_event(bytes: &[u8]) -> u64 {
    let mut receiver = Receiver::default();
    let mut presses = 0;
    for (sequence, record) in (0..=u16::MAX).cycle().zip(bytes.chunks(6)) {
        let (timestamp, event) = record.split_at(record.len().min(2));
        let timestamp = timestamp.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        if let Ok(event) = Event::parse(event) {
            let kept = Event::parse(&event.bytes());
            assert_eq!(kept, Ok(event));
            presses += usize::from(receiver.receive(sequence, timestamp * 160, event).is_some());
            assert_eq!(
                receiver.receive(sequence, timestamp * 160, event),
                None,
                "a repeated packet is no press"
            );
        }
    }
    assert!(presses <= bytes.len() / 6);
    like((presses, bytes.len() / 24))
}

/// A life of an endpoint: see `endpoint.rs`. Two lives are alike when the same happened in the same order.
pub fn endpoint(bytes: &[u8]) -> u64 {
    let mut happened = life::endpoint(bytes);
    happened.truncate(24);
    like(happened)
}

/// Identity headers, one a line; and the same bytes as what is signed: JSON of the header, JSON of the
/// claims, parameters, a line each.
pub fn identity(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.split('\n').take(12).collect();
    let raw = passports(&lines);
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (header, claims, parameters) = (part(), part(), part());
    let [header, claims] = [header, claims].map(|json| URL_SAFE_NO_PAD.encode(json));
    let signature = URL_SAFE_NO_PAD.encode([7; 64]);
    let value = format!("{header}.{claims}.{signature};{}", String::from_utf8_lossy(parameters));
    like((raw, passports(&[value])))
}

/// What becomes of Identity headers before a certificate is fetched.
fn passports<T: AsRef<str>>(headers: &[T]) -> String {
    static NUMBERS: LazyLock<[PhoneNumber; 2]> =
        LazyLock::new(|| ["+12155551212", "+12355551212"].map(|number| number.parse().expect("a number")));
    let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let read = match Passports::read(headers) {
        Ok(read) => read,
        Err(failure) => return format!("{failure:?}"),
    };
    assert!(read.shaken.len() <= 2);
    let mut told = format!("{}", read.diverted);
    for passport in &read.shaken {
        let [caller, called] = &*NUMBERS;
        let call = passport::Call { caller, called: std::slice::from_ref(called) };
        told += &format!("{:?}", passport.concerns(call, now));
        let shown = format!("{passport:?}");
        assert!(!shown.contains("12155551212") && passport.signed().contains(&b'.'), "{shown}");
    }
    told
}

/// A certificate in DER, as a chain of one and as a root.
pub fn certificate(bytes: &[u8]) -> u64 {
    let body = STANDARD.encode(bytes);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let roots = Roots::from_pem(pem.as_bytes());
    let chain = Chain::from_pem(pem.as_bytes());
    let judged = chain.as_ref().ok().zip(roots.as_ref().ok()).map(|(chain, roots)| chain.judge(roots, now));
    like((format!("{:?}", chain.err()), roots.err().map(|error| error.to_string()), format!("{judged:?}")))
}

/// A challenge to us and credentials for us, a line each.
pub fn digest(bytes: &[u8]) -> u64 {
    let text: String = String::from_utf8_lossy(bytes).chars().filter(|c| *c != '\r').collect();
    let (challenge, credentials) = text.split_once('\n').unwrap_or((&text, &text));
    let (challenge, credentials) = (challenge.replace('\n', " "), credentials.replace('\n', " "));
    let to = NameAddr::parse("<sip:100@192.0.2.1>").expect("an address");
    let mut request = Request::new(Method::Invite, to.uri.clone(), to.clone(), to, "call", 1);

    let login = Login { user: "bob".to_owned(), password: Password::new("zanzibar"), realm: None };
    let mut client = Client::default();
    let mut response = Response::to(&request, 401);
    response.headers.push("WWW-Authenticate", &challenge);
    let challenged = client.challenged(&response, &login);
    if challenged.is_ok() {
        client.sign(&mut request, &login, "0123456789abcdef");
        let signed = request.headers.get("Authorization").expect("a challenge that was taken is answered");
        assert!(!signed.contains("zanzibar") && !signed.contains(['\r', '\n']), "{signed}");
        Credentials::parse(signed).expect("we read what we write");
        request.headers.remove("Authorization");
    }
    let guard = Guard {
        realm: "doorline".to_owned(),
        algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        users: vec![("bob".to_owned(), Password::new("zanzibar"))],
    };
    request.headers.push("Proxy-Authorization", &credentials);
    let verdict = Nonces::new([7; 32]).judge(Instant::now(), &guard, &request);
    assert!(!matches!(verdict, Verdict::Known(_)), "nobody has been given a nonce");
    like((challenged.map_err(|why| why.to_string().len()), format!("{verdict:?}")))
}

/// A number as a trunk of some country writes it: the country's two letters, then the number.
pub fn number(bytes: &[u8]) -> u64 {
    let (country, text) = bytes.split_at(bytes.len().min(2));
    let country = Country::try_from(String::from_utf8_lossy(country).into_owned()).ok();
    let text = String::from_utf8_lossy(text);
    let parsed = PhoneNumber::parse(&text, country);
    if let Ok(number) = &parsed {
        let full = number.reveal();
        assert!(full.starts_with('+') && (8..=16).contains(&full.len()), "{full}");
        assert!(full[1..].bytes().all(|byte| byte.is_ascii_digit()), "{full}");
        assert_eq!(PhoneNumber::parse(full, country).as_ref(), Ok(number), "what we write, we read");
        assert!(!number.to_string().contains(full) && !format!("{number:?}").contains(full));
    }
    let shown = parsed.as_ref().map_or_else(ToString::to_string, |number| number.reveal().len().to_string());
    like((country.is_some(), shown))
}

/// A configuration file and, after a line of dashes, a trunk file. Every fault is one line.
pub fn config(bytes: &[u8]) -> u64 {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = std::env::temp_dir().join(format!("doorline-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("trunks.d")).expect("a folder can be made");
        folder
    });
    let at = bytes.windows(5).position(|five| five == b"\n---\n");
    let (top, trunk) = at.map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + 5..]));
    // Names of files in it must not lead out of here.
    let inside = |text: &[u8]| !text.windows(2).any(|two| matches!(two, b"\"/" | b".." | b"'/"));
    if !inside(top) || !inside(trunk) {
        return 0;
    }
    let file = FOLDER.join("doorline.toml");
    std::fs::write(&file, top).expect("a file can be written");
    std::fs::write(FOLDER.join("trunks.d/a.toml"), trunk).expect("a file can be written");
    let token = Token::new("0123456789abcdef0123456789abcdef");
    match config::load_with(&file, Some(token)) {
        Ok(settings) => like(settings.trunks.len()),
        Err(faults) => {
            assert!(!faults.is_empty());
            let mut keys: Vec<String> = Vec::new();
            for fault in &faults {
                let line = fault.to_string();
                assert!(!line.chars().any(char::is_control), "{}", line.escape_debug());
                keys.push(fault.key.chars().filter(|c| !c.is_ascii_digit()).take(40).collect());
            }
            keys.sort();
            keys.dedup();
            keys.truncate(4);
            like((keys, faults.len().min(8)))
        }
    }
}
