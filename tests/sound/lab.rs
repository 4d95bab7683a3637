//! An engine and phones with a tone each, on one clock.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use doorline::audio::goertzel::{amplitude_at, tone, tone_at};
use doorline::audio::{Clip, Codec, Decoder, Encoder, FRAME, Rate};
use doorline::media::{Engine, Event, Events, LegSettings, Settings};
use doorline::rtp::packet::{Header, Packet};
use doorline::rtp::telephone_event::Sender;
use doorline::types::{CallId, Digit, MeetingId};

/// One test at a time: they all need the clock.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A caller: says a tone, writes down what it hears.
pub struct Phone {
    pub call: CallId,
    pub socket: UdpSocket,
    pub engine: SocketAddr,
    pub codec: Codec,
    pub encoder: Encoder,
    pub decoder: Decoder,
    pub frequency: f64,
    pub loudness: f64,
    pub speaks: bool,
    pub sequence: u16,
    pub clock: u32,
    /// Samples heard; what was lost is left out.
    pub heard: Vec<i16>,
    /// Sequence numbers heard.
    pub numbers: Vec<u16>,
    pub sent: u64,
    pub keys: Option<Sender>,
}

pub const EVENTS: u8 = 101;

impl Phone {
    pub fn tick(&mut self) {
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

    pub fn send(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8]) {
        let mut bytes = vec![0; 12];
        bytes.extend_from_slice(payload);
        Header { payload_type, marker, sequence: self.sequence, timestamp, ssrc: 4_711 }.write(&mut bytes);
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send_to(&bytes, self.engine).unwrap();
        self.sent += 1;
    }

    pub fn listen(&mut self) {
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

    pub fn last(&self, seconds: f64) -> &[i16] {
        let count = (seconds * self.codec.rate().hz() as f64) as usize;
        assert!(self.heard.len() >= count, "heard only {} samples", self.heard.len());
        &self.heard[self.heard.len() - count..]
    }

    pub fn hears(&self, frequency: f64) -> f64 {
        amplitude_at(self.codec.rate().hz(), self.last(0.5), frequency)
    }

    pub fn press(&mut self, key: char) {
        self.keys = Some(Sender::new(Digit::from_char(key).unwrap(), self.clock, 800));
    }
}

pub struct Lab {
    pub engine: Engine,
    pub events: Events,
    pub phones: Vec<Phone>,
    pub happened: Vec<Event>,
    pub talked: Vec<(CallId, bool)>,
    pub deadline: Instant,
    /// Ticks that came more than 8 ms late, by the machine's fault.
    pub late: usize,
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    pub fn new(threads: usize) -> Self {
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
    pub fn call(&mut self) -> usize {
        self.call_with([Codec::Pcmu, Codec::Pcma][self.phones.len() % 2])
    }

    pub fn call_with(&mut self, codec: Codec) -> usize {
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

    pub fn settings(&self, number: usize) -> LegSettings {
        let phone = &self.phones[number];
        LegSettings::plain(phone.codec, phone.socket.local_addr().unwrap())
    }

    /// A port of its own for the phone's RTCP; how long one waits there for a report.
    pub fn control_port(&self, number: usize, patience: Duration) -> UdpSocket {
        let control = UdpSocket::bind("127.0.0.1:0").unwrap();
        control.set_read_timeout(Some(patience)).unwrap();
        let remote_rtcp = Some(control.local_addr().unwrap());
        let settings = LegSettings { remote_rtcp, ..self.settings(number) };
        self.engine.configure(self.phones[number].call, settings);
        control
    }

    pub fn join(&self, number: usize, room: u128) {
        self.engine.join(self.phones[number].call, MeetingId::numbered(room));
    }

    pub fn run(&mut self, seconds: f64) {
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
    pub fn engine_late(&self) -> usize {
        self.engine.figures().iter().map(|worker| worker.lateness[6..].iter().sum::<u64>() as usize).sum()
    }

    pub fn assert_hears(&self, number: usize, others: &[usize]) {
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

    pub fn digits(&self, number: usize) -> String {
        let call = self.phones[number].call;
        let keys = self.happened.iter().filter_map(|event| match event {
            Event::Digit { call: from, digit } if *from == call => Some(digit.as_char()),
            _ => None,
        });
        keys.collect()
    }
}

pub fn clip(frequency: f64, seconds: f64) -> Arc<Clip> {
    Arc::new(Clip::new(tone(frequency, 5_000.0, 0, (seconds * 8_000.0) as usize).collect()))
}
