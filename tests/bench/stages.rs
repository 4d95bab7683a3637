//! What each stage of a leg's tick costs, without the others.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use doorline::audio::g711::Law;
use doorline::audio::goertzel::{tone, tone_at};
use doorline::audio::resample::{Down, Up};
use doorline::audio::{
    Codec, Conference, Converter, Decoder, Denoiser, Encoder, FRAME, Leg, LegSettings, Rate, Seed, Together,
    g722, level, mixer,
};
use doorline::media::socket::{self, Inbox};
use doorline::rtp::packet::Header;
use doorline::rtp::srtp::TRAILER_MAX;
use doorline::rtp::{DATAGRAM_MAX, Moment, Srtp};
use doorline::types::{MediaKey, MediaKeys, Suite};

const LEGS: usize = 900;
const TICKS: usize = 400;

pub fn print() {
    let (socket_in, socket_out) = sockets();
    line("socket in", socket_in);
    let (received, spoken) = receive_and_speak();
    line("packet to jitter buffer", received);
    line("jitter buffer to frame (decode, level)", spoken);
    let conference = conference();
    line("mix, encode, header (rest of the tick)", conference - received - spoken);
    let samples: Vec<i16> = tone(500.0, 6_000.0, 0, FRAME).collect();
    let own = samples.clone();
    let mut sum = [0; FRAME];
    mixer::add(&mut sum, &own);
    let mut out = [0; FRAME];
    line("  of it: one private mix", time(|| mixer::heard_without(black_box(&sum), &own, &mut out)));
    let mut codes = [0; FRAME];
    line("  of it: one encoding", time(|| Law::Mu.encode(black_box(&samples), &mut codes)));
    line("  (one decoding)", time(|| Law::Mu.decode(black_box(&codes), &mut out)));
    line(
        "  (one level)",
        time(|| {
            black_box(level::peak(black_box(&samples)));
        }),
    );
    let wide: Vec<i16> = tone_at(16_000, 500.0, 6_000.0, 0, Rate::Wide.frame()).collect();
    let mut wide_out = [0; Rate::Wide.frame()];
    let (mut up, mut down) = (Up::default(), Down::default());
    line("  (8 to 16 kHz)", time(|| up.process(black_box(&samples), &mut wide_out)));
    line("  (16 to 8 kHz)", time(|| down.process(black_box(&wide), &mut out)));
    let mut full = [0; Rate::Full.frame()];
    let mut converters = [Converter::default(), Converter::default()];
    line(
        "  (16 to 48 kHz)",
        time(|| converters[0].process(Rate::Wide, Rate::Full, black_box(&wide), &mut full)),
    );
    line(
        "  (48 to 16 kHz)",
        time(|| converters[1].process(Rate::Full, Rate::Wide, black_box(&full), &mut wide_out)),
    );
    let (mut encoder, mut decoder) = (Encoder::new(Codec::G722), Decoder::new(Codec::G722));
    let mut denoiser = Denoiser::default();
    let mut noisy = wide.clone();
    line(
        "  (noise suppression, 16 kHz)",
        time(|| {
            noisy.copy_from_slice(black_box(&wide));
            denoiser.process(Rate::Wide, &mut noisy);
        }),
    );
    line("  (one G.722 encoding)", time(|| encoder.encode(black_box(&wide), &mut codes)));
    line("  (one G.722 decoding)", time(|| decoder.decode(black_box(&codes), &mut wide_out)));
    let (mut encodings, mut decodings) = (g722::Encodings::default(), g722::Decodings::default());
    let sound: g722::Sound = wide[..].try_into().expect("a wide frame");
    let (encoder, decoder) = (g722::Encoder::default(), g722::Decoder::default());
    line(
        "  (eight G.722 encodings)",
        time(|| {
            (0..8).for_each(|n| _ = encodings.add(n, &encoder, black_box(&sound)));
            encodings.run(|_, _, codes| _ = black_box(codes));
        }),
    );
    line(
        "  (eight G.722 decodings)",
        time(|| {
            (0..8).for_each(|n| _ = decodings.add(n, &decoder, black_box(&codes)));
            decodings.run(|_, _, sound| _ = black_box(sound));
        }),
    );
    let mut payload = [0; FRAME];
    for (name, rate, sound) in [
        ("  (one Opus encoding, 16 kHz)", Rate::Wide, &wide[..]),
        ("  (one Opus encoding, 48 kHz)", Rate::Full, &full[..]),
    ] {
        let mut encoder = Encoder::default();
        encoder.begin_at(Codec::Opus, rate);
        line(name, time(|| encoder.encode(black_box(sound), &mut payload)));
    }
    line("socket out", socket_out);
    let sum = socket_in + conference + socket_out;
    line("sum", sum);
    encryption(sum);
}

/// What SRTP adds to a leg's tick: one packet opened and one protected.
fn encryption(plain: f64) {
    println!();
    println!(
        "{:<30} {:>8} {:>8} {:>12} {:>22}",
        "SRTP, µs", "protect", "open", "leg's tick", "plain is of it"
    );
    for suite in Suite::ALL {
        let (protect, open) = srtp(suite);
        let sum = plain + protect + open;
        let share = 100.0 * plain / sum;
        let name = suite.name();
        println!("{name:<30} {protect:>8.3} {open:>8.3} {sum:>12.3} {share:>10.0} % (target: 80)");
    }
}

/// Per packet of 160 bytes of sound, over many legs with keys of their own: cold caches, as in a tick.
fn srtp(suite: Suite) -> (f64, f64) {
    let key = |leg: usize| {
        let bytes = std::array::from_fn(|n| (leg >> (8 * (n % 4))) as u8 ^ n as u8);
        MediaKey::from_random(suite, bytes)
    };
    let mut legs: Vec<Box<Srtp>> =
        (0..LEGS).map(|leg| Box::new(Srtp::new(&MediaKeys { ours: key(leg), theirs: key(leg) }))).collect();
    let (mut protecting, mut opening) = (Duration::ZERO, Duration::ZERO);
    let mut room = [0; DATAGRAM_MAX];
    for tick in 0..TICKS {
        let packet = packet(tick);
        let mut packets = vec![[0_u8; 12 + FRAME + TRAILER_MAX]; LEGS];
        packets.iter_mut().for_each(|room| room[..packet.len()].copy_from_slice(&packet));
        let begun = Instant::now();
        let mut length = 0;
        for (leg, packet) in legs.iter_mut().zip(&mut packets) {
            length = leg.sender.protect(packet, 12 + FRAME);
        }
        let protected = Instant::now();
        for (leg, packet) in legs.iter_mut().zip(&packets) {
            assert!(black_box(leg.open(&packet[..length], &mut room)).is_ok());
        }
        protecting += protected - begun;
        opening += protected.elapsed();
    }
    (per_leg(protecting), per_leg(opening))
}

fn line(what: &str, us: f64) {
    println!("{what:<42} {us:>8.3}");
}

/// Microseconds of one call, over many.
fn time(mut what: impl FnMut()) -> f64 {
    const CALLS: u32 = 50_000;
    let begun = Instant::now();
    (0..CALLS).for_each(|_| what());
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
}

fn peer() -> SocketAddr {
    "127.0.0.1:4000".parse().unwrap()
}

fn legs() -> Vec<Option<Box<Leg>>> {
    (0..LEGS)
        .map(|n| {
            let seed = Seed { ssrc: n as u32, spread: n as u32, ..Seed::default() };
            let mut leg = Leg::new(seed, Moment::default());
            let settings = LegSettings::plain(Codec::Pcmu, peer());
            leg.configure(settings, Moment::default());
            leg.enter_room();
            Some(Box::new(leg))
        })
        .collect()
}

fn packet(tick: usize) -> [u8; 12 + FRAME] {
    let mut packet = [0; 12 + FRAME];
    let sound: Vec<i16> = tone(500.0, 6_000.0, 0, FRAME).collect();
    Law::Mu.encode(&sound, &mut packet[12..]);
    let header = Header {
        payload_type: 0,
        marker: false,
        sequence: tick as u16,
        timestamp: (tick * FRAME) as u32,
        ssrc: 1,
    };
    header.write(&mut packet);
    packet
}

fn at(tick: usize) -> Moment {
    Moment::new(0, Duration::from_millis(20 * tick as u64))
}

fn per_leg(total: Duration) -> f64 {
    total.as_secs_f64() * 1e6 / (LEGS * TICKS) as f64
}

fn receive_and_speak() -> (f64, f64) {
    let mut legs = legs();
    let (mut receiving, mut speaking) = (Duration::ZERO, Duration::ZERO);
    for tick in 0..TICKS {
        let packet = packet(tick);
        let begun = Instant::now();
        for leg in legs.iter_mut().flatten() {
            leg.receive(&packet, peer(), at(tick));
        }
        let received = Instant::now();
        for leg in legs.iter_mut().flatten() {
            black_box(leg.speak(Rate::Narrow, false, at(tick)));
        }
        receiving += received - begun;
        speaking += received.elapsed();
    }
    (per_leg(receiving), per_leg(speaking))
}

/// Everything but the sockets.
fn conference() -> f64 {
    let mut legs = legs();
    let mut rooms: Vec<_> = (0..LEGS as u32 / 3)
        .map(|room| (Conference::default(), [3 * room, 3 * room + 1, 3 * room + 2]))
        .collect();
    let mut together = Together::default();
    let mut total = Duration::ZERO;
    let mut sent = 0;
    for tick in 0..TICKS {
        let packet = packet(tick);
        let begun = Instant::now();
        for (conference, members) in &mut rooms {
            for &member in members.iter() {
                let leg = legs[member as usize].as_mut().unwrap();
                leg.receive(&packet, peer(), at(tick));
            }
            conference.tick(members, &mut legs, at(tick), &mut together, |leg: &mut Leg, payload| {
                leg.packets(payload, |packet| {
                    black_box(packet);
                });
                sent += 1;
            });
        }
        total += begun.elapsed();
    }
    assert_eq!(sent, LEGS * TICKS);
    per_leg(total)
}

/// One datagram in, one out, over loopback; the other side's share is not counted.
fn sockets() -> (f64, f64) {
    let pairs: Vec<_> = (0..LEGS)
        .map(|_| {
            let [here, there] = [0, 1].map(|_| socket::bind("127.0.0.1:0".parse().unwrap()).unwrap());
            here.connect(there.local_addr().unwrap()).unwrap();
            there.connect(here.local_addr().unwrap()).unwrap();
            (here, there)
        })
        .collect();
    let mut inbox = Inbox::default();
    let (mut coming, mut going) = (Duration::ZERO, Duration::ZERO);
    for tick in 0..TICKS {
        let packet = packet(tick);
        for (_, there) in &pairs {
            there.send(&packet).unwrap();
        }
        let begun = Instant::now();
        for (here, there) in &pairs {
            let from = there.local_addr().ok();
            black_box(inbox.drain(here, from, |bytes, _, _| {
                black_box(bytes);
            }));
        }
        let received = Instant::now();
        for (here, _) in &pairs {
            here.send(&packet).unwrap();
        }
        coming += received - begun;
        going += received.elapsed();
        for (_, there) in &pairs {
            there.recv(&mut [0; 1_500]).unwrap();
        }
    }
    (per_leg(coming), per_leg(going))
}
