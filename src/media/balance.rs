//! Where rooms are mixed, and when: no worker should have much more to do than the others, nor any part of its tick.

/// Workers may differ by so many legs: moving rooms for less is not worth a tick's unrest.
const APART: usize = 16;
/// And by this part of the larger load.
const APART_PART: usize = 5;

/// The room whose move evens the loads out best, and the worker it goes to. `legs`: of each worker, in
/// rooms or not. `rooms`: name, worker, members. A room is never split: each is mixed by one thread.
pub(super) fn best_move<R>(
    legs: &[usize],
    rooms: impl Iterator<Item = (R, usize, usize)>,
) -> Option<(R, usize)> {
    let (from, &most) = legs.iter().enumerate().max_by_key(|&(_, legs)| legs)?;
    let (to, &least) = legs.iter().enumerate().min_by_key(|&(_, legs)| legs)?;
    if most - least <= APART.max(most / APART_PART) {
        return None;
    }
    let after = |members: usize| (most - members.min(most)).max(least + members);
    let here = rooms.filter(|&(_, worker, members)| worker == from && members > 0);
    let (room, _, members) = here.min_by_key(|&(_, _, members)| (after(members), members))?;
    // A room so large that the other worker would be no better off stays.
    (most - after(members).min(most) >= APART / 4).then_some((room, to))
}

/// The phase in which a new room disturbs the others least. `rooms`: phase and members of each that there is; one
/// without members will have some.
pub(super) fn lightest_phase<const PHASES: usize>(rooms: impl Iterator<Item = (usize, usize)>) -> usize {
    let mut load = [0; PHASES];
    rooms.for_each(|(phase, members)| load[phase] += members.max(1));
    (0..PHASES).min_by_key(|&phase| load[phase]).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_room_has_its_turn_when_the_fewest_have_theirs() {
        let lightest = |rooms: &[(usize, usize)]| lightest_phase::<4>(rooms.iter().copied());
        assert_eq!(lightest(&[]), 0);
        assert_eq!(lightest(&[(0, 3), (1, 3)]), 2);
        assert_eq!(lightest(&[(0, 3), (1, 2), (2, 40), (3, 1), (3, 2)]), 1);
        // One that nobody has entered yet counts as well.
        assert_eq!(lightest(&[(0, 0), (1, 0), (2, 0)]), 3);
        // Rooms of any size in any order: no phase has more than the others by more than the largest.
        let (mut word, mut rooms) = (1_u64, Vec::new());
        for _ in 0..200 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            rooms.push((lightest(&rooms), 1 + (word >> 60) as usize));
        }
        let load =
            |wanted| rooms.iter().filter(|(phase, _)| *phase == wanted).map(|(_, members)| members).sum();
        let loads: [usize; 4] = std::array::from_fn(load);
        assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 16, "{loads:?}");
    }

    fn moved(legs: &[usize], rooms: &[(&'static str, usize, usize)]) -> Option<(&'static str, usize)> {
        best_move(legs, rooms.iter().copied())
    }

    #[test]
    fn a_room_moves_from_the_fullest_worker_to_the_emptiest_where_it_evens_them_out() {
        // Nearly even, or few legs in all.
        assert_eq!(moved(&[100, 90], &[("a", 0, 5)]), None);
        assert_eq!(moved(&[16, 0], &[("a", 0, 8), ("b", 0, 8)]), None);
        // The one that comes nearest to half the difference.
        let rooms = [("large", 0, 60), ("half", 0, 25), ("small", 0, 3), ("elsewhere", 1, 25)];
        assert_eq!(moved(&[88, 30], &rooms), Some(("half", 1)));
        assert_eq!(moved(&[88, 60, 30, 40], &rooms), Some(("half", 2)));
        // One large room cannot be helped, but those beside it can.
        assert_eq!(moved(&[60, 0], &[("large", 0, 60)]), None);
        assert_eq!(moved(&[65, 0], &[("large", 0, 60), ("small", 0, 5)]), Some(("small", 1)));
        // Too small to be worth it.
        assert_eq!(moved(&[63, 0], &[("large", 0, 60), ("small", 0, 3)]), None);
    }

    #[test]
    fn moving_comes_to_an_end() {
        // Whatever the rooms are, each move makes the fullest worker's load smaller, so there is a last.
        let mut word = 12_345_u64;
        let mut random = |below: u64| {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (word >> 33) % below
        };
        for _ in 0..500 {
            let workers = 1 + random(8) as usize;
            let mut rooms: Vec<(usize, usize, usize)> = (0..random(60) as usize)
                .map(|name| (name, random(workers as u64) as usize, random(120) as usize))
                .collect();
            let mut moves = 0;
            loop {
                let mut legs = vec![0; workers];
                rooms.iter().for_each(|&(_, worker, members)| legs[worker] += members);
                let Some((room, to)) = best_move(&legs, rooms.iter().copied()) else { break };
                let most = legs.iter().max();
                let from = rooms[room].1;
                rooms[room].1 = to;
                assert!(legs[from] == *most.unwrap() && legs[to] + rooms[room].2 < legs[from]);
                moves += 1;
                assert!(moves <= 200, "{legs:?}");
            }
        }
    }
}
