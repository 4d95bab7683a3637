//! Whether a leg costs the same among few and among many, in small rooms and in large ones.

use std::time::Duration;

use crate::kinds::middle;
use crate::scene::{Scene, run_echo, run_engine};

const ROUNDS: usize = 3;

/// By legs, in rooms of three, everybody talking; and by the size of rooms, of as many legs.
pub fn print(window: Duration, most: usize) {
    println!();
    println!(
        "growth, µs of processor per leg and tick (PCMU, all talk), the middle of {ROUNDS} rounds (target: flat within 20 %)"
    );
    println!("{:>6} {:>10} {:>8} {:>8} {:>16}", "legs", "room", "µs", "echo", "of the first");
    let sizes = [100, 300, 1_000, 2_000, 4_000]
        .into_iter()
        .filter(|&legs| legs <= most)
        .map(|legs| (legs / 3 * 3, 3));
    table(window, sizes.collect());
    let count = most.min(1_000);
    table(
        window,
        [3, 10, 30, 100, 300, 1_000]
            .into_iter()
            .filter(|&room| room <= count)
            .map(|room| (count, room))
            .collect(),
    );
}

fn table(window: Duration, rows: Vec<(usize, usize)>) {
    let mut costs: Vec<[Vec<f64>; 2]> = rows.iter().map(|_| Default::default()).collect();
    for _ in 0..ROUNDS {
        for (&(legs, room), [ours, echo]) in rows.iter().zip(&mut costs) {
            ours.push(run_engine(legs / room * room, Scene { room, ..Scene::default() }, window).cost_us);
            echo.push(run_echo(legs, window).cost_us);
        }
    }
    let mut first = None;
    for (&(legs, room), costs) in rows.iter().zip(costs) {
        let [ours, echo] = costs.map(middle);
        let share = 100.0 * ours / *first.get_or_insert(ours);
        println!("{legs:>6} {room:>10} {ours:>8.2} {echo:>8.2} {share:>14.0} %");
    }
}
