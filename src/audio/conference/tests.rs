//! Rooms in virtual time: each caller says a tone of their own and writes down what they hear.

mod continuity;
mod matrix;
mod rates;
mod room;

use std::sync::Arc;

use super::*;
use crate::audio::dtmf;
use crate::audio::goertzel::{amplitude, amplitude_at, tone, tone_at};
use crate::audio::{Clip, Decoder, Encoder, LegSettings, Playback, Seed, SoundSettings};
use crate::rtp::packet::{Header, Packet};
use crate::types::{Digit, OpusWishes};
use room::{Caller, Room, peer};

#[test]
fn everybody_hears_all_others_and_not_themselves() {
    for callers in [1, 2, 3, 5, 12] {
        let mut room = Room::of(callers);
        if callers > 5 {
            room.loudness = 1_500.0;
        }
        room.run(100);
        room.assert_all_hear_all_others();
    }
}

#[test]
fn joins_leaves_mutes_and_holds_change_who_is_heard_and_never_click() {
    let mut room = Room::of(4);
    room.run(100);
    let quiet = (0..4).map(|caller| room.largest_step(caller, 20)).max().unwrap();

    room.leg(1).mute(true);
    room.run(100);
    room.assert_hears(0, &[2, 3]);
    room.assert_hears(1, &[0, 2, 3]);
    room.leg(1).mute(false);
    room.run(100);
    room.assert_hears(0, &[1, 2, 3]);

    room.leave(2);
    room.run(100);
    room.assert_hears(0, &[1, 3]);
    room.assert_hears(2, &[]);
    room.join(2);
    room.run(100);
    room.assert_hears(0, &[1, 2, 3]);
    room.assert_hears(2, &[0, 1, 3]);

    for caller in 0..4 {
        let step = room.largest_step(caller, 20);
        assert!(step <= quiet + quiet / 8, "{caller} heard a step of {step}, {quiet} while nothing changed");
    }
}

#[test]
fn a_prompt_is_heard_by_its_leg_alone_and_stops_nobody() {
    let mut room = Room::of(3);
    room.run(50);
    let prompt = Arc::new(Clip::new(tone(2_500.0, 5_000.0, 0, 16_000).collect()));
    room.leg(0).player.play(Playback::new(Some(1), vec![prompt])).unwrap();
    room.run(100);
    room.assert_hears(1, &[0, 2]);
    room.assert_hears(2, &[0, 1]);
    assert!((room.callers[0].hears(2_500.0, 25) - 5_000.0).abs() < 200.0);
    assert!(room.matrix_row(0, 50)[1] > 0.2, "the room goes on softly underneath");
    for caller in [1, 2] {
        assert!(room.callers[caller].hears(2_500.0, 25) < 50.0);
    }
    room.run(100);
    room.assert_hears(0, &[1, 2]);
    assert_eq!(room.leg(0).player.finished().pop_front().unwrap().id, Some(1));
}

#[test]
fn a_tone_for_the_room_is_heard_by_all() {
    let mut room = Room::of(3);
    for caller in 0..3 {
        room.leg(caller).mute(caller > 0);
    }
    let chime = Arc::new(Clip::new(tone(2_500.0, 5_000.0, 0, 8_000).collect()));
    room.run(50);
    room.conference.player.play(Playback::new(None, vec![chime])).unwrap();
    room.run(50);
    for caller in &room.callers {
        assert!((caller.hears(2_500.0, 25) - 5_000.0).abs() < 200.0);
    }
}

#[test]
fn five_hundred_who_shout_do_not_wrap_around() {
    let mut room = Room::of(500);
    room.loudness = 30_000.0;
    room.run(20);
    for caller in [0, 499] {
        let loudest = room.callers[caller].heard.iter().map(|sample| i32::from(*sample).abs()).max().unwrap();
        assert!((30_000..=32_767).contains(&loudest), "{loudest}");
    }
}

#[test]
fn every_pair_of_codecs_hears_each_other_and_not_itself() {
    for one in Codec::ALL {
        for other in Codec::ALL {
            let mut room = Room::with([one, other, other]);
            room.run(100);
            room.assert_all_hear_all_others();
            // Two listen: one to a private mix, two to what is made once for all.
            room.leg(1).mute(true);
            room.leg(2).mute(true);
            room.run(150);
            room.assert_hears(0, &[]);
            room.assert_hears(1, &[0]);
            room.assert_hears(2, &[0]);
        }
    }
    let mut room = Room::with(Codec::ALL.into_iter().cycle().take(9));
    room.loudness = 1_500.0;
    room.run(100);
    room.assert_all_hear_all_others();
}

#[test]
fn packets_of_any_length_carry_the_sound_both_ways_without_a_break() {
    for codec in Codec::ALL {
        for says in [10, 20, 30, 40, 60] {
            for wants in [10, 20, 30, 40, 60] {
                let mut room = Room::with([codec, Codec::Pcmu]);
                room.callers[0].says = says;
                room.callers[0].wants = wants;
                room.callers[0].frequency = 1_000.0;
                room.configure(0);
                room.run(120);
                room.assert_all_hear_all_others();
                let breaks = room.largest_break(1, 20);
                let most = if codec == Codec::Opus { 600 } else { 250 };
                assert!(breaks < most, "{codec:?} in packets of {says} ms: a break of {breaks}");
                let gap = room.leg(0).quality().concealed;
                assert!(gap < 0.05, "{codec:?} in packets of {says} ms: {gap}");
            }
        }
    }
}

#[test]
fn what_is_above_4_khz_passes_between_wide_legs_and_reaches_no_narrow_one() {
    let mut room = Room::with([Codec::G722, Codec::G722, Codec::Pcmu]);
    (1..3).for_each(|caller| room.leg(caller).mute(true));
    room.loudness = 6_000.0;
    for (frequency, share) in [(5_000.0, 0.9), (6_500.0, 0.9), (7_000.0, 0.7)] {
        room.callers[0].frequency = frequency;
        room.run(100);
        let heard = room.matrix_row(1, 50)[0];
        assert!((share..1.1).contains(&heard), "{frequency} Hz: {heard:.3}");
        let folded = room.callers[2].hears(8_000.0 - frequency, 50);
        assert!(folded < 40.0, "{frequency} Hz comes to the narrow leg as {folded}");
    }
}

#[test]
fn who_begins_and_ceases_to_speak_hears_the_others_without_a_glitch() {
    for listener in Codec::ALL {
        let mut room = Room::with([Codec::G722, listener, listener]);
        room.callers[0].frequency = 1_000.0;
        room.loudness = 8_000.0;
        room.leg(1).mute(true);
        room.leg(2).mute(true);
        room.run(200);
        // Caller 2 listens all the time: what the codec alone makes of the tone.
        let before = room.ticks;
        for muted in [false, true, false, true, false, true, false, true] {
            room.leg(1).mute(muted);
            room.run(60);
        }
        let [speaks, listens] = [1, 2].map(|caller| room.largest_break(caller, before - 50));
        println!("{listener:?}: {speaks} for who speaks now and then, {listens} for who does not");
        // Caller 2 hears caller 1 now and then, caller 1 hears always the same.
        let most = if listener == Codec::Opus { listens + listens / 4 } else { 560 };
        assert!(speaks <= most, "{listener:?}: a break of {speaks}");
    }
}

#[test]
fn who_has_spoken_is_back_with_the_other_listeners_after_the_next_pause() {
    let mut room = Room::with([Codec::G722, Codec::G722, Codec::Pcma]);
    for speaker in [1, 2] {
        room.run(30);
        assert!((1..3).all(|caller| !room.leg(caller).takes_shared_stream()));
        (0..3).for_each(|caller| room.leg(caller).mute(caller != speaker));
        room.run(30);
        // The room is silent for half a second.
        room.leg(speaker).mute(true);
        room.run(25);
        room.leg(0).mute(false);
        room.run(20);
        for caller in 1..3 {
            assert!(room.leg(caller).takes_shared_stream(), "{caller} after {speaker} spoke");
        }
        (0..3).for_each(|caller| room.leg(caller).mute(false));
    }
}

#[test]
fn among_many_nobodys_background_is_heard_and_who_has_nothing_else_shares_the_stream() {
    for (callers, crowded) in [(4, false), (8, true)] {
        for codec in [Codec::G722, Codec::Opus, Codec::Pcmu] {
            let mut room = Room::with(vec![codec; callers]);
            let mut random = 1_u32;
            for listener in &mut room.callers[1..] {
                // The noise of a quiet room, -51 dBm0, while they listen.
                listener.script = (0..5 * listener.rate.hz())
                    .map(|_| {
                        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (((random as i32 >> 16) * 80) >> 15) as i16
                    })
                    .collect();
            }
            room.leg(0).mute(true);
            // It takes two seconds to know noise from speech.
            room.run(150);
            let background = level::dbov(room.callers[0].last(10));
            room.leg(0).mute(false);
            room.run(60);
            let shares = (1..callers).filter(|&listener| {
                let leg = room.leg(listener);
                leg.takes_shared_stream() || codec.law().is_some() && leg.hears_the_room()
            });
            assert_eq!(shares.count(), if crowded { callers - 1 } else { 0 }, "{codec:?}, {callers}");
            assert_eq!(background < -70.0, crowded, "{codec:?}, {callers}: {background:.0} dBov");
            room.assert_hears(1, &[0]);
        }
    }
}

/// Not decoded while it is background: Opus alone can go on after that.
#[test]
fn what_nobody_is_to_hear_is_not_decoded_and_the_next_word_or_noise_is_heard_at_once() {
    let hiss = |level: i32, frames: usize, rate: Rate| {
        let mut random = 1_u32;
        (0..frames * rate.frame()).map(move |_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((random as i32 >> 16) * level) >> 15
        })
    };
    let word = |frames: usize, rate: Rate| {
        (0..frames * rate.frame()).map(move |n| {
            let time = n as f64 / rate.hz() as f64;
            let voice = (1..12).map(|h| (140.0 * std::f64::consts::TAU * f64::from(h) * time).sin());
            (900.0 * voice.sum::<f64>()) as i32
        })
    };
    for full in [false, true] {
        let callers = (0..8).map(|n| if full { Caller::full(n) } else { Caller::new(n, Codec::Opus) });
        let mut room = Room::with_callers(callers.collect(), Rate::Full);
        let rate = room.callers[0].rate;
        room.leg(0).mute(true);
        for listener in &mut room.callers[2..] {
            listener.script = vec![0; 1_000 * rate.frame()];
        }
        // Four seconds of a quiet room, a word, the room again, and a fan.
        room.callers[1].script = hiss(80, 200, rate)
            .chain(word(20, rate))
            .chain(hiss(80, 150, rate))
            .chain(hiss(1_500, 60, rate))
            .map(|sample| sample as i16)
            .collect();
        let mut left_out = [0; 3];
        let mut levels = Vec::new();
        for tick in 0..430 {
            room.run(1);
            for (caller, count) in left_out.iter_mut().enumerate() {
                *count += usize::from((100..200).contains(&tick) && room.leg(caller).was_left_out());
            }
            levels.push(level::dbov(room.callers[2].last(1)));
        }
        let [muted, behind, silent] = left_out;
        assert!(muted == 100 && behind > 85 && silent > 85, "{full}: {left_out:?}");
        let begins = |from: usize, least: f32| (from..).find(|&tick| levels[tick] > least).unwrap() - from;
        // Two frames of delay both ways.
        let (word, fan) = (begins(200, -32.0), begins(370, -50.0));
        assert!(word <= 6, "{full}: {word} ticks");
        assert!(fan <= 24, "{full}: {fan} ticks");
        assert!(levels[190..200].iter().all(|&level| level < -70.0));
        // Who was muted is heard at once.
        room.leg(1).mute(true);
        room.run(10);
        room.leg(0).mute(false);
        room.run(4);
        let loudness = room.callers[2].hears(room.callers[0].frequency, 2) / room.loudness;
        assert!((0.8..1.2).contains(&loudness), "{full}: {loudness}");
        room.run(40);
        room.assert_hears(2, &[0]);
    }
}

#[test]
fn who_sends_back_what_they_hear_is_still_known_for_it_while_muted() {
    let mut room = Room::with([Codec::Opus, Codec::Opus]);
    let rate = room.callers[0].rate.hz();
    let mut random = 1_u32;
    // Words of 0.3 s and pauses, never twice the same, for a minute.
    let words: Vec<i16> = (0..200)
        .flat_map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let loudness = f64::from(random >> 31) * (400.0 + f64::from(random >> 22 & 0x1ff));
            (0..rate * 3 / 10).map(move |n| {
                let time = n as f64 / rate as f64;
                let voice = (1..12).map(|h| (140.0 * std::f64::consts::TAU * f64::from(h) * time).sin());
                (loudness * voice.sum::<f64>()) as i16
            })
        })
        .collect();
    let back = words.iter().map(|sample| sample / 3);
    room.callers[1].script = std::iter::repeat_n(0, rate / 5).chain(back).collect();
    room.callers[0].script = words;
    let mut told = Vec::new();
    let mut run = |room: &mut Room, ticks: usize| {
        for _ in 0..ticks {
            room.run(1);
            told.extend(room.leg(1).take_echo());
        }
        told.clone()
    };
    assert_eq!(run(&mut room, 900), [true]);
    room.leg(1).mute(true);
    assert_eq!(run(&mut room, 1_500), [true], "nothing says that it is cured");
    assert!(room.leg(1).was_left_out());
}

#[test]
fn listeners_with_opus_share_one_encoder_and_are_back_after_half_a_second() {
    let mut room = Room::with([Codec::Opus, Codec::Opus, Codec::Opus, Codec::Pcmu]);
    (1..4).for_each(|caller| room.leg(caller).mute(true));
    room.run(60);
    assert!((1..3).all(|caller| room.leg(caller).takes_shared_stream()));
    room.leg(1).mute(false);
    room.run(30);
    assert!(!room.leg(1).takes_shared_stream() && room.leg(2).takes_shared_stream());
    room.leg(1).mute(true);
    room.run(40);
    assert!(room.leg(1).takes_shared_stream());
    (0..3).for_each(|caller| room.leg(caller).mute(false));
    room.run(100);
    room.assert_all_hear_all_others_of(&[0, 1, 2]);
}

#[test]
fn a_listener_who_wishes_it_is_sent_nothing_while_nobody_speaks_and_hears_the_next_word() {
    let mut room = Room::with([Codec::Opus, Codec::Opus, Codec::Pcmu]);
    room.callers[0].wishes = OpusWishes { pauses: true, ..opus::SHARED };
    room.callers[0].wants = 60;
    room.configure(0);
    room.leg(0).mute(true);
    room.run(100);
    assert!(!room.leg(0).takes_shared_stream() && room.leg(1).quality().packets_sent == 100);
    for _ in 0..2 {
        room.run(60);
        room.assert_hears(0, &[1, 2]);
        (1..3).for_each(|caller| room.leg(caller).mute(true));
        room.run(30);
        let before = room.leg(0).quality().packets_sent;
        room.callers[0].next = None;
        room.run(200);
        let sent = room.leg(0).quality().packets_sent - before;
        // Once in 400 ms it says that it is still there.
        assert!((5..=15).contains(&sent), "{sent} packets in 4 s of silence");
        room.callers[0].next = None;
        (1..3).for_each(|caller| room.leg(caller).mute(false));
    }
}

#[test]
fn the_clock_of_48_khz_wraps_around_and_nobody_hears_it() {
    let mut room = Room::with([Codec::Opus, Codec::Pcmu]);
    room.callers[0].clock = u32::MAX - 48_000;
    room.leg(1).mute(true);
    room.run(30);
    let before = room.ticks;
    room.run(100);
    room.assert_hears(1, &[0]);
    let breaks = room.largest_step(1, before);
    assert!(breaks < 2_000, "{breaks}");
    let quality = room.leg(0).quality();
    assert!(quality.concealed < 0.02, "{quality:?}");
}

#[test]
fn a_wide_caller_comes_and_goes_and_nobody_hears_a_click() {
    let mut room = Room::with([Codec::Pcmu, Codec::Pcma, Codec::Pcmu, Codec::G722]);
    room.leave(3);
    room.leg(2).mute(true);
    room.run(100);
    room.assert_hears(0, &[1]);
    let quiet = (0..3).map(|caller| room.largest_step(caller, 20)).max().unwrap();
    for _ in 0..3 {
        room.join(3);
        room.run(100);
        room.assert_hears(0, &[1, 3]);
        room.assert_hears(2, &[0, 1, 3]);
        room.assert_hears(3, &[0, 1]);
        room.leave(3);
        room.run(100);
        room.assert_hears(0, &[1]);
        room.assert_hears(2, &[0, 1]);
        room.assert_hears(3, &[]);
    }
    // One voice more than in the quiet room.
    let most = (0..4).map(|caller| room.largest_step(caller, 20)).max().unwrap();
    assert!(most <= quiet * 5 / 2, "a step of {most}, {quiet} before");
}

#[test]
fn a_codec_changes_in_the_middle_of_a_call_and_all_go_on_hearing() {
    for others in [[Codec::Pcma, Codec::G722], [Codec::Pcmu, Codec::Pcmu]] {
        let mut room = Room::with([Codec::Pcmu, others[0], others[1]]);
        room.run(100);
        for codec in [Codec::G722, Codec::Pcma, Codec::G722, Codec::Pcmu, Codec::Pcma] {
            room.change_codec(0, codec);
            room.run(60);
            room.assert_all_hear_all_others();
            for listener in [1, 2] {
                let step = room.largest_step(listener, 20);
                assert!(step < 4_000, "{others:?}, to {codec:?}: {listener} heard a step of {step}");
            }
        }
    }
}

#[test]
fn noise_of_a_silent_peer_is_heard_and_speech_comes_back() {
    let mut room = Room::with([Codec::G722, Codec::Pcma]);
    room.run(50);
    let header = Header { payload_type: 13, marker: false, sequence: 9_000, timestamp: 8_000, ssrc: 1 };
    let mut packet = vec![0; 12];
    packet.push(50);
    header.write(&mut packet);
    let now = room.now();
    room.leg(0).receive(&packet, peer(), now);
    // What it says does not arrive.
    room.callers[0].says = 1_000_000;
    room.run(50);
    let level = crate::audio::level::dbov(room.callers[1].last(20));
    assert!((-54.5..-49.0).contains(&level), "{level:.1} dBov");
}

#[test]
fn a_peer_that_takes_comfort_noise_is_sent_that_while_the_room_is_silent_and_hears_the_next_word() {
    for (codec, wants) in [(Codec::Pcmu, 20), (Codec::Pcma, 60), (Codec::G722, 30)] {
        let mut room = Room::with([codec, Codec::Pcmu, codec]);
        room.callers[0].takes_comfort_noise = true;
        room.callers[0].wants = wants;
        room.configure(0);
        // What it says itself does not count.
        room.run(60);
        for _ in 0..2 {
            (1..3).for_each(|caller| room.leg(caller).mute(true));
            room.run(30);
            let before = room.leg(0).quality().packets_sent;
            let (clock, ticks) = (room.callers[0].noise[0].0, room.ticks);
            room.run(200);
            let sent = room.leg(0).quality().packets_sent - before;
            assert_eq!(sent, 10, "{codec:?}");
            let levels: Vec<u8> = room.callers[0].noise.iter().map(|&(_, level)| level).collect();
            assert!(levels.iter().all(|&level| level == 127), "{codec:?}: {levels:?}");
            // Time goes on.
            let last = room.callers[0].noise.last().unwrap().0;
            assert_eq!(last.wrapping_sub(clock), 10 * 20 * 160, "{codec:?} after {ticks}");
            // To whom it was not promised, silence is sent as such.
            assert!(room.leg(2).quality().packets_sent + 1 >= room.ticks as u64);
            // A prompt for it alone ends the silence, too.
            let prompt = Arc::new(Clip::new(tone(2_500.0, 5_000.0, 0, 8_000).collect()));
            room.leg(0).player.play(Playback::new(None, vec![prompt])).unwrap();
            room.run(50);
            assert!(room.callers[0].noise.is_empty() && room.callers[0].hears(2_500.0, 25) > 4_500.0);
            room.run(30);
            assert!(!room.callers[0].noise.is_empty());
            (1..3).for_each(|caller| room.leg(caller).mute(false));
            room.run(100);
            room.assert_hears(0, &[1, 2]);
            assert!(room.callers[0].noise.is_empty());
        }
        // Out of the room it hears nothing, either.
        room.leave(0);
        room.run(100);
        assert_eq!(room.callers[0].noise.len(), 5, "{codec:?}");
    }
}

#[test]
fn the_noise_is_as_loud_as_what_it_stands_for() {
    let mut room = Room::with([Codec::Pcma, Codec::Pcmu]);
    room.callers[0].takes_comfort_noise = true;
    room.configure(0);
    let mut random = 1_u32;
    let mut noise = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((random as i32 >> 16) * 24 / 32_768) as i16
    };
    room.callers[1].script = (0..200 * FRAME).map(|_| noise()).collect();
    room.run(150);
    // Even noise is 4.8 dB below its peak.
    let expected = -20.0 * (24.0 / 32_767.0_f64).log10() + 4.8;
    let level = f64::from(room.callers[0].noise.last().unwrap().1);
    assert!((level - expected).abs() < 1.5, "{level}, expected {expected:.1}");
}

/// A key as a phone without telephone-events sends it.
fn key_tone(rate: Rate, key: usize, milliseconds: usize) -> Vec<i16> {
    let count = rate.hz() * milliseconds / 1_000;
    let [low, high] = [dtmf::LOW[key / 4], dtmf::HIGH[key % 4]]
        .map(|frequency| tone_at(rate.hz(), frequency, 5_000.0, 0, count).collect::<Vec<_>>());
    low.iter().zip(high).map(|(low, high)| low + high).collect()
}

#[test]
fn a_key_in_the_sound_is_told_once_and_nobody_hears_it() {
    for codec in Codec::BYTEWISE {
        for (begins_at, suppresses_noise) in
            [(0, false), (3, false), (8, false), (13, false), (19, false), (5, true), (16, true)]
        {
            let mut room = Room::with([codec, Codec::Pcma]);
            room.callers[0].dials_in_sound = true;
            room.callers[0].suppresses_noise = suppresses_noise;
            room.configure(0);
            room.run(50);
            if !suppresses_noise {
                room.assert_hears(1, &[0]);
            }
            for key in 0..16 {
                let rate = codec.rate();
                let mut script = vec![0; 4 * rate.frame() + rate.hz() * begins_at / 1_000];
                script.extend(key_tone(rate, key, 60));
                script.resize(20 * rate.frame(), 0);
                room.callers[0].script = script;
                let mut keys = Vec::new();
                for _ in 0..16 {
                    room.run(1);
                    keys.extend(room.leg(0).take_tone().map(Digit::as_char));
                }
                let pressed = "123A456B789C*0#D".chars().nth(key).unwrap();
                assert_eq!(keys, [pressed], "{codec:?}, {begins_at} ms into a frame");
                for frequency in [dtmf::LOW[key / 4], dtmf::HIGH[key % 4]] {
                    let windows = room.callers[1].last(10).chunks(80);
                    let loudest = windows.map(|window| amplitude(window, frequency)).fold(0.0, f64::max);
                    assert!(loudest < 50.0, "{codec:?} {pressed}: others hear {loudest:.0} of {frequency}");
                }
                room.run(10);
            }
            room.run(50);
            if !suppresses_noise {
                room.assert_hears(1, &[0]);
            }
        }
    }
}

#[test]
fn noise_of_one_caller_is_kept_from_the_others_and_their_words_are_not() {
    let speech = Clip::from_wav(include_bytes!("../../../prompts/en-GB/help-guest.wav")).unwrap();
    for codec in Codec::ALL {
        let rate = codec.rate();
        let heard = [false, true].map(|suppresses_noise| {
            let mut room = Room::with([codec, Codec::Pcma]);
            room.callers[0].suppresses_noise = suppresses_noise;
            room.configure(0);
            room.leg(1).mute(true);
            let mut random = 1_u32;
            let mut noise = || {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random as i32 >> 23) as i16
            };
            // Noise, words, noise.
            let said = (0..2 * rate.hz()).map(|_| 0).chain(speech.samples(rate)[..3 * rate.hz()].to_vec());
            let script: Vec<i16> = said
                .chain((0..2 * rate.hz()).map(|_| 0))
                .map(|said: i16| said.saturating_add(noise()))
                .collect();
            room.callers[0].script = script;
            room.run(350);
            let level = |from: usize, to: usize| {
                crate::audio::level::dbov(&room.callers[1].heard[from * 160..to * 160])
            };
            (level(60, 95), level(110, 240), level(310, 340))
        });
        let [(noise, words, after), (kept, kept_words, kept_after)] = heard;
        println!("{codec:?}: {heard:.1?}");
        // It takes two seconds to know the noise.
        assert!(kept < noise - 5.0 && kept_after < after - 10.0, "{codec:?}: {heard:?}");
        assert!((kept_words - words).abs() < 2.0, "{codec:?}: {heard:?}");
    }
}

#[test]
fn keys_are_heard_in_the_sound_before_there_is_a_room() {
    let mut room = Room::with([Codec::G722]);
    room.leave(0);
    room.callers[0].dials_in_sound = true;
    room.configure(0);
    let mut keys = String::new();
    for key in [0, 5, 10, 15, 15] {
        room.callers[0].script = key_tone(Rate::Wide, key, 60);
        room.callers[0].script.resize(8 * Rate::Wide.frame(), 0);
        for _ in 0..12 {
            room.run(1);
            let now = room.now();
            assert!(room.leg(0).say_name(now).is_none());
            keys.extend(room.leg(0).take_tone().map(Digit::as_char));
        }
    }
    assert_eq!(keys, "159DD");
}
