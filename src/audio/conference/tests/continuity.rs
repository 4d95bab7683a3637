//! Nothing breaks off: a tone through jitter buffer, mix and codecs for minutes, whatever the peer's clock does.

use super::*;
use crate::audio::Converter;

const LOUD: f64 = 8_000.0;
/// Five minutes.
const MINUTES: usize = 15_000;

/// The largest difference between two periods of 1 kHz that both codecs make of it by themselves.
fn codecs_alone(speaker: &Caller, listener: &Caller) -> i32 {
    let (from, to) = (speaker.rate, listener.rate);
    let (speaker, listener) = (speaker.codec, listener.codec);
    let (mut said, mut heard) =
        ([Encoder::new(speaker), Encoder::new(listener)], [Decoder::new(speaker), Decoder::new(listener)]);
    for (n, codec, rate) in [(0, speaker, from), (1, listener, to)] {
        said[n].begin_at(codec, rate);
        heard[n].begin_at(codec, rate);
    }
    let mut converter = Converter::default();
    let mut out = Vec::new();
    for frame in 0..500 {
        let mut codes = [0; FRAME];
        let packet = |codec, codes: &[u8; FRAME]| match codec {
            Codec::Opus => opus::packet(codes).to_vec(),
            _ => codes.to_vec(),
        };
        let sound: Vec<i16> = tone_at(from.hz(), 1_000.0, LOUD, frame * from.frame(), from.frame()).collect();
        said[0].encode(&sound, &mut codes);
        let mut sound = vec![0; from.frame()];
        heard[0].decode(&packet(speaker, &codes), &mut sound);
        let mut other = vec![0; to.frame()];
        converter.process(from, to, &sound, &mut other);
        said[1].encode(&other, &mut codes);
        let mut sound = vec![0; to.frame()];
        heard[1].decode(&packet(listener, &codes), &mut sound);
        out.extend(sound);
    }
    breaks(&out[60 * to.frame()..], to)
}

fn breaks(sound: &[i16], rate: Rate) -> i32 {
    let period = rate.hz() / 1_000;
    let windows = sound.windows(period + 1);
    windows.map(|window| (i32::from(window[period]) - i32::from(window[0])).abs()).max().unwrap()
}

/// One says a tone, the others listen.
fn one_speaks(speaker: Codec, listeners: &[Codec], frequency: f64) -> Room {
    let mut room = Room::with([speaker].into_iter().chain(listeners.iter().copied()));
    (1..=listeners.len()).for_each(|caller| room.leg(caller).mute(true));
    room.callers[0].frequency = frequency;
    room.loudness = LOUD;
    room
}

/// The longest time, in pieces of 5 ms, that the tone is less than half as loud as it should be.
fn longest_gap_ms(room: &Room, caller: usize, since: usize) -> usize {
    let Caller { rate, heard, .. } = &room.callers[caller];
    let (mut longest, mut now) = (0, 0);
    for piece in heard[since * rate.frame()..].chunks_exact(rate.fade()) {
        let there = amplitude_at(rate.hz(), piece, room.callers[0].frequency) > LOUD / 2.0;
        now = if there { 0 } else { now + 5 };
        longest = longest.max(now);
    }
    longest
}

#[test]
fn five_minutes_of_1_khz_have_no_step_that_the_codecs_do_not_explain() {
    // One minute where Opus, which takes long, is among them.
    let rooms =
        [(&Codec::BYTEWISE[..], &Codec::BYTEWISE[..], MINUTES), (&[Codec::Opus], &Codec::ALL, MINUTES / 5)];
    let rooms = rooms.into_iter().chain([(&Codec::BYTEWISE[..], &[Codec::Opus][..], MINUTES / 5)]);
    let rooms = rooms.flat_map(|(speakers, listeners, ticks)| {
        speakers.iter().map(move |&speaker| (speaker, listeners, ticks))
    });
    for (speaker, listeners, ticks) in rooms {
        let mut room = one_speaks(speaker, listeners, 1_000.0);
        room.run(ticks);
        for caller in 1..=listeners.len() {
            let listener = room.callers[caller].codec;
            let alone = codecs_alone(&room.callers[0], &room.callers[caller]);
            let got = room.largest_break(caller, 60);
            println!("{speaker:?} to {listener:?}: {got}, the codecs alone {alone}");
            assert!(got <= alone + alone / 2 + 100, "{speaker:?} to {listener:?}: {got} for {alone}");
        }
        assert_eq!(room.leg(0).quality().concealed, 0.0, "{speaker:?}");
    }
}

#[test]
fn a_minute_of_1_khz_in_a_full_room_has_no_step_that_the_codecs_do_not_explain() {
    let all = || [Caller::full(0), Caller::new(0, Codec::G722), Caller::new(0, Codec::Pcma)];
    for speaker in all() {
        let listeners =
            all().into_iter().enumerate().map(|(n, caller)| Caller { frequency: 500.0 + n as f64, ..caller });
        let mut room = Room::with_callers(std::iter::once(speaker).chain(listeners).collect(), Rate::Full);
        (1..=3).for_each(|caller| room.leg(caller).mute(true));
        room.callers[0].frequency = 1_000.0;
        room.loudness = LOUD;
        room.run(MINUTES / 5);
        assert_eq!(room.conference.rate(), Rate::Full);
        for caller in 1..=3 {
            let [speaker, listener] = [0, caller].map(|caller| &room.callers[caller]);
            let alone = codecs_alone(speaker, listener);
            let got = room.largest_break(caller, 60);
            let what = format!("{:?} to {:?}", speaker.codec, listener.codec);
            println!("{what}: {got}, the codecs alone {alone}");
            assert!(got <= alone + alone / 2 + 100, "{what}: {got} for {alone}");
        }
        assert_eq!(room.leg(0).quality().concealed, 0.0);
    }
}

#[test]
fn a_clock_that_runs_away_by_200_ppm_costs_one_frame_at_a_time_and_no_delay() {
    for codec in [Codec::Pcmu, Codec::G722, Codec::Opus] {
        for drift_ppm in [-200, 200] {
            // Of the second tone a frame holds half a period more: it is out of phase with the frame before.
            for frequency in [1_000.0, 1_025.0] {
                if codec == Codec::Opus && (frequency > 1_000.0) == (drift_ppm > 0) {
                    continue;
                }
                let mut room = one_speaks(codec, &[Codec::Pcma], frequency);
                room.callers[0].drift_ppm = drift_ppm;
                let (mut before, mut in_row, mut made_up, mut deepest) = (0, 0, 0, 0.0_f32);
                for tick in 1..=MINUTES {
                    room.run(1);
                    let quality = room.leg(0).quality();
                    let concealed = (quality.concealed * tick as f32).round() as usize;
                    in_row = if concealed > before { in_row + 1 } else { 0 };
                    assert!(
                        in_row <= 1,
                        "{codec:?}, {drift_ppm} ppm: more than one frame in a row at {tick}"
                    );
                    made_up += usize::from(concealed > before);
                    before = concealed;
                    deepest = deepest.max(quality.buffer_ms);
                }
                let gap = longest_gap_ms(&room, 1, 60);
                println!(
                    "{codec:?}, {drift_ppm} ppm, {frequency} Hz: {made_up} frames, {gap} ms, {deepest} ms"
                );
                // Opus lets a tone fade that it makes up, and takes two packets to find it again.
                let most = if codec == Codec::Opus { 60 } else { 20 };
                assert!(gap <= most, "{codec:?}, {drift_ppm} ppm: a gap of {gap} ms");
                // The clocks are 60 ms apart in the end: three frames.
                assert!(made_up <= 4, "{codec:?}, {drift_ppm} ppm: {made_up} frames");
                assert!(deepest <= 60.0, "{codec:?}, {drift_ppm} ppm: {deepest} ms of delay");
            }
        }
    }
}

#[test]
fn a_peer_whose_clock_stands_still_is_heard() {
    for codec in Codec::ALL {
        let mut room = one_speaks(codec, &[Codec::Pcma], 1_000.0);
        room.run(100);
        room.callers[0].clock_stands = true;
        room.run(200);
        room.assert_hears(1, &[0]);
        // It goes on from where it stood, or from where it should be by now.
        for catches_up in [false, true] {
            room.callers[0].clock_stands = false;
            if catches_up {
                let missed = 20 * FRAME as u32 * codec.clock_ratio();
                room.callers[0].clock = room.callers[0].clock.wrapping_add(missed);
            }
            room.run(100);
            room.assert_hears(1, &[0]);
            room.callers[0].clock_stands = true;
            room.run(20);
        }
        let gap = longest_gap_ms(&room, 1, 60);
        assert!(gap <= 20, "{codec:?}: a gap of {gap} ms");
        assert!(room.leg(0).quality().buffer_ms <= 60.0, "{:?}", room.leg(0).quality());
    }
}

#[test]
fn a_peer_whose_clock_leaps_or_who_becomes_another_is_heard_again_soon_and_nothing_clicks() {
    for codec in Codec::ALL {
        for leap in [-1_000_000, -4_000, 4_000, 1_000_000, i32::MAX] {
            for new_source in [false, true] {
                let mut room = one_speaks(codec, &[Codec::Pcma], 1_000.0);
                room.run(100);
                let caller = &mut room.callers[0];
                caller.clock = caller.clock.wrapping_add((leap as u32).wrapping_mul(codec.clock_ratio()));
                if new_source {
                    caller.ssrc = 77;
                    caller.sequence = 40_000;
                }
                room.run(60);
                let gap = longest_gap_ms(&room, 1, 60);
                let most = if new_source { 80 } else { 300 };
                assert!(gap <= most, "{codec:?}, a leap of {leap}, new source {new_source}: {gap} ms");
                room.run(40);
                room.assert_hears(1, &[0]);
                // 1 kHz itself has steps of 6,120; Opus overshoots where it finds the tone again.
                let step = room.largest_step(1, 20);
                let most = if codec == Codec::Opus { 12_000 } else { 7_500 };
                assert!(step <= most, "{codec:?}, a leap of {leap}: a step of {step}");
            }
        }
    }
}
