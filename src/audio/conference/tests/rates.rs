//! Rooms of legs with different rates: 8, 16 and 48 kHz.

use super::*;

/// Two full legs, two wide ones, two narrow ones.
fn of_all_rates(rate_max: Rate) -> Room {
    let mut callers = vec![
        Caller::full(0),
        Caller::full(1),
        Caller::new(2, Codec::Opus),
        Caller::new(3, Codec::G722),
        Caller::new(4, Codec::Pcmu),
        Caller::new(5, Codec::Pcma),
    ];
    for caller in &mut callers[..2] {
        // Without leave they are decoded at what there is.
        caller.rate = rate_max.max(Rate::Wide);
        caller.encoder.begin_at(Codec::Opus, caller.rate);
        caller.decoder.begin_at(Codec::Opus, caller.rate);
    }
    let mut room = Room::with_callers(callers, rate_max);
    room.loudness = 2_000.0;
    room
}

#[test]
fn legs_of_all_rates_hear_each_other_and_not_themselves_whatever_the_room_may_have() {
    for rate_max in Rate::ALL {
        let mut room = of_all_rates(rate_max);
        room.run(100);
        assert_eq!(room.conference.rate(), rate_max);
        room.assert_all_hear_all_others();
        // One speaks, the others listen to what is made once for each codec and rate.
        for speaker in 0..6 {
            (0..6).for_each(|caller| room.leg(caller).mute(caller != speaker));
            room.run(130);
            room.assert_all_hear_all_others_of(&[speaker]);
        }
    }
}

#[test]
fn what_is_above_8_khz_passes_between_full_legs_and_reaches_no_other() {
    let mut room = of_all_rates(Rate::Full);
    (1..6).for_each(|caller| room.leg(caller).mute(true));
    room.loudness = 6_000.0;
    for (frequency, share) in [(5_000.0, 0.8), (10_000.0, 0.5)] {
        room.callers[0].frequency = frequency;
        room.run(100);
        let heard = room.matrix_row(1, 50);
        assert!((share..1.2).contains(&heard[0]), "{frequency} Hz: {:.3}", heard[0]);
        for caller in 2..6 {
            let rate = room.callers[caller].rate.hz() as f64;
            let folded = (frequency - rate * (frequency / rate).round()).abs();
            if frequency > rate / 2.0 {
                let heard = room.callers[caller].hears(folded, 50);
                assert!(heard < 40.0, "{frequency} Hz comes to caller {caller} as {heard} of {folded} Hz");
                let loudest = level::peak(room.callers[caller].last(50));
                assert!(loudest < 120, "{frequency} Hz comes to caller {caller} with {loudest}");
            }
        }
    }
}

#[test]
fn a_full_caller_comes_and_goes_and_nobody_hears_a_click() {
    let callers = vec![
        Caller::new(0, Codec::Pcmu),
        Caller::new(1, Codec::Pcma),
        Caller::new(2, Codec::G722),
        Caller::full(3),
    ];
    let mut room = Room::with_callers(callers, Rate::Full);
    room.run(100);
    let quiet = (0..4).map(|caller| room.largest_step(caller, 20)).max().unwrap();
    // The wide one, too: the room has all rates in turn.
    (2..4).for_each(|caller| room.leave(caller));
    room.run(130);
    room.assert_hears(0, &[1]);
    for come in [[2, 3], [3, 2], [3, 3]] {
        for number in come {
            if !room.members.contains(&(number as u32)) {
                room.join(number);
            }
            room.run(130);
            room.assert_hears(
                1,
                &room.members.iter().map(|&m| m as usize).filter(|&m| m != 1).collect::<Vec<_>>(),
            );
        }
        for number in come {
            if room.members.contains(&(number as u32)) {
                room.leave(number);
            }
            room.run(130);
            room.assert_hears(
                1,
                &room.members.iter().map(|&m| m as usize).filter(|&m| m != 1).collect::<Vec<_>>(),
            );
        }
        assert_eq!(room.conference.rate(), Rate::Narrow);
    }
    let most = (0..4).map(|caller| room.largest_step(caller, 20)).max().unwrap();
    // Opus overshoots where it finds a tone anew.
    assert!(most <= quiet + quiet / 2, "a step of {most}, {quiet} while nothing changed");
}

#[test]
fn a_leg_that_becomes_full_in_the_middle_of_a_call_is_heard_as_such_and_back_again() {
    let callers = vec![Caller::new(0, Codec::Opus), Caller::full(1), Caller::new(2, Codec::Pcmu)];
    let mut room = Room::with_callers(callers, Rate::Full);
    room.run(100);
    for _ in 0..2 {
        for other in [Caller::full(0), Caller::new(0, Codec::G722), Caller::new(0, Codec::Opus)] {
            room.become_another(0, other);
            room.run(130);
            room.assert_all_hear_all_others();
        }
    }
    // The only full one becomes a wide one, and the room with it.
    room.become_another(1, Caller::new(1, Codec::Opus));
    room.run(130);
    assert_eq!(room.conference.rate(), Rate::Wide);
    room.assert_all_hear_all_others();
    let step = room.largest_step(2, 20);
    assert!(step < 5_000, "a step of {step}");
}

#[test]
fn full_listeners_share_one_stream_and_wide_ones_another() {
    let callers = vec![
        Caller::full(0),
        Caller::full(1),
        Caller::full(2),
        Caller::new(3, Codec::Opus),
        Caller::new(4, Codec::G722),
    ];
    let mut room = Room::with_callers(callers, Rate::Full);
    (1..5).for_each(|caller| room.leg(caller).mute(true));
    room.leg(0).mute(true);
    room.run(30);
    room.leg(0).mute(false);
    room.run(60);
    assert!((1..5).all(|caller| room.leg(caller).takes_shared_stream()));
    room.assert_all_hear_all_others_of(&[0]);
    // Who begins to speak goes on with a copy.
    for caller in [1, 3, 4] {
        room.leg(caller).mute(false);
        room.run(130);
        assert!(!room.leg(caller).takes_shared_stream());
        room.assert_all_hear_all_others_of(&[0, caller]);
        room.leg(caller).mute(true);
        room.run(60);
    }
}

#[test]
fn prompts_and_keys_in_the_sound_are_for_full_legs_too() {
    let mut room =
        Room::with_callers(vec![Caller::full(0), Caller::full(1), Caller::new(2, Codec::Pcmu)], Rate::Full);
    room.callers[0].dials_in_sound = true;
    room.configure(0);
    room.run(50);
    let prompt = Arc::new(Clip::new(tone(2_500.0, 5_000.0, 0, 16_000).collect()));
    room.leg(1).player.play(Playback::new(Some(1), vec![prompt])).unwrap();
    room.run(80);
    let heard = room.callers[1].hears(2_500.0, 25);
    assert!((heard - 5_000.0).abs() < 600.0, "{heard}");
    assert!(room.callers[2].hears(2_500.0, 25) < 50.0);
    for key in [0, 5, 15] {
        let rate = Rate::Full;
        let mut script = vec![0; 4 * rate.frame()];
        script.extend(key_tone(rate, key, 80));
        script.resize(20 * rate.frame(), 0);
        room.callers[0].script = script;
        let mut keys = Vec::new();
        for _ in 0..20 {
            room.run(1);
            keys.extend(room.leg(0).take_tone().map(Digit::as_char));
        }
        assert_eq!(keys, ["123A456B789C*0#D".chars().nth(key).unwrap()]);
    }
}
