//! The torture messages at the parser: every verdict is in the message's list, and the same for a
//! datagram, a stream at once and a stream byte by byte.

#[allow(dead_code)]
#[path = "support/torture.rs"]
mod torture;

use doorline::sip::Uri;
use doorline::sip::wire::{Fault, Frame, Framer, Framing, Message, Method, Request, Wrong, parse};
use torture::{Case, all, allowed};

/// What the parser says. The layers above decide what to answer to a message that is read.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Request(Box<Request>),
    Response,
    Refused(u16),
    Silence,
    /// A stream that waits for the rest.
    Waits,
}

fn of(result: Result<Message, Fault>) -> Verdict {
    match result {
        Ok(Message::Request(request)) => Verdict::Request(Box::new(request)),
        Ok(Message::Response(_)) => Verdict::Response,
        Err(fault) if fault.salvaged.is_some() => Verdict::Refused(fault.wrong.status()),
        Err(_) => Verdict::Silence,
    }
}

/// The first message of a stream that brings `bytes` in pieces of `size`.
fn streamed(bytes: &[u8], size: usize) -> Verdict {
    let mut framer = Framer::new();
    for piece in bytes.chunks(size) {
        framer.push(piece);
        match framer.next_frame() {
            Some(Frame::Message(message)) => return of(Ok(message)),
            Some(Frame::Fault(fault) | Frame::Broken(fault)) => return of(Err(fault)),
            Some(Frame::Ping) | None => {}
        }
    }
    Verdict::Waits
}

/// Statuses that only a parser gives: a message whose list has nothing else must not be read.
const OF_THE_PARSER: [u16; 2] = [400, 505];

fn is_allowed(case: &Case, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Request(_) => case.codes.iter().any(|code| !OF_THE_PARSER.contains(code)),
        Verdict::Response => case.codes.is_empty(),
        Verdict::Refused(status) => {
            case.allows(Some(*status)) && !case.must_not.contains(&status.to_string())
        }
        Verdict::Silence | Verdict::Waits => case.silent_ok,
    }
}

#[test]
fn every_verdict_is_in_the_list_of_its_message() {
    let cases = all();
    assert_eq!(cases.len(), 51 + 12, "50 files of RFC 4475, one derived, 12 of RFC 5118");
    for case in &cases {
        let datagram = of(parse(&case.bytes, Framing::Datagram));
        assert!(is_allowed(case, &datagram), "{}: datagram {datagram:?}", case.file);

        let stream = streamed(&case.bytes, case.bytes.len());
        assert!(is_allowed(case, &stream), "{}: stream {stream:?}", case.file);
        assert_eq!(streamed(&case.bytes, 1), stream, "{}: byte by byte", case.file);

        match &*case.file {
            // Without Content-Length a datagram has an end and a stream has none.
            "inv2543.dat" => assert_eq!(stream, Verdict::Refused(400)),
            // More is promised, or the empty line has not come: a stream waits for it.
            "clerr.dat" | "baddn.dat" => assert_eq!(stream, Verdict::Waits, "{}", case.file),
            file => assert_eq!(stream, datagram, "{file}"),
        }
    }
}

#[test]
fn refusals_carry_what_the_sender_needs_to_match_them() {
    let source = "192.0.2.99:5062".parse().unwrap();
    for case in all() {
        let Err(fault) = parse(&case.bytes, Framing::Datagram) else { continue };
        let Some(answer) = fault.answer(source, "our-tag") else { continue };
        let Ok(Message::Response(response)) = parse(&answer, Framing::Stream) else {
            // What is repeated may itself be what is wrong; then only its form must hold.
            assert!(answer.ends_with(b"\r\nContent-Length: 0\r\n\r\n"), "{}", case.file);
            continue;
        };
        assert_eq!(response.status, fault.wrong.status());
        assert!(response.to.tag().is_some(), "{}", case.file);
        assert_eq!(response.via[0].received(), Some(source.ip()), "{}", case.file);
    }
}

#[test]
fn what_is_read_prints_and_reads_back_the_same() {
    for case in all() {
        if let Ok(message) = parse(&case.bytes, Framing::Datagram) {
            assert_eq!(parse(&message.to_bytes(), Framing::Stream), Ok(message), "{}", case.file);
        }
    }
}

fn request(file: &str) -> Request {
    let case = all().into_iter().find(|case| case.file == file).unwrap();
    match parse(&case.bytes, Framing::Datagram) {
        Ok(Message::Request(request)) => request,
        other => panic!("{file}: {other:?}"),
    }
}

fn wrong(file: &str) -> Wrong {
    let case = all().into_iter().find(|case| case.file == file).unwrap();
    parse(&case.bytes, Framing::Datagram).expect_err(file).wrong
}

#[test]
fn each_refusal_is_for_the_reason_its_message_was_written_for() {
    let cases = [
        ("badinv01.dat", Wrong::Malformed("Via")),
        ("ncl.dat", Wrong::Malformed("Content-Length")),
        ("scalar02.dat", Wrong::Malformed("CSeq")),
        ("scalarlg.dat", Wrong::Malformed("CSeq")),
        ("quotbal.dat", Wrong::Malformed("To")),
        ("lwsruri.dat", Wrong::StartLine),
        ("lwsstart.dat", Wrong::StartLine),
        ("trws.dat", Wrong::StartLine),
        ("escruri.dat", Wrong::RequestUriHeaders),
        ("baddn.dat", Wrong::Unfinished),
        ("derived/baddn-terminated.dat", Wrong::Malformed("From")),
        ("badvers.dat", Wrong::Version),
        ("mismatch01.dat", Wrong::CSeqMethod),
        ("mismatch02.dat", Wrong::CSeqMethod),
        ("bigcode.dat", Wrong::StatusCode),
        ("unkscm.dat", Wrong::Scheme),
        ("novelsc.dat", Wrong::Scheme),
        ("mcl01.dat", Wrong::Repeated("Content-Length")),
        ("test.dat", Wrong::StartLine),
    ];
    for (file, expected) in cases {
        assert_eq!(wrong(file), expected, "{file}");
    }
    assert!(matches!(wrong("clerr.dat"), Wrong::BodyTooShort { expected: 9999, .. }));
    assert!(matches!(wrong("multi01.dat"), Wrong::Repeated(_)));
    assert!(matches!(wrong("insuf.dat"), Wrong::Missing(_)));
    assert!(matches!(wrong("ltgtruri.dat"), Wrong::RequestUri(_)));
    assert!(matches!(wrong("wire/ipv6-bad.dat"), Wrong::RequestUri(_)));
    assert!(allowed("test.dat").1);
}

#[test]
fn nothing_in_a_tortured_message_is_taken_for_what_it_is_not() {
    let wsinv = request("wsinv.dat");
    assert_eq!((wsinv.cseq.number, wsinv.max_forwards, wsinv.via.len()), (9, Some(68), 3));
    assert_eq!(wsinv.from.display.as_deref(), Some(r#"J Rosenberg \""#));
    assert_eq!(wsinv.contact[0].display.as_deref(), Some(r#"Quoted string """#));
    assert_eq!(wsinv.headers.get("NewFangledHeader"), Some("newfangled value continued newfangled value"));
    assert_eq!(wsinv.headers.get("Subject"), Some(""));

    let intmeth = request("intmeth.dat");
    assert_eq!(intmeth.method, Method::Other("!interesting-Method0123456789_*+`.%indeed'~".to_owned()));
    assert_eq!(intmeth.to.display.as_deref(), Some("BEL:\u{7} NUL:\0 DEL:\u{7f}"));

    assert_eq!(request("esc01.dat").uri.user().as_deref(), Some("sips:user@example.com"));
    assert_eq!(request("esc01.dat").uri.host().unwrap().to_string(), "example.net");
    let escnull = request("escnull.dat");
    assert_eq!(escnull.contact.len(), 2);
    assert_ne!(escnull.contact[0].uri, escnull.contact[1].uri);
    let esc02 = request("esc02.dat");
    assert_eq!(esc02.method, Method::Other("RE%47IST%45R".to_owned()));
    assert!(esc02.headers.get("C%6Fntact").is_some());

    let longreq = request("longreq.dat");
    assert_eq!(longreq.via.len(), 34);
    let semiuri = request("semiuri.dat");
    assert_eq!(semiuri.uri.user().as_deref(), Some("user;par=u@example.net"));
    assert!(semiuri.uri.params().unwrap().is_empty());
    assert!(request("mpart01.dat").body.contains(&0), "a NUL does not end a body");
    assert_eq!(request("dblreq.dat").method, Method::Register);
    assert_eq!(request("badbranch.dat").via[0].transaction_branch(), None);
    assert_eq!(request("bext01.dat").require, ["nothingSupportsThis", "nothingSupportsThisEither"]);
    assert!(request("regescrt.dat").route.is_empty());
    assert!(request("cparam01.dat").contact[0].params.has("unknownparam"));
    assert!(request("cparam02.dat").contact[0].uri.params().unwrap().has("unknownparam"));
    assert!(matches!(request("unksm2.dat").to.uri, Uri::Other { .. }));

    let ambiguous = request("wire/port-ambiguous.dat");
    assert_eq!(
        (ambiguous.uri.host().unwrap().to_string().as_str(), ambiguous.uri.port()),
        ("[2001:db8::10:5070]", None)
    );
    assert_eq!(request("wire/port-unambiguous.dat").uri.port(), Some(5070));
    for file in ["wire/via-received-param-with-delim.dat", "wire/via-received-param-no-delim.dat"] {
        assert_eq!(request(file).via[0].received(), Some("2001:db8::9:255".parse().unwrap()), "{file}");
    }
}
