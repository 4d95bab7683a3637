//! Legs of the engine in rooms, or of an echo, and what one window with their callers shows.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use doorline::audio::{Codec, Rate};
use doorline::media::socket::{self, Inbox};
use doorline::media::{Engine, Error, Events, Figures, LegSettings, PHASES, Settings, SoundSettings};
use doorline::rtp::Srtp;
use doorline::types::{CallId, MediaKey, MediaKeys, MeetingId, OpusWishes, Suite};

use crate::callers::{Callers, SETTLE, Says, Talk};
use crate::{CALLERS, SHARE, before_others};

/// Who is in a room, how many of them talk, and how.
#[derive(Clone, Copy)]
pub struct Scene {
    pub room: usize,
    pub talkers: usize,
    /// The legs have them in turn.
    pub codecs: &'static [Codec],
    pub suite: Option<Suite>,
    /// Of rooms, as far as codecs go.
    pub rate: Rate,
}

impl Default for Scene {
    fn default() -> Self {
        Self { room: 3, talkers: usize::MAX, codecs: &[Codec::Pcmu], suite: None, rate: Rate::Wide }
    }
}

impl Scene {
    fn talks(&self, leg: usize) -> bool {
        leg % self.room < self.talkers
    }

    /// What a leg's sound is coded at.
    fn rate_of(&self, codec: Codec) -> Rate {
        if codec == Codec::Opus { self.rate.max(Rate::Wide) } else { codec.rate() }
    }

    pub fn says(&self, legs: usize) -> Vec<Says> {
        let srtp = |leg| self.suite.map(|suite| Box::new(Srtp::new(&keys(suite, leg, false))));
        let codec = |leg: usize| self.codecs[leg % self.codecs.len()];
        (0..legs)
            .map(|leg| Says::new(codec(leg), self.rate_of(codec(leg)), leg, self.talks(leg), srtp(leg)))
            .collect()
    }
}

/// One key for each way of each leg.
fn keys(suite: Suite, leg: usize, service: bool) -> MediaKeys {
    let key = |way: u8| {
        MediaKey::from_random(suite, std::array::from_fn(|n| (leg >> (8 * (n % 4))) as u8 ^ n as u8 ^ way))
    };
    let (ours, theirs) = if service { (1, 2) } else { (2, 1) };
    MediaKeys { ours: key(ours), theirs: key(theirs) }
}

pub struct Trial {
    pub legs: usize,
    /// The share of its packets that the worst-served leg got.
    pub least: f64,
    /// Processor time of the service per packet that went out.
    pub cost_us: f64,
    /// Legs that hear whom they should, and nobody else; `None`: an echo.
    pub hear_all: Option<usize>,
    /// What 99.9 % of the phases were not later than, from when all legs were there.
    pub late: Option<Duration>,
}

impl Trial {
    pub fn is_good(&self) -> bool {
        self.least >= SHARE && self.hear_all.is_none_or(|hear| hear == self.legs)
    }
}

pub fn run_echo(legs: usize, window: Duration) -> Trial {
    let callers = Callers::new(CALLERS);
    let sockets: Vec<(UdpSocket, SocketAddr)> = (0..legs)
        .map(|leg| {
            let socket = socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let peer = callers.address_for(leg);
            socket.connect(peer).unwrap();
            (socket, peer)
        })
        .collect();
    let addresses: Vec<SocketAddr> = sockets.iter().map(|(socket, _)| socket.local_addr().unwrap()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let server = {
        let stop = stop.clone();
        std::thread::Builder::new().name("echo".to_owned()).spawn(move || echo(&sockets, &stop)).unwrap()
    };
    let mut says = Scene::default().says(legs);
    let talk = callers.talk(&addresses, &mut says, &[], SETTLE, window, "echo");
    stop.store(true, Relaxed);
    server.join().unwrap();
    trial(&talk, None, None)
}

/// The tick of the media threads with nothing in it: the same phases, the same system calls.
fn echo(sockets: &[(UdpSocket, SocketAddr)], stop: &AtomicBool) {
    before_others();
    let mut inbox = Inbox::default();
    let mut deadline = Instant::now();
    let part = sockets.len().div_ceil(PHASES);
    for phase in (0..PHASES).cycle() {
        deadline += Duration::from_micros(20_000 / PHASES as u64);
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
        if deadline.elapsed() > Duration::from_millis(100) {
            deadline = Instant::now();
        }
        if stop.load(Relaxed) {
            return;
        }
        for (socket, peer) in sockets.iter().skip(phase * part).take(part) {
            inbox.drain(socket, Some(*peer), |packet, _, _| {
                let _ = socket.send(packet);
            });
        }
    }
}

pub fn run_engine(legs: usize, scene: Scene, window: Duration) -> Trial {
    let callers = Callers::new(CALLERS);
    let (engine, events) = start(scene.rate);
    let mut says = scene.says(legs);
    let addresses = fill(&engine, &callers, &says, scene, 0);
    let before = engine.figures();
    let talk = callers.talk(&addresses, &mut says, &[], SETTLE, window, "media-0");
    // What is encrypted, or comes from an encoder that remembers, is counted and not listened to.
    let is_read = scene.suite.is_none() && scene.codecs == [Codec::Pcmu];
    let hear_all = is_read.then(|| who_hears_all(&talk, scene));
    let late = late(&before[0], &engine.figures()[0]);
    drop((engine, events));
    trial(&talk, hear_all, late)
}

/// What 99.9 % of the phases between two readings were not later than.
pub fn late(before: &Figures, after: &Figures) -> Option<Duration> {
    let lateness = std::array::from_fn(|n| after.lateness[n] - before.lateness[n]);
    Figures { lateness, ..Figures::default() }.lateness_quantile(0.999)
}

/// How many hear whom they should, and nobody else.
fn who_hears_all(talk: &Talk, scene: Scene) -> usize {
    let talks = |leg: usize| scene.talks(leg);
    talk.heard
        .iter()
        .enumerate()
        .filter(|(leg, heard)| {
            let room = leg - leg % scene.room;
            // Larger rooms than the tones can tell apart: only that somebody is heard.
            if scene.room > 3 && scene.talkers > 3 {
                return heard.loudest() > 3_000;
            }
            (room..room + 3.min(scene.room))
                .all(|other| heard.hears(other) == (other != *leg && talks(other)))
        })
        .count()
}

fn trial(talk: &Talk, hear_all: Option<usize>, late: Option<Duration>) -> Trial {
    let Talk { heard, took, busy, .. } = talk;
    let due = took.as_secs_f64() * 50.0;
    let least = heard.iter().map(|heard| heard.packets).min().unwrap_or(0);
    // A packet more or less may fall to either side of the window's edges.
    let least = ((f64::from(least) + 1.0) / due).min(1.0);
    let packets: u32 = heard.iter().map(|heard| heard.packets).sum();
    let cost_us = busy.as_secs_f64() * 1e6 / f64::from(packets.max(1));
    Trial { legs: heard.len(), least, cost_us, hear_all, late }
}

pub fn start(rate_max: Rate) -> (Engine, Events) {
    Engine::start(&Settings {
        address: [127, 0, 0, 1].into(),
        ports: 10_000..=31_999,
        threads: Some(1),
        address_v6: None,
        busy_max: 100,
        rate_max,
    })
    .unwrap()
}

/// Opens and joins legs from number `first` on, slowly enough for the order ring.
pub fn fill(
    engine: &Engine,
    callers: &Callers,
    says: &[Says],
    scene: Scene,
    first: usize,
) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for (place, says) in says.iter().enumerate() {
        let (leg, codec) = (first + place, says.codec());
        let call = CallId::numbered(leg as u128 + 1);
        let address = loop {
            match engine.open(call) {
                Ok(address) => break address,
                Err(Error::Overload) => std::thread::sleep(Duration::from_millis(6)),
                Err(error) => panic!("leg {leg}: {error}"),
            }
        };
        let hz = scene.rate_of(codec).hz() as u32;
        engine.configure(
            call,
            LegSettings {
                srtp: scene.suite.map(|suite| Box::new(Srtp::new(&keys(suite, place, true)))),
                // As most phones have it: listeners share one stream.
                sound: SoundSettings {
                    rate_max: scene.rate,
                    opus: OpusWishes {
                        repairs: true,
                        playback_rate: hz,
                        capture_rate: hz,
                        ..OpusWishes::default()
                    },
                    ..SoundSettings::default()
                },
                ..LegSettings::plain(codec, callers.address_for(leg))
            },
        );
        // Ids as real ones are: random below.
        let id = (first + place / scene.room + 1) as u128;
        engine.join(call, MeetingId::numbered(id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)));
        addresses.push(address);
        if leg % 200 == 199 {
            std::thread::sleep(Duration::from_millis(12));
        }
    }
    std::thread::sleep(Duration::from_millis(50));
    addresses
}
