//! Keys heard as tones in the sound, for callers whose phone sends no telephone-events (ITU-T Q.23).
//!
//! Every 5 ms a window of 10 ms is looked at through eight filters, one per frequency. It may be a key
//! when two of them explain nearly all of its energy and are about as loud as each other. It *is* one
//! when that has lasted for 40 ms and the phases, which turn from window to window as fast as a
//! frequency is off, say that both are the right ones (Q.24). Speech hits two frequencies now and then,
//! but neither so purely nor for so long.

use std::f32::consts::TAU;
use std::ops::RangeInclusive;
use std::sync::LazyLock;
use std::time::Duration;

use super::Rate;
use crate::types::Digit;

/// Hz, of the rows and of the columns of a keypad.
pub const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
pub const HIGH: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// Samples between two windows at the highest rate: 5 ms.
const HOP_MAX: usize = 80;
const HOP_SECONDS: f32 = 0.005;
/// Windows that make a key. 40 ms hold six whole ones and two that hold most of a tone; 23 ms, which
/// must not be taken for a key, hold three and two.
const WINDOWS: u32 = 6;
/// Windows without it that end a key: a hole of 10 ms does not, a pause of 40 ms does.
const GAP: u32 = 6;
/// Frames in a row that may be lost without ending a key that was down: 80 ms.
const UNKNOWN_MAX: u32 = 4;
/// Windows that may become a key: others stop hearing it now.
const SUSPECT: u32 = 2;
/// How far off a frequency may be. Q.24: 1.5 % must be taken, 3.5 % must not.
const OFF_MAX: f32 = 0.025;
/// How much louder the high tone may be than the low one, and how much softer, as shares of power: Q.24
/// has 4 and 8 dB, and here is one more of each for what lies between. A single window may lie 3 dB
/// further, because of noise.
const TWIST: RangeInclusive<f32> = 0.126..=3.16;
const TWIST_OF_ONE: RangeInclusive<f32> = 0.063..=6.3;
/// What two tones must explain of a window's energy, and of all a key's windows together. White noise
/// 15 dB below leaves them 97 %, tones 1.5 % off 92 % of the rest.
const EXPLAINED_MIN: f32 = 0.75;
const EXPLAINED_MEAN: f32 = 0.85;
/// Amplitude of the softest tone that counts: about -44 dBm0.
const AMPLITUDE_MIN: f32 = 150.0;
/// A window this much softer than the loudest of its key lies half outside of it: 6 dB, as power.
const EDGE: f32 = 0.25;

/// Listens to one caller.
#[derive(Clone, Debug)]
pub struct Listener {
    rate: Rate,
    /// The last 5 ms, if they were really heard.
    before: [i16; HOP_MAX],
    known: bool,
    run: Run,
    /// The key that is down, and windows since it was last seen.
    down: Option<(usize, usize)>,
    missing: u32,
    /// Windows from its first to the last in which it was seen, and those of the one that is over.
    pressed: u32,
    lasted: Option<u32>,
    /// Frames in a row that were made up.
    unknown: u32,
}

/// Windows in a row that show the same two tones.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    low: usize,
    high: usize,
    windows: u32,
    explained: f32,
    loudest: f32,
    /// Of the low and of the high tone, all windows together.
    powers: [f32; 2],
    /// The last window's two tones; how much further than their frequency they have turned since the one
    /// before, all windows together.
    last: Option<[Complex; 2]>,
    turned: [Complex; 2],
}

/// What a frame held.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Heard {
    /// A key that has just been found to be one; once per press.
    pub key: Option<Digit>,
    /// How long the key was down that has just been released.
    pub lasted: Option<Duration>,
    /// A key is down, or may be: not for others' ears.
    pub tone: bool,
}

type Complex = (f32, f32);

/// What one window looks like.
struct Window {
    low: usize,
    high: usize,
    powers: [f32; 2],
    explained: f32,
    tones: [Complex; 2],
}

impl Listener {
    /// To sound at 8 or 16 kHz: what is full is brought down before.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            before: [0; HOP_MAX],
            known: false,
            run: Run::default(),
            down: None,
            missing: 0,
            pressed: 0,
            lasted: None,
            unknown: 0,
        }
    }

    /// 20 ms of what the caller sent.
    pub fn hear(&mut self, frame: &[i16]) -> Heard {
        let hop = self.rate.hz() / 200;
        self.unknown = 0;
        let mut heard = Heard::default();
        for samples in frame.chunks_exact(hop) {
            if self.known {
                let key = self.window(hop, samples);
                heard.key = heard.key.or(key);
                heard.tone |= self.is_tone();
            }
            self.before[..hop].copy_from_slice(samples);
            self.known = true;
        }
        heard.tone |= self.is_tone();
        // Windows overlap by half of each.
        heard.lasted = self.lasted.take().map(|windows| Duration::from_millis(5) * (windows + 1));
        heard
    }

    /// 20 ms that did not arrive: whatever is in their place says nothing about keys.
    pub fn miss(&mut self) -> Heard {
        self.known = false;
        self.run.last = None;
        self.unknown += 1;
        if self.unknown > UNKNOWN_MAX {
            self.run = Run::default();
            self.down = None;
        }
        Heard { tone: self.is_tone(), ..Heard::default() }
    }

    fn is_tone(&self) -> bool {
        let run = &self.run;
        let suspect = run.windows >= SUSPECT && run.explained >= EXPLAINED_MEAN * run.windows as f32;
        self.down.is_some() || suspect
    }

    fn window(&mut self, hop: usize, samples: &[i16]) -> Option<Digit> {
        let Some(window) = look(self.rate, &self.before[..hop], samples) else {
            self.run = Run::default();
            self.not_seen();
            return None;
        };
        let run = &mut self.run;
        if (run.low, run.high) != (window.low, window.high) || run.windows == 0 {
            *run = Run { low: window.low, high: window.high, ..Run::default() };
        }
        let power = window.powers[0] + window.powers[1];
        if power < run.loudest * EDGE {
            *run = Run::default();
            self.not_seen();
            return None;
        }
        run.loudest = run.loudest.max(power);
        run.powers = [run.powers[0] + window.powers[0], run.powers[1] + window.powers[1]];
        run.windows += 1;
        run.explained += window.explained;
        if let Some(last) = run.last {
            for (n, tone) in [run.low, 4 + run.high].into_iter().enumerate() {
                let nominal = tables(self.rate).turn[tone];
                let turned = times(times(window.tones[n], conjugate(last[n])), conjugate(nominal));
                run.turned[n] = (run.turned[n].0 + turned.0, run.turned[n].1 + turned.1);
            }
        }
        run.last = Some(window.tones);

        let place = (run.low, run.high);
        if self.down == Some(place) {
            self.pressed += 1 + std::mem::take(&mut self.missing);
            return None;
        }
        if run.windows >= WINDOWS
            && run.explained >= EXPLAINED_MEAN * run.windows as f32
            && TWIST.contains(&(run.powers[1] / run.powers[0]))
            && run.is_in_tune()
        {
            self.lasted = self.down.replace(place).map(|_| self.pressed);
            self.missing = 0;
            self.pressed = self.run.windows;
            return Digit::from_char(KEYS[place.0][place.1]);
        }
        self.not_seen();
        None
    }

    fn not_seen(&mut self) {
        self.missing += 1;
        if self.missing >= GAP && self.down.take().is_some() {
            self.lasted = Some(self.pressed);
        }
    }
}

impl Run {
    fn is_in_tune(&self) -> bool {
        let frequencies = [LOW[self.low], HIGH[self.high]];
        self.turned.iter().zip(frequencies).all(|(&(x, y), frequency)| {
            let off = y.atan2(x) / TAU / HOP_SECONDS;
            off.abs() <= OFF_MAX * frequency as f32
        })
    }
}

/// One window, if it may be a part of a key.
fn look(rate: Rate, before: &[i16], now: &[i16]) -> Option<Window> {
    let tables = tables(rate);
    let mut sums = [0.0; 16];
    let mut energy = 0.0;
    for ((&sample, weight), waves) in before.iter().chain(now).zip(&tables.window).zip(&tables.waves) {
        let sample = f32::from(sample);
        energy += (sample * weight).powi(2);
        for (sum, wave) in sums.iter_mut().zip(waves) {
            *sum += sample * wave;
        }
    }
    let length = (2 * now.len()) as f32;
    let tone = |n: usize| (sums[n], sums[8 + n]);
    let power = |n: usize| sums[n].powi(2) + sums[8 + n].powi(2);
    let strongest = |from: usize| (from..from + 4).max_by(|&a, &b| power(a).total_cmp(&power(b)));
    let (low, high) = (strongest(0)?, strongest(4)?);
    let (below, above) = (power(low), power(high));
    // A tone of amplitude a gives a·length/4 through this window.
    let least = (AMPLITUDE_MIN * length / 4.0).powi(2);
    let explained = 3.0 * (below + above) / (length * energy);
    let good =
        below.min(above) >= least && TWIST_OF_ONE.contains(&(above / below)) && explained >= EXPLAINED_MIN;
    good.then(|| Window {
        low,
        high: high - 4,
        powers: [below, above],
        explained: explained.min(1.0),
        tones: [tone(low), tone(high)],
    })
}

fn times(a: Complex, b: Complex) -> Complex {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

fn conjugate(a: Complex) -> Complex {
    (a.0, -a.1)
}

/// The filters of one rate.
struct Tables {
    /// Hann's.
    window: [f32; 2 * HOP_MAX],
    /// Per sample: eight cosines and eight sines under the window.
    waves: [[f32; 16]; 2 * HOP_MAX],
    /// How far each frequency turns in a hop.
    turn: [Complex; 8],
}

fn tables(rate: Rate) -> &'static Tables {
    match rate {
        Rate::Narrow => &NARROW,
        Rate::Wide | Rate::Full => &WIDE,
    }
}

static NARROW: LazyLock<Box<Tables>> = LazyLock::new(|| Tables::new(Rate::Narrow));
static WIDE: LazyLock<Box<Tables>> = LazyLock::new(|| Tables::new(Rate::Wide));

/// Makes the tables now, so that the first frame does not have to.
pub fn prepare() {
    LazyLock::force(&NARROW);
    LazyLock::force(&WIDE);
}

impl Tables {
    fn new(rate: Rate) -> Box<Self> {
        let length = rate.hz() / 100;
        let frequencies: Vec<f64> = LOW.into_iter().chain(HIGH).collect();
        let mut tables = Box::new(Self {
            window: [0.0; 2 * HOP_MAX],
            waves: [[0.0; 16]; 2 * HOP_MAX],
            turn: [(0.0, 0.0); 8],
        });
        for n in 0..length {
            let weight = 0.5 - 0.5 * (std::f64::consts::TAU * (n as f64 + 0.5) / length as f64).cos();
            tables.window[n] = weight as f32;
            for (tone, frequency) in frequencies.iter().enumerate() {
                let angle = std::f64::consts::TAU * frequency * n as f64 / rate.hz() as f64;
                tables.waves[n][tone] = (weight * angle.cos()) as f32;
                tables.waves[n][8 + tone] = (-weight * angle.sin()) as f32;
            }
        }
        for (turn, frequency) in tables.turn.iter_mut().zip(&frequencies) {
            let angle = std::f64::consts::TAU * frequency * f64::from(HOP_SECONDS);
            *turn = (angle.cos() as f32, angle.sin() as f32);
        }
        tables
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::dbm0;

    /// A press as a bad phone or line may send it.
    #[derive(Clone, Copy)]
    struct Press {
        key: char,
        /// Milliseconds.
        tone: usize,
        gap: usize,
        /// Of each tone when they are equal.
        level_dbm0: f64,
        /// High above low.
        twist_db: f64,
        /// Of both frequencies.
        off_percent: [f64; 2],
        /// Of white noise below the tones; all through.
        noise_db: Option<f64>,
    }

    const PRESS: Press = Press {
        key: '5',
        tone: 40,
        gap: 40,
        level_dbm0: -10.0,
        twist_db: 0.0,
        off_percent: [0.0; 2],
        noise_db: None,
    };

    fn place(key: char) -> (usize, usize) {
        let all = (0..4).flat_map(|row| (0..4).map(move |column| (row, column)));
        all.into_iter().find(|&(row, column)| KEYS[row][column] == key).unwrap()
    }

    /// The presses, each at another place in its frame.
    fn sound(rate: Rate, presses: &[Press]) -> Vec<i16> {
        let hz = rate.hz() as f64;
        let mut random = 1_u32;
        let mut out = Vec::new();
        for (n, press) in presses.iter().enumerate() {
            let (row, column) = place(press.key);
            let low = LOW[row] * (1.0 + press.off_percent[0] / 100.0);
            let high = HIGH[column] * (1.0 + press.off_percent[1] / 100.0);
            let below = dbm0(press.level_dbm0 - press.twist_db / 2.0);
            let above = dbm0(press.level_dbm0 + press.twist_db / 2.0);
            let power = (below.powi(2) + above.powi(2)) / 2.0;
            let noise = press.noise_db.map_or(0.0, |db| (power / 10_f64.powf(db / 10.0) * 3.0).sqrt());
            let silence = (press.gap * 1_000 + n * 3_700 % 20_000) * rate.hz() / 1_000_000;
            let tone = press.tone * rate.hz() / 1_000;
            for at in 0..silence + tone {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let mut sample = noise * f64::from(random as i32 >> 16) / 32_768.0;
                if at >= silence {
                    let time = std::f64::consts::TAU * at as f64 / hz;
                    sample += below * (low * time).sin() + above * (high * time).sin();
                }
                out.push(sample.clamp(-32_768.0, 32_767.0) as i16);
            }
        }
        out.resize(out.len() + rate.frame() * 5, 0);
        out
    }

    fn heard(rate: Rate, sound: &[i16]) -> String {
        let mut listener = Listener::new(rate);
        sound
            .chunks_exact(rate.frame())
            .filter_map(|frame| listener.hear(frame).key)
            .map(Digit::as_char)
            .collect()
    }

    fn keys(presses: &[Press]) -> String {
        presses.iter().map(|press| press.key).collect()
    }

    const ALL: &str = "1234567890*#ABCD";

    /// Every key, five times, with something about it.
    fn each(change: impl Fn(&mut Press)) -> Vec<Press> {
        let mut presses: Vec<Press> = ALL.repeat(5).chars().map(|key| Press { key, ..PRESS }).collect();
        presses.iter_mut().for_each(change);
        presses
    }

    #[test]
    fn what_q_24_calls_a_key_is_heard_once_and_what_it_does_not_is_not() {
        type Change = fn(&mut Press);
        let taken: &[(&str, Change)] = &[
            ("40 ms and 40 ms", |_| ()),
            ("long ones", |press| (press.tone, press.gap) = (300, 120)),
            ("0 dBm0 each", |press| press.level_dbm0 = -1.0),
            ("-25 dBm0 each", |press| press.level_dbm0 = -25.0),
            ("-36 dBm0 each", |press| press.level_dbm0 = -36.0),
            ("the high tone louder by 4 dB", |press| press.twist_db = 4.0),
            ("the low tone louder by 8 dB", |press| press.twist_db = -8.0),
            ("1.5 % too high", |press| press.off_percent = [1.5, 1.5]),
            ("1.5 % too low", |press| press.off_percent = [-1.5, -1.5]),
            ("1.5 % apart", |press| press.off_percent = [-1.5, 1.5]),
            ("noise 15 dB below", |press| press.noise_db = Some(15.0)),
            ("all of it", |press| {
                (press.noise_db, press.twist_db, press.off_percent) = (Some(15.0), 4.0, [1.5, -1.5]);
            }),
            ("all of it the other way", |press| {
                (press.noise_db, press.twist_db, press.off_percent) = (Some(15.0), -8.0, [-1.5, 1.5]);
            }),
        ];
        let refused: &[(&str, Change)] = &[
            ("23 ms", |press| press.tone = 23),
            ("10 ms", |press| press.tone = 10),
            ("the low tone 3.5 % too high", |press| press.off_percent[0] = 3.5),
            ("the low tone 3.5 % too low", |press| press.off_percent[0] = -3.5),
            ("the high tone 3.5 % too high", |press| press.off_percent[1] = 3.5),
            ("the high tone 3.5 % too low", |press| press.off_percent[1] = -3.5),
            ("the high tone louder by 7 dB", |press| press.twist_db = 7.0),
            ("the low tone louder by 11 dB", |press| press.twist_db = -11.0),
            ("-55 dBm0", |press| press.level_dbm0 = -55.0),
            ("noise as loud", |press| press.noise_db = Some(0.0)),
        ];
        for rate in [Rate::Narrow, Rate::Wide] {
            for (name, change) in taken {
                let presses = each(change);
                assert_eq!(heard(rate, &sound(rate, &presses)), keys(&presses), "{name}, {rate:?}");
            }
            for (name, change) in refused {
                let presses = each(change);
                assert_eq!(heard(rate, &sound(rate, &presses)), "", "{name}, {rate:?}");
            }
        }
    }

    #[test]
    fn how_long_a_key_was_down_is_told_when_it_is_up() {
        for rate in [Rate::Narrow, Rate::Wide] {
            let tones = [40, 60, 100, 250, 1_000];
            let presses = tones.map(|tone| Press { tone, ..PRESS });
            let mut listener = Listener::new(rate);
            let sound = sound(rate, &presses);
            let lasted: Vec<u64> = sound
                .chunks_exact(rate.frame())
                .filter_map(|frame| listener.hear(frame).lasted)
                .map(|lasted| lasted.as_millis() as u64)
                .collect();
            assert_eq!(lasted.len(), tones.len(), "{lasted:?}");
            for (told, tone) in lasted.iter().zip(tones) {
                assert!(told.abs_diff(tone as u64) <= 10, "{rate:?}: {told} ms of {tone}");
            }
        }
    }

    #[test]
    fn a_hole_of_10_ms_does_not_make_two_presses_of_one() {
        for hole in [4, 8, 10] {
            let mut sound = sound(Rate::Narrow, &[Press { tone: 200, ..PRESS }]);
            let from = 40 * 8 + 100 * 8;
            sound[from..from + hole * 8].fill(0);
            assert_eq!(heard(Rate::Narrow, &sound), "5", "{hole} ms");
        }
    }

    #[test]
    fn one_key_held_through_lost_frames_is_one_press() {
        for lost in 1..=4 {
            let sound = sound(Rate::Narrow, &[Press { tone: 400, ..PRESS }]);
            let mut listener = Listener::new(Rate::Narrow);
            let mut keys = 0;
            for (n, frame) in sound.chunks_exact(160).enumerate() {
                let heard = if (8..8 + lost).contains(&n) { listener.miss() } else { listener.hear(frame) };
                keys += usize::from(heard.key.is_some());
                assert!(heard.tone || !(4..20).contains(&n), "frame {n}, {lost} lost");
            }
            assert_eq!(keys, 1, "{lost} lost");
        }
    }

    #[test]
    fn single_tones_chords_and_dial_tones_are_no_keys() {
        let cases: &[(&str, &[f64])] = &[
            ("one tone of a key", &[770.0]),
            ("two of one group", &[697.0, 941.0]),
            ("two of the other", &[1_209.0, 1_633.0]),
            ("dial tone", &[350.0, 440.0]),
            ("European dial tone", &[425.0]),
            ("busy", &[480.0, 620.0]),
            ("a fax calls", &[1_100.0]),
            ("a chord of A", &[880.0, 1_108.7, 1_318.5]),
            ("a key and a third tone", &[770.0, 1_336.0, 2_000.0]),
        ];
        for (name, frequencies) in cases {
            let sound: Vec<i16> = (0..16_000)
                .map(|n| {
                    let time = std::f64::consts::TAU * f64::from(n) / 8_000.0;
                    frequencies.iter().map(|frequency| 5_000.0 * (frequency * time).sin()).sum::<f64>() as i16
                })
                .collect();
            assert_eq!(heard(Rate::Narrow, &sound), "", "{name}");
        }
    }
}
