//! Who hears whom, over real sockets and in real time: phones with a tone each call the engine.
//!
//! The rules are tested in virtual time inside `audio`; this proves that threads, sockets and
//! rings carry them. Run it alone: a machine that is busy with something else is late.

#[path = "sound/lab.rs"]
mod lab;
#[path = "sound/peers.rs"]
mod peers;
#[path = "sound/recordings.rs"]
mod recordings;

use std::time::{Duration, Instant};

use doorline::audio::{Codec, Decoder, Encoder, Rate};
use doorline::media::{Engine, Error, Event, LegSettings, Settings};
use doorline::types::{CallId, MeetingId};
use lab::{Lab, alone, clip};

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
