//! The test phone against a peer that does nothing but answer and send its sound back: what the other
//! tests take for granted of it.

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use doorline::audio::Codec;
use doorline::audio::g711::Law;
use doorline::cli::phone::{Call, DigitsBy, Happening, Plan, Voice, Who, tone};
use doorline::rtp::packet::{Packet, is_control};
use doorline::rtp::telephone_event::{Event as KeyEvent, Receiver as KeyReceiver};
use doorline::sip::offer::{self, CodecName, Local, Offer};
use doorline::sip::trunk::{Believe, DtmfMode, MediaSource, SrtpMode, Trunk};
use doorline::sip::{Endpoint, Event, Farewell, Flow, Transport, endpoint};
use doorline::types::CallId;

const SECONDS: Duration = Duration::from_secs(5);

/// What the peer saw.
#[derive(Debug, PartialEq)]
enum Seen {
    KeyByRtp(char),
    KeyByInfo(char),
    Direction(bool),
    Ended,
}

/// An echo on loopback: answers every call, sends sound back, says BYE when told `hang_up`.
struct Echo {
    sip: SocketAddr,
    seen: Receiver<Seen>,
    hang_up: Sender<()>,
}

impl Echo {
    fn start() -> Self {
        let sip = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (tell, seen) = channel();
        let (hang_up, told) = channel();
        let address = sip.local_addr().unwrap();
        std::thread::spawn(move || echo(&sip, &tell, &told));
        Self { sip: address, seen, hang_up }
    }

    fn plan(&self) -> Plan {
        Plan::new(&format!("sip:+442079460000@{}", self.sip), "+15550100001").unwrap()
    }

    /// All keys seen within a moment of each other.
    fn keys(&self) -> Vec<Seen> {
        let mut all = Vec::new();
        while let Ok(seen) = self.seen.recv_timeout(Duration::from_millis(500)) {
            all.push(seen);
        }
        all
    }
}

fn echo(sip: &UdpSocket, tell: &Sender<Seen>, told: &Receiver<()>) {
    let local = sip.local_addr().unwrap();
    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    rtp.set_nonblocking(true).unwrap();
    sip.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let trunk = Trunk {
        name: "phone".to_owned(),
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        tls_names: Vec::new(),
        believe: Believe::None,
        country: None,
        codecs: Vec::new(),
        dtmf: DtmfMode::default(),
        srtp: SrtpMode::default(),
        srtp_over_plain_signalling: false,
        media_source: MediaSource::default(),
        calls_max: None,
        ..Trunk::default()
    };
    let ours = Local {
        rtp: rtp.local_addr().unwrap(),
        rtcp_port: 9,
        codecs: vec![CodecName::Pcma, CodecName::Pcmu, CodecName::G722],
        opus_rate: 16_000,
        noise: false,
        events: true,
        rtcp_mux: true,
        srtp: Default::default(),
        session_id: 1,
    };
    let mut sip_side =
        Endpoint::new(endpoint::Settings::default(), vec![trunk], [7; 32], Box::new(CallId::fresh));
    let (mut keys, mut events, mut live, mut last) = (KeyReceiver::default(), None, None, None);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) {
        let mut buffer = [0; 65_536];
        let now = Instant::now();
        if let Ok((length, peer)) = sip.recv_from(&mut buffer) {
            sip_side.receive(now, &Flow { transport: Transport::Udp, local, peer }, &buffer[..length]);
        }
        sip_side.handle_timeout(now);
        if let (Some(call), Ok(())) = (live, told.try_recv()) {
            sip_side.hang_up(now, call, Farewell { cause: 21, text: "enough".to_owned() });
        }
        loop {
            while let Some(transmit) = sip_side.poll_transmit() {
                sip.send_to(&transmit.bytes, transmit.flow.peer).unwrap();
            }
            match sip_side.poll_event() {
                None => break,
                Some(Event::Incoming(incoming)) => {
                    live = Some(incoming.call);
                    sip_side.ring(now, incoming.call, None);
                    let sdp = match &incoming.offer {
                        Some(theirs) => {
                            let theirs = Offer::parse(theirs).unwrap();
                            let (sdp, agreed) = offer::answer(&theirs, &ours, None).unwrap();
                            events = agreed.event_payload_type;
                            sdp
                        }
                        None => offer::offer(&ours, None, None),
                    };
                    last = Some(sdp.clone());
                    sip_side.answer(now, incoming.call, sdp);
                }
                Some(Event::Established { answer: Some(answer), .. }) => {
                    let agreed = offer::accept_answer(last.as_ref().unwrap(), &answer).unwrap();
                    events = agreed.event_payload_type;
                }
                Some(Event::Offered { call, sdp }) => {
                    let theirs = Offer::parse(&sdp.unwrap()).unwrap();
                    let (sdp, agreed) = offer::answer(&theirs, &ours, last.as_deref()).unwrap();
                    tell.send(Seen::Direction(agreed.direction.receives())).unwrap();
                    last = Some(sdp.clone());
                    sip_side.accept_offer(now, call, sdp);
                }
                Some(Event::Digit { digit, .. }) => tell.send(Seen::KeyByInfo(digit.as_char())).unwrap(),
                Some(Event::Ended { .. }) => {
                    tell.send(Seen::Ended).unwrap();
                    return;
                }
                Some(_) => {}
            }
        }
        while let Ok((length, peer)) = rtp.recv_from(&mut buffer) {
            // Reports of the phone come on this port too.
            if is_control(&buffer[..length]) {
                continue;
            }
            let packet = Packet::parse(&buffer[..length]).unwrap();
            if Some(packet.header.payload_type) == events {
                let event = KeyEvent::parse(packet.payload).unwrap();
                if let Some(digit) = keys.receive(packet.header.sequence, packet.header.timestamp, event) {
                    tell.send(Seen::KeyByRtp(digit.as_char())).unwrap();
                }
            } else {
                rtp.send_to(&buffer[..length], peer).unwrap();
            }
        }
    }
}

#[test]
fn a_phone_hears_its_own_tone_sent_back() {
    for codec in Codec::BYTEWISE {
        let echo = Echo::start();
        let call = Call::dial(Plan { voice: Voice::tone(440.0), codec, ..echo.plan() }).unwrap();
        call.wait_for_answer(SECONDS).unwrap();
        call.wait_for_tone(440.0, -25.0, SECONDS).unwrap();
        call.wait_for(SECONDS, |happening| *happening == Happening::Tone { hz: 440 }).unwrap();
        let mark = call.heard_so_far();
        call.speak(Voice::tone(1_000.0));
        call.wait_for_tone(1_000.0, -25.0, SECONDS).unwrap();
        std::thread::sleep(Duration::from_millis(1_000));
        let heard = call.heard_since(mark);
        let end = &heard[heard.len() - 4_000..];
        assert!(tone::level(end, 440.0) < -60.0 && tone::level(end, 1_000.0) > -21.0, "{codec:?}");
        call.hang_up();
        assert_eq!(call.wait_for_end(SECONDS).unwrap(), Happening::Ended { by: Who::Us, reason: None });
        assert_eq!(echo.keys(), [Seen::Ended]);
    }
}

#[test]
fn keys_arrive_once_each_whichever_way_they_go() {
    for (by, seen) in [
        (DigitsBy::Rtp, Seen::KeyByRtp as fn(char) -> Seen),
        (DigitsBy::Info, Seen::KeyByInfo as fn(char) -> Seen),
    ] {
        let echo = Echo::start();
        let call = Call::dial(Plan { digits_by: by, keys: "1123#".parse().unwrap(), ..echo.plan() }).unwrap();
        call.wait_for_keys(SECONDS).unwrap();
        call.press("*6,w0.2,0".parse().unwrap());
        call.wait_for_keys(SECONDS).unwrap();
        assert_eq!(echo.keys(), "1123#*60".chars().map(seen).collect::<Vec<_>>(), "{by:?}");
    }
}

#[test]
fn keys_can_be_heard_as_tones() {
    let echo = Echo::start();
    let plan = Plan { digits_by: DigitsBy::Inband, keys: "5".parse().unwrap(), ..echo.plan() };
    let call = Call::dial(plan).unwrap();
    call.wait_for_keys(SECONDS).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let heard = call.heard();
    let loudest = |hz| heard.chunks(400).map(|part| tone::level(part, hz)).fold(-120.0, f64::max);
    assert!(loudest(770.0) > -15.0 && loudest(1336.0) > -15.0 && loudest(941.0) < -25.0);
}

#[test]
fn a_late_offer_is_answered_in_the_ack() {
    let echo = Echo::start();
    let plan =
        Plan { late_offer: true, keys: "42".parse().unwrap(), voice: Voice::tone(440.0), ..echo.plan() };
    let call = Call::dial(plan).unwrap();
    call.wait_for_tone(440.0, -25.0, SECONDS).unwrap();
    call.wait_for_keys(SECONDS).unwrap();
    assert_eq!(echo.keys(), [Seen::KeyByRtp('4'), Seen::KeyByRtp('2')]);
}

#[test]
fn a_held_call_is_silent_until_it_is_resumed() {
    let echo = Echo::start();
    let call = Call::dial(Plan { voice: Voice::tone(440.0), ..echo.plan() }).unwrap();
    call.wait_for_tone(440.0, -25.0, SECONDS).unwrap();
    call.hold(true);
    call.wait_for_hold(true, SECONDS).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let mark = call.heard_so_far();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(call.heard_so_far(), mark);
    call.hold(false);
    call.wait_for_hold(false, SECONDS).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(call.heard_so_far() > mark);
    assert_eq!(echo.keys(), [Seen::Direction(false), Seen::Direction(true)]);
}

#[test]
fn the_other_sides_good_bye_is_told_with_its_reason() {
    let echo = Echo::start();
    let call = Call::dial(echo.plan()).unwrap();
    call.wait_for_answer(SECONDS).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    echo.hang_up.send(()).unwrap();
    match call.wait_for_end(SECONDS).unwrap() {
        Happening::Ended { by: Who::Them, reason: Some(reason) } => {
            assert!(reason.contains("cause=21"), "{reason}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_there_is_said() {
    // A port that nobody listens at: bound and dropped.
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let plan = Plan::new(&format!("sip:1@127.0.0.1:{port}"), "+15550100001").unwrap();
    assert!(Call::dial(Plan { transport: Transport::Tcp, ..plan.clone() }).is_err());
    let call = Call::dial(plan).unwrap();
    assert!(call.wait_for_answer(Duration::from_millis(700)).is_err());
    call.vanish();
    call.wait_for_end(SECONDS).unwrap();
}

#[test]
fn a_prompt_is_known_by_its_sound_and_not_taken_for_another() {
    let prompts = [
        "welcome",
        "welcome-back",
        "enter-pin",
        "enter-code",
        "do-not-match",
        "too-many-wrong-entries",
        "remembered",
        "other-meeting-opened",
        "joining",
        "first-here",
        "nothing-heard",
        "removed",
    ];
    // As a caller hears them: 8 kHz, A-law, a little softer, some time after the answer.
    let heard: Vec<(&str, Vec<i16>)> = prompts
        .iter()
        .map(|&prompt| {
            let said = support::hear::prompt(prompt);
            let softer: Vec<i16> = said.iter().map(|&s| (i32::from(s) * 7 / 10) as i16).collect();
            let mut codes = vec![0; softer.len()];
            let mut line = vec![0; softer.len()];
            Law::A.encode(&softer, &mut codes);
            Law::A.decode(&codes, &mut line);
            (prompt, [vec![0; 4_321], line, vec![0; 8_000]].concat())
        })
        .collect();
    for prompt in prompts {
        for (said, line) in &heard {
            let found = support::hear::prompt_in(line, prompt);
            assert_eq!(found.is_some(), prompt == *said, "{prompt} in {said}: {found:?}");
            assert!(found.is_none_or(|at| at.abs_diff(4_321) <= 2), "{prompt} at {found:?}");
        }
    }
}
