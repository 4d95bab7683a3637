//! What a leg costs by codec, and with encryption.

use std::time::Duration;

use doorline::audio::{Codec, Rate};
use doorline::types::Suite;

use crate::SHARE;
use crate::scene::{Scene, Trial, run_echo, run_engine};

/// What is measured more than once is measured in turns, and the middle one counts: neighbours on the machine come
/// and go.
const ROUNDS: usize = 3;
const LEGS: usize = 600;
/// Where each of them is encoded for alone: as many as a core can surely serve. One that leaves ticks out does other
/// work.
const ALONE: [(Codec, usize); 2] = [(Codec::G722, 300), (Codec::Opus, 60)];
const MIXED: [Codec; 4] = [Codec::Pcmu, Codec::G722, Codec::Opus, Codec::Pcma];

/// "A core carries" is the processor time of a tick by the cost of a leg, less the part (8 %) that is left free where
/// legs are counted; it is not counted.
pub fn print(window: Duration) {
    println!();
    println!("by codec, µs of processor per leg and tick, the middle of {ROUNDS} rounds");
    println!(
        "{:<16} {:<22} {:>6} {:>8} {:>14} {:>16}",
        "", "", "legs", "µs", "a core carries", "plain PCMU is of it"
    );
    let full = Rate::Full;
    let wide = Rate::Wide;
    let rows: [(&str, &[Codec], Rate, Option<Suite>); 9] = [
        ("PCMU", &[Codec::Pcmu], wide, None),
        ("PCMU, SRTP", &[Codec::Pcmu], wide, Some(Suite::AesCm128HmacSha1_80)),
        ("PCMU, SRTP GCM", &[Codec::Pcmu], wide, Some(Suite::AeadAes128Gcm)),
        ("G.722", &[Codec::G722], wide, None),
        ("Opus, 16 kHz", &[Codec::Opus], wide, None),
        ("Opus, 48 kHz", &[Codec::Opus], full, None),
        ("all four, 16 kHz", &MIXED, wide, None),
        ("all four, 48 kHz", &MIXED, full, None),
        ("all four, SRTP", &MIXED, full, Some(Suite::AesCm128HmacSha1_80)),
    ];
    for (what, one_room) in [("rooms of 3, all talk", false), ("one room, 3 talk", true)] {
        let trial = |(_, codecs, rate, suite): (&str, &'static [Codec], Rate, Option<Suite>)| {
            let alone = ALONE.into_iter().filter(|(codec, _)| codecs.contains(codec)).map(|(_, legs)| legs);
            let legs = if one_room { LEGS } else { alone.min().map_or(LEGS, |legs| legs * codecs.len()) };
            let (room, talkers) = if one_room { (legs, 3) } else { (3, usize::MAX) };
            run_engine(legs, Scene { room, talkers, codecs, suite, rate }, window)
        };
        let mut rounds: Vec<Vec<Trial>> = rows.iter().map(|_| Vec::new()).collect();
        let mut echo = Vec::new();
        for _ in 0..ROUNDS {
            echo.push(run_echo(LEGS, window).cost_us);
            for (row, trials) in rows.iter().zip(&mut rounds) {
                trials.push(trial(*row));
            }
        }
        println!("{:<16} {what:<22} {LEGS:>6} {:>8.2}", "bare UDP echo", middle(echo));
        let mut plain = None;
        for ((name, ..), trials) in rows.iter().zip(&rounds) {
            let cost = middle(trials.iter().map(|trial| trial.cost_us).collect());
            let plain = *plain.get_or_insert(cost);
            let (carries, share) = (20_000.0 * 0.92 / cost, 100.0 * plain / cost);
            let short = middle(trials.iter().map(|trial| trial.least).collect()) < SHARE;
            println!(
                "{name:<16} {what:<22} {:>6} {cost:>8.2} {carries:>14.0} {share:>14.0} %{}",
                trials[0].legs,
                if short { "   packets were missing" } else { "" },
            );
        }
    }
    println!("(targets: 1,000 legs of G.722, 1,000 listeners with Opus at 16 kHz, plain 80 % of SRTP)");
}

pub fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
