//! Keys on bad lines, as events and as tones, and hours of speech and music in which there are none.
//!
//! All in virtual time. The speech is made by flite, which `make test` installs.

use std::process::Command;
use std::time::Duration;

use doorline::audio::dtmf::{HIGH, LOW, Listener};
use doorline::audio::goertzel::dbm0;
use doorline::audio::{Codec, Encoder, FRAME, Leg, LegSettings, Rate, Seed, SoundSettings};
use doorline::rtp::Moment;
use doorline::rtp::packet::Header;
use doorline::rtp::telephone_event::Sender;
use doorline::types::Digit;

#[path = "support/impaired.rs"]
mod impaired;

use impaired::{Impairment, Line, NONE};

/// The bad line of the product's promises.
const BAD: Impairment = Impairment { loss: 0.05, burst: 1.0, jitter_ms: 60.0, duplicates: 0.01 };
const KEYS: &str = "123A456B789C*0#D";
const EVENTS: u8 = 101;

#[derive(Clone, Copy, PartialEq)]
enum Dials {
    Events,
    Tones,
}

/// A call with a second of silence, twelve keys of 100 ms with 100 ms between, and what was heard.
fn dial(keys: &str, dials: Dials, impairment: Impairment, seed: u64) -> String {
    let from = "192.0.2.1:4000".parse().unwrap();
    let mut leg = Leg::new(Seed::default(), Moment::default());
    leg.configure(
        LegSettings {
            event_payload_type: (dials == Dials::Events).then_some(EVENTS),
            sound: SoundSettings { tones_are_keys: dials == Dials::Tones, ..Default::default() },
            ..LegSettings::plain(Codec::Pcma, from)
        },
        Moment::default(),
    );
    let mut line = Line::new(impairment, seed);
    let mut encoder = Encoder::new(Codec::Pcma);
    let mut sequence = (seed * 7_919) as u16;
    let mut events: Option<Sender> = None;
    let mut heard = String::new();
    let mut keys = keys.chars();
    let mut pressed = None;
    for tick in 0..50 + 12 * 10 + 20_u32 {
        let now_ms = f64::from(tick) * 20.0;
        let timestamp = tick * FRAME as u32;
        if tick >= 50 && (tick - 50).is_multiple_of(10) {
            pressed = keys.next().map(|key| (key, tick));
            events = pressed.map(|(key, _)| Sender::new(Digit::from_char(key).unwrap(), timestamp, 800));
        }
        let mut packet = vec![0; 12];
        let event = events.as_mut().filter(|_| dials == Dials::Events).and_then(Iterator::next);
        let mut header = Header { payload_type: 8, marker: false, sequence, timestamp, ssrc: 1 };
        if let Some(event) = event {
            (header.payload_type, header.marker, header.timestamp) = (EVENTS, event.marker, event.timestamp);
            packet.extend(event.event.bytes());
        } else {
            let mut sound = [0; FRAME];
            if let Some((key, since)) = pressed.filter(|(_, since)| dials == Dials::Tones && tick < since + 5)
            {
                let place = KEYS.find(key).unwrap();
                for (n, sample) in sound.iter_mut().enumerate() {
                    let time = ((tick - since) as usize * FRAME + n) as f64 / 8_000.0 * std::f64::consts::TAU;
                    let both = (LOW[place / 4] * time).sin() + (HIGH[place % 4] * time).sin();
                    *sample = (dbm0(-10.0) * both) as i16;
                }
            }
            let mut codes = [0; FRAME];
            encoder.encode(&sound, &mut codes);
            packet.extend(codes);
        }
        header.write(&mut packet);
        sequence = sequence.wrapping_add(1);
        line.send(now_ms, &packet);
        let now = Moment::new(0, Duration::from_millis(u64::from(tick) * 20));
        for packet in line.arrived(now_ms) {
            heard.extend(leg.receive(&packet, from, now).map(Digit::as_char));
        }
        leg.say_name(now);
        heard.extend(leg.take_tone().map(Digit::as_char));
    }
    heard
}

/// How many of so many entries of twelve keys come through as they were dialled.
fn right(dials: Dials, impairment: Impairment, entries: u64) -> u64 {
    let mut random = Line::new(NONE, 99);
    let mut right = 0;
    for seed in 1..=entries {
        let keys: String = (0..12).map(|_| char::from(b'0' + (random.random() * 10.0) as u8)).collect();
        let heard = dial(&keys, dials, impairment, seed);
        assert!(heard.len() <= 12, "a key was doubled: {} keys of 12, line {seed}", heard.len());
        right += u64::from(heard == keys);
    }
    right
}

#[test]
fn twelve_keys_come_through_a_bad_line_as_events() {
    let entries = 1_000;
    let good = right(Dials::Events, BAD, entries);
    println!("F5: twelve keys as events on the bad line: {good} of {entries} entries right, none doubled");
    assert!(good * 1_000 >= entries * 999, "{good} of {entries}");
}

#[test]
fn twelve_keys_come_through_a_bad_line_as_tones() {
    assert_eq!(right(Dials::Tones, NONE, 50), 50, "on a good line");
    let entries = 1_000;
    let good = right(Dials::Tones, BAD, entries);
    println!("F5: twelve keys as tones on the bad line: {good} of {entries} entries right, none doubled");
    assert!(good * 100 >= entries * 99, "{good} of {entries}");
}

/// Speech of one voice at 8 kHz.
fn spoken(voice: &str, text: &str) -> Vec<i16> {
    let folder = tempfile::tempdir().unwrap();
    let (words, file) = (folder.path().join("text"), folder.path().join("said.wav"));
    std::fs::write(&words, text).unwrap();
    let done = Command::new("flite").args(["-voice", voice, "-f"]).arg(words).arg("-o").arg(&file).status();
    assert!(done.expect("flite is installed: apt-get install flite").success());
    let mut reader = hound::WavReader::open(file).unwrap();
    let step = reader.spec().sample_rate / 8_000;
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    let mean = |group: &[i16]| (group.iter().map(|&s| i32::from(s)).sum::<i32>() / step as i32) as i16;
    samples.chunks_exact(step as usize).map(mean).collect()
}

/// Chords of plucked strings, a new one every half second.
fn music(seconds: usize) -> Vec<i16> {
    let mut random = Line::new(NONE, 5);
    let mut out = Vec::with_capacity(seconds * 8_000);
    for _ in 0..2 * seconds {
        let root = 110.0 * 2_f64.powf((random.random() * 36.0).floor() / 12.0);
        let notes = [1.0, 1.26, 1.5, 2.0].map(|ratio| root * ratio);
        out.extend((0..4_000).map(|n| {
            let time = f64::from(n) / 8_000.0;
            let strings = notes.iter().flat_map(|note| (1..6).map(move |partial| (note, f64::from(partial))));
            let sum: f64 = strings
                .map(|(note, partial)| {
                    let fades = (-time * (2.0 + partial)).exp() / partial;
                    fades * (std::f64::consts::TAU * note * partial * time).sin()
                })
                .sum();
            (sum * 4_000.0) as i16
        }));
    }
    out
}

/// `DOORLINE_LONG` makes an hour of it.
#[test]
fn no_key_is_heard_in_speech_and_music() {
    let readme = concat!(include_str!("../README.md"), include_str!("../ARCHITECTURE.md"));
    let long = std::env::var_os("DOORLINE_LONG").is_some();
    let text: String = readme
        .replace(['|', '`', '*', '#', '_'], " ")
        .chars()
        .take(if long { 14_000 } else { 1_500 })
        .collect();
    let mut minutes = 0.0;
    let mut listen = |what: &str, sound: &[i16]| {
        for gain in [1.0, 0.2] {
            let mut listener = Listener::new(Rate::Narrow);
            let mut hidden = 0;
            for (n, frame) in sound.chunks_exact(FRAME).enumerate() {
                let frame: Vec<i16> = frame.iter().map(|&sample| (f64::from(sample) * gain) as i16).collect();
                let heard = listener.hear(&frame);
                assert_eq!(heard.key, None, "in {what}, {:.2} s", n as f64 / 50.0);
                hidden += usize::from(heard.tone);
            }
            assert!(hidden * 1_000 < sound.len() / FRAME + 1_000, "{hidden} frames of {what} taken for keys");
        }
        minutes += sound.len() as f64 / 480_000.0;
    };
    for voice in ["slt", "rms", "awb", "kal16"] {
        listen(voice, &spoken(voice, &text));
    }
    listen("music", &music(if long { 600 } else { 60 }));
    println!("F5: no key heard in {minutes:.1} minutes of speech and music, at two levels");
    assert!(minutes > if long { 45.0 } else { 5.0 });
}
