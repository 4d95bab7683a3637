//! How long sound is under way through the service, and how punctual its ticks are.

use std::time::Duration;

use doorline::audio::Rate;
use doorline::types::CallId;

use crate::CALLERS;
use crate::callers::{Callers, Probe};
use crate::scene::{Scene, fill, late, run_engine, start};

/// Until jitter buffers that grew while calls were set up have shrunk again.
const SETTLE_BUFFERS: Duration = Duration::from_secs(9);
/// Pairs of callers. Each has a phase of its own against the tick: few would tell of chance.
const PROBES: usize = 72;

/// From a packet that comes in to the first packet that goes out with it, at parts of what one core carries.
/// The jitter buffer's delay is in it, and told apart.
pub fn print(window: Duration) {
    let small = run_engine(600, Scene { room: 3, ..Scene::default() }, window);
    let full = 20_000.0 * 0.92 / small.cost_us;
    println!();
    println!(
        "delay from packet in to packet out, ms (PCMU, rooms of 3, all talk; {full:.0} legs are full load)"
    );
    println!(
        "(buffer: the most that a jitter buffer added; late: how much too late 99 % of the callers' milliseconds were; tick: what \
         99.9 % of the ticks' phases were not later than)"
    );
    println!(
        "{:>6} {:>6} {:>7} {:>8} {:>8} {:>8} {:>8} {:>14}",
        "load", "legs", "probes", "buffer", "late", "p50", "p99", "tick, p99.9"
    );
    for percent in [10, 50, 80] {
        let legs = (full as usize * percent / 100).saturating_sub(2 * PROBES).max(6) / 6 * 6;
        let callers = Callers::new(CALLERS);
        let (engine, mut events) = start(Rate::Wide);
        let scene = Scene { room: 3, ..Scene::default() };
        // Pairs in rooms of their own, in the midst of the others: rooms have their turn in the order they came in.
        let quiet = Scene { room: 2, talkers: 0, ..scene };
        let (mut says, mut addresses) = (Vec::new(), Vec::new());
        for (scene, count) in [(scene, legs / 2), (quiet, 2 * PROBES), (scene, legs / 2)] {
            let more = scene.says(count);
            addresses.extend(fill(&engine, &callers, &more, scene, says.len()));
            says.extend(more);
        }
        let first = legs / 2;
        let probes: Vec<Probe> =
            (0..PROBES).map(|pair| Probe { from: first + 2 * pair, to: first + 2 * pair + 1 }).collect();
        let before = engine.figures();
        let talk = callers.talk(
            &addresses,
            &mut says,
            &probes,
            SETTLE_BUFFERS,
            window.max(Duration::from_secs(8)),
            "media-0",
        );
        let late = late(&before[0], &engine.figures()[0]);
        probes.iter().for_each(|probe| engine.close(CallId::numbered(probe.from as u128 + 1)));
        std::thread::sleep(Duration::from_millis(100));
        let mut buffer = 0.0_f32;
        while let Some(event) = events.try_next() {
            if let doorline::media::Event::Closed { quality, .. } = event {
                buffer = buffer.max(quality.buffer_ms);
            }
        }
        let at = |delays: &[Duration], share: f64| {
            let place = ((delays.len() as f64 * share) as usize).min(delays.len().saturating_sub(1));
            delays.get(place).map_or(f64::NAN, |delay| delay.as_secs_f64() * 1e3)
        };
        let count = talk.delays.len();
        let [callers_late, p50, p99] =
            [(&talk.late, 0.99), (&talk.delays, 0.5), (&talk.delays, 0.99)].map(|(of, share)| at(of, share));
        let tick = late.map_or("beyond 100 ms".to_owned(), |late| format!("<= {late:?}"));
        let legs = says.len();
        println!(
            "{percent:>4} % {legs:>6} {count:>7} {buffer:>8.0} {callers_late:>8.1} {p50:>8.1} {p99:>8.1} {tick:>14}"
        );
        drop((engine, events));
    }
    println!("(targets at 50 %: p50 12 and p99 25 beside the buffer's; tick at 80 %: 2 ms)");
}
