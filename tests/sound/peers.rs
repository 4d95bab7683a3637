//! What a leg and its peer tell each other beside the sound: where it is, and how it is heard.

use std::net::UdpSocket;
use std::time::Duration;

use ::rtcp::reception_report::ReceptionReport;
use doorline::audio::FRAME;
use doorline::media::{Event, LegSettings};
use doorline::rtp::packet::Header;
use doorline::rtp::rtcp;

use super::lab::{Lab, clip};

#[test]
fn behind_a_nat_sound_flows_once_the_caller_is_proved() {
    let mut lab = Lab::new(1);
    let number = lab.call();
    let call = lab.phones[number].call;
    // SDP names a private address that nobody can reach.
    let private = LegSettings {
        remote_rtp: Some("10.9.8.7:4000".parse().unwrap()),
        latch: true,
        ..lab.settings(number)
    };
    lab.engine.configure(call, private);
    lab.engine.play_loop(call, clip(800.0, 1.0));
    lab.phones[number].speaks = false;
    lab.run(0.3);
    lab.phones[number].heard.clear();
    lab.run(0.5);
    assert_eq!(lab.phones[number].heard.len(), 0, "nothing is sent to an unproved address");
    lab.phones[number].speaks = true;
    lab.run(1.0);
    assert!(lab.phones[number].hears(800.0) > 4_500.0);
    // Somebody else on the same host wants the sound now.
    let thief = UdpSocket::bind("127.0.0.1:0").unwrap();
    thief.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    for sequence in 0..10 {
        let mut bytes = [0xff; 12 + FRAME];
        Header { payload_type: 0, marker: false, sequence, timestamp: 0, ssrc: 1 }.write(&mut bytes);
        thief.send_to(&bytes, lab.phones[number].engine).unwrap();
    }
    lab.run(0.5);
    assert!(thief.recv_from(&mut [0; 1_500]).is_err());
    assert!(lab.phones[number].hears(800.0) > 4_500.0);
}

#[test]
fn reports_come_on_the_next_port_and_the_last_says_good_bye() {
    let mut lab = Lab::new(1);
    let number = lab.call();
    let control = lab.control_port(number, Duration::from_millis(100));
    let mut reports = Vec::new();
    let lab_port = lab.phones[number].engine.port();
    let listen = |reports: &mut Vec<Vec<String>>| {
        let mut buffer = [0; 1_500];
        while let Ok((length, from)) = control.recv_from(&mut buffer) {
            assert_eq!(from.port(), lab_port + 1);
            let packets = ::rtcp::packet::unmarshal(&mut &buffer[..length]).unwrap();
            reports.push(packets.iter().map(|packet| format!("{:?}", packet.header().packet_type)).collect());
        }
    };
    lab.run(4.0);
    listen(&mut reports);
    let report = ["SenderReport", "SourceDescription", "ExtendedReport"];
    assert_eq!(reports, [report]);
    lab.engine.close(lab.phones[number].call);
    lab.run(0.1);
    listen(&mut reports);
    let [last] = &reports[1..] else { panic!("{reports:?}") };
    assert_eq!(last[..3], report);
    assert_eq!(last[3..], ["Goodbye"]);
}

#[test]
fn the_way_there_and_back_is_as_long_as_it_is_whenever_the_report_is_read() {
    let mut lab = Lab::new(1);
    let number = lab.call();
    let control = lab.control_port(number, Duration::from_secs(8));
    // A phone answers to a report at once; ours is read half a second later.
    let mut buffer = [0; 1_500];
    let (length, from) = control.recv_from(&mut buffer).unwrap();
    let mut about = None;
    rtcp::read(&buffer[..length], |item| {
        if let rtcp::Item::SenderReport { ssrc, ntp_middle } = item {
            about = Some(ReceptionReport { ssrc, last_sender_report: ntp_middle, ..Default::default() });
        }
    })
    .unwrap();
    assert!(about.is_some(), "it sends");
    let report =
        rtcp::Report { ssrc: 4_711, sender: None, about, voice: None, cname: "phone", goodbye: false };
    let mut out = [0; rtcp::REPORT_MAX];
    let length = report.write(&mut out);
    control.send_to(&out[..length], from).unwrap();
    lab.run(1.0);
    lab.engine.close(lab.phones[number].call);
    lab.run(0.1);
    let quality = lab.happened.iter().find_map(|event| match event {
        Event::Closed { quality, .. } => Some(quality),
        _ => None,
    });
    let round_trip_ms = quality.and_then(|quality| quality.round_trip_ms).expect("it was reported");
    // A machine that is busy may take a tick or two.
    assert!(round_trip_ms < 100.0, "{round_trip_ms} ms on one machine");
}
