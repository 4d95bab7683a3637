//! The media threads never allocate and never free while they run, and a leg takes little memory: proved by
//! counting.

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use doorline::audio::goertzel::tone;
use doorline::audio::voice::Wishes;
use doorline::audio::{Clip, Codec, Encoder, FRAME, Rate, opus};
use doorline::media::{Engine, Event, LegSettings, Settings, SoundSettings, recording};
use doorline::rtp::Srtp;
use doorline::rtp::packet::Header;
use doorline::rtp::srtp::TRAILER_MAX;
use doorline::types::{CallId, JitterBounds, MediaKey, MediaKeys, MeetingId, OpusWishes, Suite};

/// Counts what threads named `media-…` ask of it, and the bytes that all have taken.
struct Counting;

static ASKED: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicI64 = AtomicI64::new(0);

fn note() {
    let mut name = [0_u8; 16];
    // SAFETY: the kernel writes at most 16 bytes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    if name.starts_with(b"media-") {
        ASKED.fetch_add(1, Relaxed);
    }
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        TAKEN.fetch_add(layout.size() as i64, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note();
        TAKEN.fetch_sub(layout.size() as i64, Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        TAKEN.fetch_add(size as i64 - layout.size() as i64, Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CALLERS: u128 = 12;
/// Who come later, say nothing, and make one thread so full that a room moves away from it.
const SILENT: u128 = 40;

/// What encrypts the sound of a caller.
fn suite(n: u128) -> Option<Suite> {
    Suite::ALL.get(n as usize % 5).copied()
}

fn keys(suite: Suite, ours: u8, theirs: u8) -> MediaKeys {
    let key = |byte| MediaKey::from_random(suite, [byte; MediaKey::LENGTH_MAX]);
    MediaKeys { ours: key(ours), theirs: key(theirs) }
}

#[test]
fn rooms_that_fill_speak_are_played_to_and_empty_again_allocate_nothing_in_the_tick() {
    // The counter counts: a thread of that name that does allocate is seen.
    std::thread::Builder::new()
        .name("media-x".to_owned())
        .spawn(|| drop(std::hint::black_box(Box::new([0_u8; 100]))))
        .unwrap()
        .join()
        .unwrap();
    assert!(ASKED.load(Relaxed) >= 2);

    let (engine, mut events) = Engine::start(&Settings {
        address: [127, 0, 0, 1].into(),
        ports: 26_000..=26_999,
        threads: Some(2),
        address_v6: None,
        busy_max: 100,
        rate_max: Rate::Wide,
    })
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    engine.set_recording(recording::Settings {
        folder: folder.path().to_owned(),
        per_caller: true,
        longest: Duration::from_secs(60),
    });
    let clip = Arc::new(Clip::new(tone(500.0, 4_000.0, 0, 1_000).collect()));
    // Threads allocate while they begin.
    std::thread::sleep(Duration::from_millis(100));
    let before = ASKED.load(Relaxed);

    let mut happened = Vec::new();
    for round in 0..2 {
        let mut phones = Vec::new();
        for n in 0..CALLERS {
            let call = CallId::numbered(100 * round + n);
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            let to = engine.open(call).unwrap();
            let codec = Codec::ALL[n as usize % 4];
            // One is full, so is the room that it is in; another becomes so later.
            let playback_rate = if n == 7 { 48_000 } else { 16_000 };
            let settings = LegSettings {
                latch: n % 3 == 0,
                ptime: Duration::from_millis(10 * (1 + n as u64 % 3)),
                rtcp_mux: n % 2 == 0,
                // Most are encrypted, by all suites.
                srtp: suite(n).map(|suite| Box::new(Srtp::new(&keys(suite, 1, 2)))),
                sound: SoundSettings {
                    jitter: JitterBounds::default(),
                    rate_max: Rate::Full,
                    tones_are_keys: n % 2 == 0 || n == 7,
                    comfort_noise: n % 3 != 1,
                    noise_suppression: n % 8 == 3,
                    opus: OpusWishes { pauses: n % 3 == 0, playback_rate, ..opus::SHARED },
                    voice: Wishes { automatic_gain: true, noise_gate: n % 3 == 0 },
                },
                ..LegSettings::plain(codec, socket.local_addr().unwrap())
            };
            engine.configure(call, settings.clone());
            engine.play_loop(call, clip.clone());
            let peer = suite(n).map(|suite| Srtp::new(&keys(suite, 2, 1)));
            phones.push((call, socket, to, codec, Encoder::new(codec), peer, settings));
        }
        let begun = Instant::now();
        for tick in 0..350_u32 {
            match tick {
                // Some names are whole, some are cut short by the room, some are dropped.
                2 => phones.iter().for_each(|(call, ..)| engine.record_name(*call, Duration::from_secs(1))),
                10 => phones.iter().step_by(3).for_each(|(call, ..)| engine.drop_name(*call)),
                15 => phones.iter().step_by(4).for_each(|(call, ..)| {
                    engine.record_name(*call, Duration::from_secs(30));
                }),
                80 => phones.iter().for_each(|(call, ..)| engine.play_name(*call, 3, phones[1].0, vec![])),
                20 => phones
                    .iter()
                    .for_each(|(call, ..)| engine.play(*call, 1, vec![clip.clone(), clip.clone()])),
                50 => phones.iter().for_each(|(call, ..)| engine.stop_playing(*call)),
                // The room outgrows its list twice.
                60 => phones.iter().for_each(|(call, ..)| engine.join(*call, MeetingId::numbered(1))),
                82 | 90 => engine.record(MeetingId::numbered(1), true),
                85 | 125 => engine.record(MeetingId::numbered(1), false),
                100 => engine.play_to_room(MeetingId::numbered(1), vec![clip.clone()]),
                110 => phones.iter().for_each(|(call, ..)| engine.mute(*call, true)),
                120 => phones.iter().for_each(|(call, ..)| engine.mute(*call, false)),
                // Half of them change rooms, and threads.
                130 | 150 => phones
                    .iter()
                    .step_by(2)
                    .for_each(|(call, ..)| engine.join(*call, MeetingId::numbered(u128::from(tick)))),
                170 => phones.iter().for_each(|(call, ..)| engine.play(*call, 2, vec![clip.clone()])),
                200 => phones.iter().take(4).for_each(|(call, ..)| engine.leave(*call)),
                // Re-INVITEs: the same keys, others, and back.
                220 | 240 | 260 => {
                    phones.iter_mut().enumerate().for_each(|(n, (call, .., peer, settings))| {
                        let theirs = if tick == 240 { 3 } else { 2 };
                        let Some(suite) = suite(n as u128) else { return };
                        if n == 3 {
                            settings.sound.opus.playback_rate = if tick == 240 { 48_000 } else { 16_000 };
                        }
                        settings.srtp = Some(Box::new(Srtp::new(&keys(suite, 1, theirs))));
                        engine.configure(*call, settings.clone());
                        *peer = Some(Srtp::new(&keys(suite, theirs, 1)));
                    })
                }
                265 => (0..SILENT).for_each(|n| {
                    let call = CallId::numbered(10_000 + SILENT * round + n);
                    engine.open(call).unwrap();
                    engine.join(call, MeetingId::numbered(if n < 8 { 201 } else { 202 }));
                }),
                335 => (0..SILENT).for_each(|n| engine.close(CallId::numbered(10_000 + SILENT * round + n))),
                340 => phones.iter().for_each(|(call, ..)| engine.close(*call)),
                _ => {}
            }
            for (n, (_, socket, to, codec, encoder, peer, _)) in phones.iter_mut().enumerate() {
                let mut packet = [0; 12 + FRAME + TRAILER_MAX];
                // A loss now and then, and a key.
                if (tick as usize + n).is_multiple_of(50) {
                    continue;
                }
                let key = (210..215).contains(&tick);
                let payload_type = if key { 101 } else { codec.payload_type() };
                let timestamp = if key { 33_600 } else { tick * 160 } * codec.clock_ratio();
                Header { payload_type, marker: false, sequence: tick as u16, timestamp, ssrc: 5 }
                    .write(&mut packet);
                let mut length = if key {
                    packet[12..16].copy_from_slice(&[n as u8, 0x8a, 0, 160]);
                    16
                } else {
                    let frame = codec.rate().frame();
                    let sound: Vec<i16> = tone(300.0, 9_000.0, tick as usize * frame, frame).collect();
                    encoder.encode(&sound, &mut packet[12..12 + FRAME]);
                    if *codec == Codec::Opus {
                        let length = opus::packet(&packet[12..12 + FRAME]).len();
                        packet.copy_within(13..13 + length, 12);
                        12 + length
                    } else {
                        12 + FRAME
                    }
                };
                if let Some(peer) = peer {
                    length = peer.sender.protect(&mut packet, length);
                }
                socket.send_to(&packet[..length], *to).unwrap();
                // Something that is no RTP, too.
                socket.send_to(b"GET / HTTP/1.0", *to).unwrap();
                while socket.recv(&mut [0; 1_500]).is_ok() {}
            }
            while let Some(event) = events.try_next() {
                happened.push(event);
            }
            let next = begun + Duration::from_millis(20) * (tick + 1);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
    let after = ASKED.load(Relaxed);

    // It was really at work.
    let count = |wanted: fn(&Event) -> bool| happened.iter().filter(|event| wanted(event)).count();
    assert_eq!(count(|event| matches!(event, Event::Closed { .. })), 2 * (CALLERS + SILENT) as usize);
    assert_eq!(count(|event| matches!(event, Event::Played { .. })), 6 * CALLERS as usize);
    assert_eq!(count(|event| matches!(event, Event::Digit { .. })), 2 * CALLERS as usize);
    let encrypted = |event: &&Event| matches!(event, Event::Closed { quality, .. } if quality.srtp.is_some());
    assert_eq!(happened.iter().filter(encrypted).count(), 2 * (CALLERS as usize - 2));
    let understood = |event: &Event| {
        !matches!(event, Event::Closed { call, quality }
            if quality.packets_received < 300 && *call < CallId::numbered(10_000))
    };
    assert!(happened.iter().all(understood), "{happened:?}");
    assert_eq!(count(|event| matches!(event, Event::RecordingEnded { .. })), 4);
    let figures = engine.figures();
    assert!(
        figures.iter().all(|worker| worker.packets_in > 1_000 && worker.packets_out > 1_000),
        "{figures:?}"
    );
    assert!(figures.iter().map(|worker| worker.rooms_moved).sum::<u64>() >= 2, "{figures:?}");
    assert_eq!(after - before, 0, "allocations and frees inside the ticks");
}

#[test]
fn a_leg_and_its_part_of_a_room_of_three_take_little_memory() {
    const LEGS: u128 = 150;
    let (engine, mut events) = Engine::start(&Settings {
        address: [127, 0, 0, 1].into(),
        ports: 25_000..=25_999,
        threads: Some(1),
        address_v6: None,
        busy_max: 100,
        rate_max: Rate::Wide,
    })
    .unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut taken = Vec::new();
    // KiB for each leg; Opus has its authors' encoder and decoder, and its room two more encoders.
    for (codec, first, most) in [(Codec::Pcmu, 0, 28), (Codec::G722, 1_000, 28), (Codec::Opus, 2_000, 105)] {
        let before = TAKEN.load(Relaxed);
        for n in 0..LEGS {
            let call = CallId::numbered(first + n);
            engine.open(call).unwrap();
            engine.configure(call, LegSettings::plain(codec, peer));
            engine.join(call, MeetingId::numbered(first + n / 3));
            if n % 50 == 49 {
                std::thread::sleep(Duration::from_millis(30));
            }
        }
        let each = (TAKEN.load(Relaxed) - before) / LEGS as i64;
        println!("{codec:?}: {:.1} KiB", each as f64 / 1_024.0);
        taken.push((codec, each, most * 1_024));
        while let Some(event) = events.try_next() {
            assert!(matches!(event, Event::Measured { .. }), "{event:?}");
        }
    }
    assert!(taken.iter().all(|(_, each, most)| each <= most), "{taken:?}");
}
