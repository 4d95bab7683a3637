//! Who hears whom, over real sockets and in real time: phones with a tone each call the engine.
//!
//! The rules are tested in virtual time inside `audio`; this proves that threads, sockets and
//! rings carry them. Run it alone: a machine that is busy with something else is late.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::rtcp::reception_report::ReceptionReport;
use doorline::audio::goertzel::{amplitude, amplitude_at, tone, tone_at};
use doorline::audio::{Clip, Codec, Decoder, Encoder, FRAME, Rate};
use doorline::media::{Engine, Error, Event, Events, LegSettings, RecordingEnd, Settings, recording};
use doorline::rtp::packet::{Header, Packet};
use doorline::rtp::rtcp;
use doorline::rtp::telephone_event::Sender;
use doorline::types::{CallId, Digit, MeetingId};

/// One test at a time: they all need the clock.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A caller: says a tone, writes down what it hears.
struct Phone {
    call: CallId,
    socket: UdpSocket,
    engine: SocketAddr,
    codec: Codec,
    encoder: Encoder,
    decoder: Decoder,
    frequency: f64,
    loudness: f64,
    speaks: bool,
    sequence: u16,
    clock: u32,
    /// Samples heard; what was lost is left out.
    heard: Vec<i16>,
    /// Sequence numbers heard.
    numbers: Vec<u16>,
    sent: u64,
    keys: Option<Sender>,
}

const EVENTS: u8 = 101;

impl Phone {
    fn tick(&mut self) {
        if let Some(packet) = self.keys.as_mut().and_then(Iterator::next) {
            self.send(EVENTS, packet.marker, packet.timestamp, &packet.event.bytes());
        } else if self.speaks {
            self.keys = None;
            let rate = self.codec.rate();
            let from = self.clock as usize * rate.per_tick();
            let sound: Vec<i16> =
                tone_at(rate.hz(), self.frequency, self.loudness, from, rate.frame()).collect();
            let mut payload = [0; FRAME];
            self.encoder.encode(&sound, &mut payload);
            self.send(self.codec.payload_type(), false, self.clock, &payload);
        }
        self.clock = self.clock.wrapping_add(FRAME as u32);
        self.listen();
    }

    fn send(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8]) {
        let mut bytes = vec![0; 12];
        bytes.extend_from_slice(payload);
        Header { payload_type, marker, sequence: self.sequence, timestamp, ssrc: 4_711 }.write(&mut bytes);
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send_to(&bytes, self.engine).unwrap();
        self.sent += 1;
    }

    fn listen(&mut self) {
        let mut buffer = [0; 1_500];
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            assert_eq!(from, self.engine, "sound comes from the address in our SDP");
            let packet = Packet::parse(&buffer[..length]).unwrap();
            assert_eq!(packet.header.payload_type, self.codec.payload_type());
            let mut samples = vec![0; packet.payload.len() * self.codec.rate().per_tick()];
            self.decoder.decode(packet.payload, &mut samples);
            self.heard.extend(samples);
            self.numbers.push(packet.header.sequence);
        }
    }

    fn last(&self, seconds: f64) -> &[i16] {
        let count = (seconds * self.codec.rate().hz() as f64) as usize;
        assert!(self.heard.len() >= count, "heard only {} samples", self.heard.len());
        &self.heard[self.heard.len() - count..]
    }

    fn hears(&self, frequency: f64) -> f64 {
        amplitude_at(self.codec.rate().hz(), self.last(0.5), frequency)
    }

    fn press(&mut self, key: char) {
        self.keys = Some(Sender::new(Digit::from_char(key).unwrap(), self.clock, 800));
    }
}

struct Lab {
    engine: Engine,
    events: Events,
    phones: Vec<Phone>,
    happened: Vec<Event>,
    talked: Vec<(CallId, bool)>,
    deadline: Instant,
    /// Ticks that came more than 8 ms late, by the machine's fault.
    late: usize,
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    fn new(threads: usize) -> Self {
        let turn = alone();
        let (engine, events) = Engine::start(&Settings {
            address: [127, 0, 0, 1].into(),
            ports: 20_000..=25_999,
            threads: Some(threads),
            address_v6: None,
            busy_max: 100,
            rate_max: Rate::Wide,
        })
        .unwrap();
        let deadline = Instant::now();
        Self {
            engine,
            events,
            phones: Vec::new(),
            happened: Vec::new(),
            talked: Vec::new(),
            deadline,
            late: 0,
            _turn: turn,
        }
    }

    /// A call with a tone of its own. Its number is its place in `phones`.
    fn call(&mut self) -> usize {
        self.call_with([Codec::Pcmu, Codec::Pcma][self.phones.len() % 2])
    }

    fn call_with(&mut self, codec: Codec) -> usize {
        let number = self.phones.len();
        let call = CallId::numbered(number as u128 + 1);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let engine = self.engine.open(call).unwrap();
        self.phones.push(Phone {
            call,
            socket,
            engine,
            codec,
            encoder: Encoder::new(codec),
            decoder: Decoder::new(codec),
            frequency: 400.0 + 250.0 * number as f64,
            loudness: 3_000.0,
            speaks: true,
            sequence: 65_530,
            clock: 0,
            heard: Vec::new(),
            numbers: Vec::new(),
            sent: 0,
            keys: None,
        });
        self.engine.configure(call, self.settings(number));
        number
    }

    fn settings(&self, number: usize) -> LegSettings {
        let phone = &self.phones[number];
        LegSettings::plain(phone.codec, phone.socket.local_addr().unwrap())
    }

    /// A port of its own for the phone's RTCP; how long one waits there for a report.
    fn control_port(&self, number: usize, patience: Duration) -> UdpSocket {
        let control = UdpSocket::bind("127.0.0.1:0").unwrap();
        control.set_read_timeout(Some(patience)).unwrap();
        let remote_rtcp = Some(control.local_addr().unwrap());
        let settings = LegSettings { remote_rtcp, ..self.settings(number) };
        self.engine.configure(self.phones[number].call, settings);
        control
    }

    fn join(&self, number: usize, room: u128) {
        self.engine.join(self.phones[number].call, MeetingId::numbered(room));
    }

    fn run(&mut self, seconds: f64) {
        self.deadline = self.deadline.max(Instant::now());
        for _ in 0..(seconds * 50.0) as usize {
            self.deadline += Duration::from_millis(20);
            std::thread::sleep(self.deadline.saturating_duration_since(Instant::now()));
            if self.deadline.elapsed() > Duration::from_millis(8) {
                self.late += 1;
            }
            for phone in &mut self.phones {
                phone.tick();
            }
            while let Some(event) = self.events.try_next() {
                // A tone that begins is speech for a second.
                if let Event::Talking { call, on } = event {
                    self.talked.push((call, on));
                    continue;
                }
                // Comes every few seconds, whatever happens.
                if !matches!(event, Event::Measured { .. }) {
                    self.happened.push(event);
                }
            }
        }
    }

    /// Ticks of the media threads that began more than 5 ms late.
    fn engine_late(&self) -> usize {
        self.engine.figures().iter().map(|worker| worker.lateness[6..].iter().sum::<u64>() as usize).sum()
    }

    fn assert_hears(&self, number: usize, others: &[usize]) {
        let phone = &self.phones[number];
        for (other, speaker) in self.phones.iter().enumerate() {
            let heard = phone.hears(speaker.frequency) / speaker.loudness;
            if others.contains(&other) {
                assert!((0.8..1.2).contains(&heard), "{number} hears {other} at {heard:.3}");
            } else {
                assert!(heard < 0.05, "{number} hears {other} at {heard:.3}");
            }
        }
    }

    fn digits(&self, number: usize) -> String {
        let call = self.phones[number].call;
        let keys = self.happened.iter().filter_map(|event| match event {
            Event::Digit { call: from, digit } if *from == call => Some(digit.as_char()),
            _ => None,
        });
        keys.collect()
    }
}

fn clip(frequency: f64, seconds: f64) -> Arc<Clip> {
    Arc::new(Clip::new(tone(frequency, 5_000.0, 0, (seconds * 8_000.0) as usize).collect()))
}

#[test]
fn five_callers_hear_all_others_and_a_second_room_hears_nothing_of_them() {
    let mut lab = Lab::new(2);
    for number in 0..8 {
        lab.call();
        lab.join(number, if number < 5 { 1 } else { 2 });
    }
    lab.run(2.0);
    for number in 0..5 {
        lab.assert_hears(number, &(0..5).filter(|&other| other != number).collect::<Vec<_>>());
    }
    for number in 5..8 {
        lab.assert_hears(number, &(5..8).filter(|&other| other != number).collect::<Vec<_>>());
    }
    for phone in &lab.phones {
        lab.engine.close(phone.call);
    }
    lab.run(0.2);
    let closed = lab.happened.iter().filter(|event| matches!(event, Event::Closed { .. })).count();
    assert_eq!(closed, 8);
    assert_eq!(lab.engine.figures().iter().map(|worker| worker.legs + worker.rooms).sum::<u64>(), 0);
}

#[test]
fn wide_and_narrow_callers_hear_each_other_and_the_wide_ones_more() {
    let mut lab = Lab::new(1);
    let wide = lab.call_with(Codec::G722);
    let narrow = lab.call_with(Codec::Pcmu);
    let other = lab.call_with(Codec::G722);
    (0..3).for_each(|number| lab.join(number, 1));
    lab.run(1.5);
    for number in 0..3 {
        lab.assert_hears(number, &(0..3).filter(|&other| other != number).collect::<Vec<_>>());
    }
    // What no narrow codec can carry.
    lab.phones[wide].frequency = 6_000.0;
    lab.run(1.0);
    lab.assert_hears(other, &[wide, narrow]);
    assert!(lab.phones[narrow].hears(2_000.0) < 60.0, "it folds back");
    // A prompt for each, in its codec.
    for number in 0..3 {
        lab.engine.play(lab.phones[number].call, 1, vec![clip(2_700.0, 1.0)]);
    }
    lab.run(0.8);
    for phone in &lab.phones {
        assert!((4_500.0..5_500.0).contains(&phone.hears(2_700.0)), "{}", phone.hears(2_700.0));
    }
    // The codec changes in the middle of the call, and so does the length of its packets.
    lab.phones[wide].codec = Codec::Pcma;
    lab.phones[wide].encoder = Encoder::new(Codec::Pcma);
    lab.phones[wide].decoder = Decoder::new(Codec::Pcma);
    lab.phones[wide].heard.clear();
    lab.phones[wide].frequency = 500.0;
    let settings = LegSettings { ptime: Duration::from_millis(60), ..lab.settings(wide) };
    lab.engine.configure(lab.phones[wide].call, settings);
    lab.run(1.5);
    for number in 0..3 {
        lab.assert_hears(number, &(0..3).filter(|&other| other != number).collect::<Vec<_>>());
    }
}

#[test]
fn a_tone_comes_through_the_mix_for_15_seconds_without_a_break() {
    let mut lab = Lab::new(1);
    for number in 0..3 {
        lab.call();
        lab.join(number, 1);
        lab.phones[number].speaks = number == 0;
    }
    lab.phones[0].frequency = 1_000.0;
    lab.phones[0].loudness = 8_000.0;
    lab.run(15.0);
    for listener in [1, 2] {
        let phone = &lab.phones[listener];
        // Skip the beginning, where the tone fades in.
        let heard = &phone.heard[phone.heard.len() - 14 * 8_000..];
        let mut breaks = Vec::new();
        // The tone repeats itself every 8 samples; only the codec may make a difference.
        for (at, pair) in heard.windows(9).enumerate() {
            let step = (i32::from(pair[8]) - i32::from(pair[0])).abs();
            if step > 520 && breaks.last().is_none_or(|&last| at - last > 1_600) {
                breaks.push(at);
            }
        }
        // A machine that was late for more than the jitter buffer holds may show it once each.
        let excused = lab.late + lab.engine_late();
        assert!(breaks.len() <= excused, "{listener} heard breaks at {breaks:?}, {excused} ticks were late");
        let missing = phone.numbers.windows(2).filter(|pair| pair[1] != pair[0].wrapping_add(1)).count();
        assert_eq!(missing, 0, "every packet that left has the next number");
    }
    assert!(lab.phones[0].hears(1_000.0) < 100.0);
}

#[test]
fn a_prompt_is_heard_by_its_caller_alone_and_tones_by_the_room() {
    let mut lab = Lab::new(1);
    for number in 0..3 {
        lab.call();
        lab.join(number, 1);
    }
    lab.run(0.5);
    let call = lab.phones[0].call;
    lab.engine.play(call, 1, vec![clip(2_700.0, 0.6), clip(2_700.0, 0.6)]);
    lab.engine.play(call, 2, vec![clip(3_100.0, 5.0)]);
    lab.run(1.0);
    assert!(lab.phones[0].hears(2_700.0) > 4_500.0);
    lab.assert_hears(1, &[0, 2]);
    lab.assert_hears(2, &[0, 1]);
    for other in [1, 2] {
        assert!(lab.phones[other].hears(2_700.0) < 100.0);
    }
    lab.run(0.5);
    assert_eq!(lab.happened, [Event::Played { call, playback: 1 }]);
    lab.engine.stop_playing(call);
    lab.run(0.8);
    assert_eq!(lab.happened[1..], [Event::Played { call, playback: 2 }]);
    lab.assert_hears(0, &[1, 2]);

    lab.engine.play_to_room(MeetingId::numbered(1), vec![clip(2_700.0, 1.0)]);
    lab.run(0.8);
    for phone in &lab.phones {
        assert!(phone.hears(2_700.0) > 4_500.0);
    }
    lab.run(0.8);
    lab.assert_hears(0, &[1, 2]);
}

#[test]
fn music_waits_for_prompts_and_a_closed_leg_reports_all_its_playbacks() {
    let mut lab = Lab::new(1);
    lab.call();
    let call = lab.phones[0].call;
    lab.phones[0].speaks = false;
    lab.engine.play_loop(call, clip(600.0, 0.7));
    lab.run(1.0);
    assert!(lab.phones[0].hears(600.0) > 4_500.0);
    lab.engine.play(call, 7, vec![clip(2_000.0, 0.8)]);
    lab.run(0.7);
    assert!(lab.phones[0].hears(2_000.0) > 4_500.0 && lab.phones[0].hears(600.0) < 300.0);
    lab.run(0.8);
    assert!(lab.phones[0].hears(600.0) > 4_500.0 && lab.phones[0].hears(2_000.0) < 300.0);
    lab.engine.play(call, 8, vec![clip(2_000.0, 9.0)]);
    lab.engine.play(call, 9, vec![clip(2_000.0, 9.0)]);
    lab.engine.close(call);
    lab.engine.play(call, 10, vec![clip(2_000.0, 9.0)]);
    lab.run(0.2);
    let played = |playback| Event::Played { call, playback };
    assert_eq!(lab.happened[..3], [played(7), played(8), played(9)]);
    assert!(matches!(lab.happened[3..], [Event::Closed { .. }]), "{:?}", lab.happened);
}

#[test]
fn mute_hold_and_leave() {
    let mut lab = Lab::new(2);
    for number in 0..3 {
        lab.call();
        lab.join(number, 1);
    }
    lab.run(1.0);
    lab.assert_hears(0, &[1, 2]);

    lab.engine.mute(lab.phones[1].call, true);
    lab.run(0.8);
    lab.assert_hears(0, &[2]);
    lab.assert_hears(1, &[0, 2]);
    lab.engine.mute(lab.phones[1].call, false);
    lab.run(0.8);
    lab.assert_hears(0, &[1, 2]);

    // Hold: nothing is sent to it, and nothing it sends is heard.
    let held = LegSettings { they_send: false, they_receive: false, ..lab.settings(2) };
    lab.engine.configure(lab.phones[2].call, held);
    lab.run(0.2);
    let before = lab.phones[2].heard.len();
    lab.run(0.8);
    assert_eq!(lab.phones[2].heard.len(), before);
    lab.assert_hears(0, &[1]);
    lab.engine.configure(lab.phones[2].call, lab.settings(2));
    lab.run(0.8);
    lab.assert_hears(2, &[0, 1]);
    lab.assert_hears(0, &[1, 2]);

    lab.engine.leave(lab.phones[0].call);
    lab.run(0.8);
    lab.assert_hears(0, &[]);
    lab.assert_hears(1, &[2]);
}

/// What a recording's file holds, of each channel.
fn recorded(folder: &Path, end: &str) -> Vec<Vec<i16>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|file| file.to_string_lossy().ends_with(end)).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let file = files.remove(0);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut reader = hound::WavReader::open(file).unwrap();
    let channels = usize::from(reader.spec().channels);
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    (0..channels).map(|channel| samples.iter().skip(channel).step_by(channels).copied().collect()).collect()
}

#[test]
fn a_recording_holds_all_voices_and_each_alone() {
    let mut lab = Lab::new(1);
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("recordings");
    lab.engine.set_recording(recording::Settings {
        folder: into.clone(),
        per_caller: true,
        longest: Duration::from_secs(60),
    });
    let meeting = MeetingId::numbered(1);
    lab.engine.record(meeting, true);
    for number in 0..3 {
        lab.call();
        lab.join(number, 1);
    }
    lab.engine.mute(lab.phones[2].call, true);
    lab.run(0.5);
    lab.engine.record(meeting, true);
    lab.engine.record(meeting, true);
    lab.run(2.0);
    lab.engine.record(meeting, false);
    lab.run(0.5);
    let ended = |why| Event::RecordingEnded { meeting, why };
    let nobody_there = ended(RecordingEnd::NothingToRecord);
    assert_eq!(lab.happened, [nobody_there, ended(RecordingEnd::Stopped)]);
    let all = recorded(&into, "Z.wav");
    assert!((15_000..17_000).contains(&all[0].len()), "{} samples", all[0].len());
    let voices = recorded(&into, "-callers.wav");
    assert_eq!(voices.len(), 2, "who is muted is not recorded");
    for number in 0..3 {
        let frequency = lab.phones[number].frequency;
        let heard = |sound: &[i16]| amplitude(&sound[4_000..], frequency) / 3_000.0;
        let expected = if number < 2 { 1.0 } else { 0.0 };
        assert!((heard(&all[0]) - expected).abs() < 0.1, "{number}: {:.2}", heard(&all[0]));
        let loudest = voices.iter().map(|voice| heard(voice)).fold(0.0, f64::max);
        let softest = voices.iter().map(|voice| heard(voice)).fold(1.0, f64::min);
        assert!((loudest - expected).abs() < 0.1 && softest < 0.05, "{number}: {loudest:.2} {softest:.2}");
    }
    lab.assert_hears(0, &[1]);
}

#[test]
fn a_recording_that_cannot_be_written_ends_and_the_callers_hear_each_other() {
    let mut lab = Lab::new(1);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("recordings"), "no folder").unwrap();
    let settings = recording::Settings {
        folder: folder.path().join("recordings"),
        per_caller: false,
        longest: Duration::from_secs(60),
    };
    lab.engine.set_recording(settings.clone());
    for number in 0..2 {
        lab.call();
        lab.join(number, 1);
    }
    let meeting = MeetingId::numbered(1);
    lab.run(0.1);
    lab.engine.record(meeting, true);
    lab.run(1.0);
    assert!(
        matches!(lab.happened[..], [Event::RecordingEnded { why: RecordingEnd::Failed(_), .. }]),
        "{:?}",
        lab.happened
    );
    lab.assert_hears(0, &[1]);
    // The folder is mended: it is recorded until the last caller has left.
    fs::remove_file(&settings.folder).unwrap();
    lab.engine.record(meeting, true);
    lab.run(0.5);
    (0..2).for_each(|number| lab.engine.close(lab.phones[number].call));
    lab.run(0.3);
    let ended = Event::RecordingEnded { meeting, why: RecordingEnd::Stopped };
    assert!(lab.happened.contains(&ended), "{:?}", lab.happened);
    assert!(recorded(&settings.folder, ".wav")[0].len() > 3_000);
}

#[test]
fn keys_are_heard_once_by_the_engine_and_never_by_the_others() {
    let mut lab = Lab::new(1);
    for number in 0..2 {
        lab.call();
        lab.join(number, 1);
    }
    lab.run(0.5);
    for key in "4711#".chars() {
        lab.phones[0].press(key);
        lab.run(0.2);
    }
    lab.run(0.2);
    assert_eq!(lab.digits(0), "4711#");
    assert_eq!(lab.digits(1), "");
}

#[test]
fn who_talks_is_told_once_when_they_begin_and_once_when_they_cease() {
    let mut lab = Lab::new(1);
    for number in 0..2 {
        lab.call();
        lab.join(number, 1);
        lab.phones[number].speaks = false;
    }
    lab.run(0.5);
    for _ in 0..4 {
        // Words, not a steady tone.
        for word in [true, false] {
            lab.phones[0].speaks = word;
            lab.run(0.25);
        }
    }
    let talker = lab.phones[0].call;
    assert_eq!(lab.talked, [(talker, true)]);
    lab.run(1.2);
    assert_eq!(lab.talked, [(talker, true), (talker, false)]);
}

#[test]
fn a_leg_that_moves_between_threads_loses_nothing() {
    let mut lab = Lab::new(2);
    for number in 0..4 {
        lab.call();
        // Rooms 1 and 2 are on different threads.
        lab.join(number, 1 + number as u128 % 2);
    }
    lab.run(0.5);
    let legs: Vec<u64> = lab.engine.figures().iter().map(|worker| worker.legs).collect();
    assert_eq!(legs, [2, 2]);
    for round in 0..20 {
        lab.join(0, 1 + (round + 1) % 2);
        lab.phones[0].press(char::from(b'0' + (round % 10) as u8));
        lab.run(0.3);
    }
    lab.run(1.0);
    lab.assert_hears(0, &[2]);
    let phone = &lab.phones[0];
    assert_eq!(lab.digits(0), "01234567890123456789");
    let gaps = phone.numbers.windows(2).filter(|pair| pair[1] != pair[0].wrapping_add(1)).count();
    assert_eq!(gaps, 0, "packets to the caller");
    let (call, sent) = (phone.call, phone.sent);
    lab.engine.close(call);
    lab.phones.clear();
    lab.run(0.2);
    let quality = lab.happened.iter().find_map(|event| match event {
        Event::Closed { call: closed, quality } if *closed == call => Some(*quality),
        _ => None,
    });
    let quality = quality.unwrap();
    assert_eq!((quality.packets_received, quality.packets_lost), (sent, 0), "packets from the caller");
}

#[test]
fn a_room_moves_away_from_one_that_grows_and_nobody_hears_it() {
    let mut lab = Lab::new(2);
    // Rooms 1 and 2 are on different threads, and room 3 is beside one of them.
    for (number, room) in [1, 2, 3, 3, 3, 3, 3, 3].into_iter().enumerate() {
        lab.call();
        lab.join(number, room);
    }
    lab.run(1.0);
    let on = |lab: &Lab| lab.engine.figures().iter().map(|worker| worker.legs).collect::<Vec<_>>();
    let before = on(&lab);
    assert!(before.contains(&7) && before.contains(&1), "{before:?}");
    let full = before.iter().position(|legs| *legs == 7).unwrap();
    // More and more join the room beside room 3, which types keys and talks meanwhile.
    let neighbour = |lab: &Lab, number: usize| {
        let room = [1, 2][number];
        lab.join(lab.phones.len() - 1, room);
    };
    let grows = (0..2).find(|&number| {
        lab.call();
        neighbour(&lab, number);
        lab.run(0.3);
        let grew = on(&lab)[full] == 8;
        if !grew {
            lab.engine.leave(lab.phones.last().unwrap().call);
            lab.engine.close(lab.phones.pop().unwrap().call);
            lab.run(0.3);
        }
        grew
    });
    let grows = grows.expect("one of them is beside room 3");
    for round in 0..23_u32 {
        lab.call();
        neighbour(&lab, grows);
        lab.phones[2].press(char::from_digit(round % 10, 10).unwrap());
        lab.run(0.26);
    }
    lab.run(1.5);
    let mut after = on(&lab);
    assert_eq!(after[full], 25, "{before:?} {after:?}");
    after.sort_unstable();
    assert_eq!(after, [7, 25]);
    assert_eq!(lab.digits(2), "01234567890123456789012");
    for number in 3..8 {
        let others: Vec<usize> = (3..8).filter(|other| *other != number).collect();
        let phone = &lab.phones[number];
        let gaps = phone.numbers.windows(2).filter(|pair| pair[1] != pair[0].wrapping_add(1)).count();
        assert_eq!(gaps, 0, "packets to caller {number}");
        for other in others {
            let heard = phone.hears(lab.phones[other].frequency) / 3_000.0;
            assert!((0.7..1.3).contains(&heard), "{number} hears {other} at {heard:.3}");
        }
        assert!(phone.hears(phone.frequency) < 150.0, "nobody hears themselves");
    }
    let received: Vec<(CallId, u64)> =
        lab.phones[2..8].iter().map(|phone| (phone.call, phone.sent)).collect();
    received.iter().for_each(|(call, _)| lab.engine.close(*call));
    lab.phones.clear();
    lab.run(0.3);
    for (call, sent) in received {
        let quality = lab.happened.iter().find_map(|event| match event {
            Event::Closed { call: closed, quality } if *closed == call => Some(*quality),
            _ => None,
        });
        let quality = quality.unwrap();
        assert_eq!((quality.packets_received, quality.packets_lost), (sent, 0), "packets from a caller");
    }
}

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

#[test]
fn the_wish_for_an_event_wakes_its_reader() {
    let mut lab = Lab::new(1);
    lab.call();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let call = lab.phones[0].call;
    for playback in 0..20 {
        lab.engine.play(call, playback, vec![clip(500.0, 0.05)]);
        let begun = Instant::now();
        let event = runtime.block_on(lab.events.next());
        assert_eq!(event, Event::Played { call, playback });
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_call_with_more_orders_than_fit_is_told_once_and_can_still_be_closed() {
    let mut lab = Lab::new(1);
    lab.call();
    lab.call();
    let [flooded, other] = [0, 1].map(|number| lab.phones[number].call);
    for n in 0..100_000 {
        lab.engine.mute(flooded, n % 2 == 0);
    }
    lab.engine.close(flooded);
    lab.run(0.2);
    assert_eq!(lab.happened[0], Event::Overload { call: flooded });
    assert!(
        matches!(lab.happened[1..], [Event::Closed { call, .. }] if call == flooded),
        "{:?}",
        lab.happened
    );
    lab.engine.play(other, 5, vec![clip(500.0, 0.1)]);
    lab.run(0.4);
    assert_eq!(lab.happened[2..], [Event::Played { call: other, playback: 5 }]);
}

#[test]
fn ports_run_out_and_rest() {
    let _turn = alone();
    let settings = Settings {
        address: [127, 0, 0, 1].into(),
        address_v6: None,
        ports: 25_991..=25_999,
        threads: Some(1),
        busy_max: 100,
        rate_max: Rate::Wide,
    };
    let (engine, mut events) = Engine::start(&settings).unwrap();
    let mut opened = Vec::new();
    for call in 0..4 {
        let address = engine.open(CallId::numbered(call)).unwrap();
        assert!(address.port() % 2 == 0 && (25_992..=25_998).contains(&address.port()));
        assert!(!opened.contains(&address));
        opened.push(address);
    }
    assert!(matches!(engine.open(CallId::numbered(9)), Err(Error::PortsUsedUp)));
    assert!(matches!(engine.open(CallId::numbered(0)), Err(Error::OpenAlready(_))));
    engine.close(CallId::numbered(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let closed = runtime.block_on(events.next());
    assert!(matches!(closed, Event::Closed { call, .. } if call == CallId::numbered(0)));
    assert!(matches!(engine.open(CallId::numbered(9)), Err(Error::PortsUsedUp)), "it rests");

    let none = Settings { ports: 25_999..=25_999, ..settings };
    assert!(matches!(Engine::start(&none), Err(Error::NoPorts(..))));
}
