//! One leg in virtual time.

use super::*;
use crate::rtp::rtcp::{self, REPORT_MAX, Report};
use crate::types::{MediaKey, MediaKeys, Suite};

const PEER: &str = "192.0.2.1:4000";

fn settings() -> LegSettings {
    LegSettings::plain(Codec::Pcmu, PEER.parse().unwrap())
}

fn at(ms: u64) -> Moment {
    Moment::new(1 << 60, Duration::from_millis(ms))
}

fn leg(settings: LegSettings) -> Leg {
    let mut leg = Leg::new(Seed { ssrc: 0xfeed, sequence: 65_535, timestamp: u32::MAX, spread: 3 }, at(0));
    leg.configure(settings, at(0));
    leg
}

fn packet(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 12];
    packet.extend_from_slice(payload);
    Header { payload_type, marker: false, sequence, timestamp, ssrc: 9 }.write(&mut packet);
    packet
}

#[test]
fn only_authentic_packets_prove_an_address_and_bad_ones_are_counted_and_passed_over() {
    let key = |byte| MediaKey::from_random(Suite::AesCm128HmacSha1_80, [byte; MediaKey::LENGTH_MAX]);
    let keys = MediaKeys { ours: key(1), theirs: key(2) };
    let srtp = || Some(Box::new(Srtp::new(&keys)));
    let nat: SocketAddr = "192.0.2.1:61000".parse().unwrap();
    let mut leg = leg(LegSettings { latch: true, srtp: srtp(), ..settings() });
    let mut peer = Srtp::new(&MediaKeys { ours: key(2), theirs: key(1) });
    let mut stranger = Srtp::new(&MediaKeys { ours: key(3), theirs: key(3) });
    let mut say = |srtp: &mut Srtp, sequence: u16, from: SocketAddr| {
        let mut packet = vec![0; Header::LENGTH + FRAME + TRAILER_MAX];
        Header { sequence, ssrc: 7, ..Header::default() }.write(&mut packet);
        let length = srtp.sender.protect(&mut packet, Header::LENGTH + FRAME);
        leg.receive(&packet[..length], from, at(u64::from(sequence) * 20));
        (leg.only_source(), leg.quality().packets_rejected)
    };
    // Whoever shares the peer's address, or has taken it, but has not its key.
    for sequence in 1..=10 {
        assert_eq!(say(&mut stranger, sequence, nat), (None, u64::from(sequence)));
    }
    for sequence in 1..=3 {
        assert_eq!(say(&mut peer, sequence, nat), (None, 10));
    }
    assert_eq!(say(&mut peer, 4, nat), (Some(nat), 10));
    assert_eq!(say(&mut stranger, 5, nat), (Some(nat), 11));

    // What we send the peer understands, and nobody else.
    let mut sent = Vec::new();
    leg.packets(&[0xd5; FRAME], |packet| sent = packet.to_vec());
    let mut report = [0; REPORT_MAX];
    let length = leg.last_report(at(1_000), &mut report);
    assert!(!sent.windows(8).any(|bytes| bytes == [0xd5; 8]));
    assert_eq!(
        Packet::parse(peer.open(&sent, &mut [0; DATAGRAM_MAX]).unwrap()).unwrap().payload,
        [0xd5; FRAME]
    );
    assert!(
        rtcp::read(peer.open_control(&report[..length], &mut [0; DATAGRAM_MAX]).unwrap(), |_| ()).is_ok()
    );

    // Its reports are believed if they are authentic, on the same port too, and once.
    let mut report = [0; REPORT_MAX];
    let plain = Report { ssrc: 7, sender: None, about: None, voice: None, cname: "x", goodbye: false };
    let length = plain.write(&mut report);
    leg.receive(&report[..length], nat, at(1_100));
    let length = peer.sender.protect_control(&mut report, length);
    leg.receive(&report[..length], nat, at(1_120));
    leg.receive(&report[..length], nat, at(1_140));
    assert_eq!((leg.quality().packets_rejected, leg.last_heard), (13, at(1_120).elapsed));
    assert_eq!(leg.quality().srtp, Some(Suite::AesCm128HmacSha1_80));

    // A re-INVITE with the same keys goes on; with none at all, sound is plain.
    assert!(leg.configure(LegSettings { srtp: srtp(), ..settings() }, at(1_200)).is_some());
    leg.packets(&[0xd5; FRAME], |packet| sent = packet.to_vec());
    assert!(peer.open(&sent, &mut [0; DATAGRAM_MAX]).is_ok());
    assert!(leg.configure(settings(), at(1_300)).is_some());
    leg.packets(&[0xd5; FRAME], |packet| sent = packet.to_vec());
    assert_eq!(Packet::parse(&sent).unwrap().payload, [0xd5; FRAME]);
}

#[test]
fn keys_of_any_dynamic_number_are_heard_and_those_not_agreed_are_not() {
    for agreed in [96, 97, 101, 127] {
        let mut leg = leg(LegSettings { event_payload_type: Some(agreed), ..settings() });
        let from = PEER.parse().unwrap();
        let digit = leg.receive(&packet(agreed, 1, 0, &[7, 0x8a, 0, 160]), from, at(0));
        assert_eq!(digit.map(Digit::as_char), Some('7'));
        let other = leg.receive(&packet(agreed - 1, 2, 500, &[7, 0x8a, 0, 160]), from, at(0));
        assert_eq!(other, None);
    }
    let mut leg = leg(LegSettings { event_payload_type: None, ..settings() });
    assert_eq!(leg.receive(&packet(101, 1, 0, &[7, 0x8a, 0, 160]), PEER.parse().unwrap(), at(0)), None);
}

#[test]
fn how_long_a_key_was_down_is_told_by_the_clock_of_its_events() {
    for (event_clock, duration, milliseconds) in [(8_000, 800_u16, 100), (48_000, 4_800, 100), (0, 1, 1_000)]
    {
        let mut leg = leg(LegSettings { event_clock, ..settings() });
        let [high, low] = duration.to_be_bytes();
        leg.receive(&packet(101, 1, 0, &[7, 0x8a, high, low]), PEER.parse().unwrap(), at(0));
        let lasted = leg.take_key_lasted();
        assert_eq!(lasted, Some(Duration::from_millis(milliseconds)), "{event_clock} Hz");
        assert_eq!(leg.take_key_lasted(), None, "once");
    }
}

#[test]
fn others_do_not_hear_the_leg_while_a_key_is_down() {
    let mut leg = leg(settings());
    leg.enter_room();
    let from = PEER.parse().unwrap();
    let mut spoke = Vec::new();
    for n in 0..100_u16 {
        let now = at(u64::from(n) * 20);
        leg.receive(&packet(0, 2 * n, u32::from(n) * 160, &[0x10; 160]), from, now);
        if (40..50).contains(&n) {
            leg.receive(&packet(101, 2 * n + 1, 6_400, &[7, 10, 0, 160]), from, now);
        }
        if leg.speak(Rate::Narrow, false, now) {
            spoke.push(n);
        }
    }
    assert!(spoke.contains(&39));
    assert!(!(42..=50).any(|n| spoke.contains(&n)), "{spoke:?}");
    assert!(spoke.contains(&56), "{spoke:?}");
}

#[test]
fn a_silent_peer_is_lost_once_per_silence_and_never_on_hold() {
    let mut leg = leg(settings());
    assert!(!leg.media_lost(at(59_999)));
    assert!(leg.media_lost(at(60_000)));
    assert!(!leg.media_lost(at(90_000)));
    leg.receive(&packet(0, 1, 0, &[0xff; 160]), PEER.parse().unwrap(), at(100_000));
    assert!(!leg.media_lost(at(159_999)));
    assert!(leg.media_lost(at(160_000)));

    leg.configure(LegSettings { they_send: false, ..settings() }, at(160_001));
    assert!(!leg.media_lost(at(1_000_000)));
    leg.configure(settings(), at(1_000_001));
    assert!(!leg.media_lost(at(1_060_000)));
    assert!(leg.media_lost(at(1_060_001)));
}

#[test]
fn reports_alone_keep_a_silent_peer() {
    let mut leg = leg(settings());
    let report = Report { ssrc: 9, sender: None, about: None, voice: None, cname: "x", goodbye: true };
    let mut buffer = [0; REPORT_MAX];
    let length = report.write(&mut buffer);
    leg.receive_control(&buffer[..length], "192.0.2.1:4001".parse().unwrap(), at(50_000));
    assert!(!leg.media_lost(at(100_000)));
    leg.receive_control(&buffer[..length], "203.0.113.9:4001".parse().unwrap(), at(100_000));
    assert!(leg.media_lost(at(110_000)), "a stranger's report keeps nobody");
}

#[test]
fn two_legs_tell_each_other_their_loss_and_round_trip() {
    let mut here = leg(settings());
    let mut there = leg(settings());
    let from: SocketAddr = PEER.parse().unwrap();
    there.sending.ssrc = 0xbeef;
    there.spread = 77;
    let mut buffer = [0; REPORT_MAX];
    for n in 0..1_500_u64 {
        let now = at(n * 20);
        let later = at(n * 20 + 30);
        let mut bytes = [0; 172];
        here.packets(&[0xff; FRAME], |packet| bytes.copy_from_slice(packet));
        if n % 10 != 0 {
            there.receive(&bytes, from, later);
        }
        there.packets(&[0xff; FRAME], |packet| bytes.copy_from_slice(packet));
        here.receive(&bytes, from, later);
        if let Some(length) = here.report(now, &mut buffer) {
            there.receive_control(&buffer[..length], from, later);
        }
        if let Some(length) = there.report(now, &mut buffer) {
            here.receive_control(&buffer[..length], from, later);
        }
    }
    let quality = here.quality();
    assert!((quality.peer_lost.unwrap() - 0.1).abs() < 0.02, "{quality:?}");
    assert!((quality.round_trip_ms.unwrap() - 60.0).abs() < 2.0, "{quality:?}");
    assert_eq!((quality.packets_lost, quality.packets_received), (0, 1_500));
    assert_eq!(there.quality().packets_lost, 149);
    // Each hears how the other is heard, and by the same measure.
    let (heard, told) = (there.quality().opinion.unwrap(), quality.peer_opinion.unwrap());
    assert!((3.0..3.5).contains(&heard) && (heard - told).abs() < 0.15, "{heard} {told}");
    assert!(quality.opinion.unwrap() > 4.2, "{quality:?}");
}

#[test]
fn the_first_prompt_waits_a_second_for_a_peer_that_has_to_prove_itself() {
    let behind_nat =
        LegSettings { latch: true, signalling_ip: "198.51.100.7".parse().unwrap(), ..settings() };
    let nat: SocketAddr = "198.51.100.7:9".parse().unwrap();
    let mut waiting = leg(behind_nat.clone());
    assert!(waiting.waits_for_peer(at(999)));
    assert!(!waiting.waits_for_peer(at(1_000)), "the call's flow must go on");
    for sequence in 0..3 {
        waiting.receive(&packet(0, sequence, 0, &[0xff; 160]), nat, at(60));
    }
    assert!(waiting.waits_for_peer(at(60)));
    waiting.receive(&packet(0, 3, 0, &[0xff; 160]), nat, at(80));
    assert!(!waiting.waits_for_peer(at(80)));
    assert!(!leg(settings()).waits_for_peer(at(0)), "nothing to prove");
}

#[test]
fn a_held_leg_is_sent_nothing_and_its_clock_goes_on() {
    let mut leg = leg(settings());
    assert_eq!(leg.send_to(), Some(PEER.parse().unwrap()));
    let mut bytes = [0; 172];
    leg.packets(&[0; FRAME], |packet| bytes.copy_from_slice(packet));
    let before = Packet::parse(&bytes).unwrap().header;
    leg.configure(LegSettings { they_receive: false, ..settings() }, at(0));
    assert_eq!(leg.send_to(), None);
    assert_eq!(leg.send_control_to(), Some("192.0.2.1:4001".parse().unwrap()));
    (0..50).for_each(|_| leg.pause());
    leg.packets(&[0; FRAME], |packet| bytes.copy_from_slice(packet));
    let after = Packet::parse(&bytes).unwrap().header;
    assert!(before.marker && after.marker);
    assert_eq!(after.sequence, before.sequence.wrapping_add(1));
    assert_eq!(after.timestamp, before.timestamp.wrapping_add(51 * 160));
}

#[test]
fn keys_and_reports_go_on_while_silence_is_sent_as_noise() {
    let sound = SoundSettings { comfort_noise: true, ..SoundSettings::default() };
    let mut leg = leg(LegSettings { sound, ..settings() });
    let (mut types, mut reports, mut keys) = (Vec::new(), 0, 0);
    for tick in 0..500_u64 {
        let mut payload = [0; FRAME];
        leg.idle(&mut payload);
        leg.packets(&payload, |bytes| types.push(Packet::parse(bytes).unwrap().header.payload_type));
        if tick % 100 == 50 {
            let key = packet(101, tick as u16, 160 * tick as u32, &[5, 0x8a, 0, 160]);
            keys += usize::from(leg.receive(&key, PEER.parse().unwrap(), at(20 * tick)).is_some());
        }
        let mut report = [0; REPORT_MAX];
        reports += usize::from(leg.report(at(20 * tick), &mut report).is_some());
    }
    assert_eq!(types.iter().filter(|&&payload_type| payload_type == 0).count(), 10);
    assert_eq!(types.iter().filter(|&&payload_type| payload_type == 13).count(), 25);
    assert_eq!(keys, 5);
    assert!((1..=4).contains(&reports), "{reports}");
}

#[test]
fn ticks_that_come_late_are_counted_and_a_change_of_turn_is_none() {
    let mut leg = leg(settings());
    leg.enter_room();
    let mut ms = 0;
    let mut tick = |leg: &mut Leg, after: u64| {
        ms += after;
        leg.speak(Rate::Narrow, false, at(ms));
        (leg.quality().ticks_late, leg.quality().tick_late_max_ms)
    };
    // A little early, a little late, as threads are.
    for after in [20, 24, 17, 22, 18] {
        assert_eq!(tick(&mut leg, after), (0, 0.0));
    }
    assert_eq!(tick(&mut leg, 28), (1, 8.0));
    assert_eq!(tick(&mut leg, 12), (1, 8.0));
    // Five left out.
    assert_eq!(tick(&mut leg, 120), (6, 100.0));
    // Another room, whose turn comes later.
    leg.enter_room();
    assert_eq!(tick(&mut leg, 35), (6, 100.0));
    assert_eq!(tick(&mut leg, 20), (6, 100.0));
}

#[test]
fn reports_tell_bursts_from_single_losses() {
    let mut leg = leg(settings());
    leg.enter_room();
    let from = PEER.parse().unwrap();
    // Two in a row are lost now and then, a single one between them.
    for n in 0..1_000_u16 {
        if !matches!(n % 100, 40 | 41 | 80) {
            leg.receive(&packet(0, n, u32::from(n) * 160, &[0x10; 160]), from, at(u64::from(n) * 20));
        }
        leg.speak(Rate::Narrow, false, at(u64::from(n) * 20));
    }
    let mut buffer = [0; REPORT_MAX];
    let length = leg.last_report(at(20_000), &mut buffer);
    let mut told = None;
    rtcp::read(&buffer[..length], |item| {
        if let rtcp::Item::Voice { metrics, .. } = item {
            told = Some(metrics.bursts);
        }
    })
    .unwrap();
    let bursts = told.unwrap();
    println!("{bursts:?}");
    assert!(bursts.burst_density > 0.95 && (bursts.burst_ms - 40.0).abs() < 3.0, "{bursts:?}");
    // 98 packets in 100, one or two of them lost.
    assert!((0.005..0.03).contains(&bursts.gap_density), "{bursts:?}");
    assert!((bursts.gap_ms - 1_960.0).abs() < 100.0, "{bursts:?}");
}

proptest::proptest! {
    #[test]
    fn no_datagrams_panic(datagrams: Vec<(Vec<u8>, bool)>) {
        let mut leg = leg(settings());
        leg.enter_room();
        for (n, (mut datagram, control)) in datagrams.into_iter().enumerate() {
            if let Some(first) = datagram.first_mut() {
                *first = *first & 0x1f | 0x80;
            }
            let now = at(n as u64 * 20);
            if control {
                leg.receive_control(&datagram, PEER.parse().unwrap(), now);
            } else {
                leg.receive(&datagram, PEER.parse().unwrap(), now);
            }
            leg.speak(Rate::Narrow, false, now);
        }
    }
}
