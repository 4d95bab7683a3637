//! Who hears whom: every pair of codecs, every length of packets, rooms of any size, two meetings.

use super::*;

#[test]
fn every_pair_of_codecs_in_packets_of_every_length_hears_each_other() {
    for one in Codec::ALL {
        for other in Codec::ALL {
            for milliseconds in [10, 20, 30, 60] {
                let mut room = Room::with([one, other, other]);
                for caller in 0..3 {
                    room.callers[caller].says = milliseconds;
                    room.callers[caller].wants = milliseconds as u64;
                    room.configure(caller);
                }
                room.run(130);
                room.assert_all_hear_all_others();
            }
        }
    }
}

#[test]
fn in_rooms_of_2_to_50_everybody_hears_all_others_and_not_themselves() {
    for callers in 2..=50 {
        let mut room = Room::of(callers);
        for (number, caller) in room.callers.iter_mut().enumerate() {
            caller.frequency = 400.0 + 60.0 * number as f64;
        }
        room.loudness = 3_000.0_f64.min(16_000.0 / callers as f64);
        room.run(80);
        room.assert_all_hear_all_others();
    }
}

#[test]
fn whoever_is_muted_held_or_gone_is_heard_by_nobody_with_any_codec() {
    let mut room = Room::with(Codec::ALL.into_iter().cycle().take(8));
    room.loudness = 1_500.0;
    let all: Vec<usize> = (0..8).collect();
    let but = |left_out: &[usize]| -> Vec<usize> {
        all.iter().copied().filter(|caller| !left_out.contains(caller)).collect()
    };
    for away in 0..4 {
        room.leg(away).mute(true);
        room.run(130);
        room.assert_all_hear_all_others_of(&but(&[away]));
        room.leg(away).mute(false);

        // Held by its own side: it says nothing that counts, and is sent nothing.
        room.callers[away].sends = false;
        room.callers[away].receives = false;
        room.configure(away);
        let before = room.callers[away].heard.len();
        room.run(130);
        assert_eq!(room.callers[away].heard.len(), before, "{away} is held and was sent something");
        for caller in but(&[away]) {
            room.assert_hears(caller, &but(&[away, caller]));
        }
        room.callers[away].sends = true;
        room.callers[away].receives = true;
        room.callers[away].next = None;
        room.configure(away);

        room.leave(away);
        room.run(130);
        for caller in but(&[away]) {
            room.assert_hears(caller, &but(&[away, caller]));
        }
        room.assert_hears(away, &[]);
        room.join(away);
        room.run(130);
        room.assert_all_hear_all_others();
    }
}

#[test]
fn who_goes_over_to_a_second_meeting_hears_that_one_and_is_heard_there_alone() {
    let mut room = Room::with(Codec::ALL.into_iter().cycle().take(8));
    room.loudness = 1_500.0;
    room.run(100);
    room.assert_all_hear_all_others();
    let quiet = (0..8).map(|caller| room.largest_step(caller, 20)).max().unwrap();
    // One after the other, into the second and back again.
    for (there, back) in [(vec![0], false), (vec![1], false), (vec![2, 3, 5], false), (vec![0, 2], true)] {
        for &caller in &there {
            if back { room.back_to_first(caller) } else { room.over_to_second(caller) }
        }
        room.run(130);
        for meeting in [room.members.clone(), room.second.1.clone()] {
            let meeting: Vec<usize> = meeting.into_iter().map(|member| member as usize).collect();
            for &caller in &meeting {
                let others: Vec<usize> = meeting.iter().copied().filter(|&other| other != caller).collect();
                room.assert_hears(caller, &others);
            }
        }
    }
    let most = (0..8).map(|caller| room.largest_step(caller, 20)).max().unwrap();
    assert!(most <= quiet + quiet / 4, "a step of {most}, {quiet} while nothing changed");
}
