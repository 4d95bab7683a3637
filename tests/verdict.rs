//! The time of a verdict tells nothing: measured on the wire, from the last key's RTP packet to the
//! packet with the first sound of the answer.
//!
//! Many phones at once enter wrong details, of PINs that exist and of PINs that do not, and right ones
//! with and without a code. Welch's t between two classes says whether somebody with a stopwatch could
//! tell them apart. `DOORLINE_VERDICT_TRIES=2000` is the long form.

mod support;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doorline::cli::phone::{Call, Plan, Voice};
use support::scene::{ANSWER, dial, entry, in_meeting, pause};
use support::{Doorline, Host, Meeting, Options, lab};

/// Phones at once. More would measure the machine.
const PHONES: usize = 24;

/// Wrong rounds that a call has before it is told good-bye.
const ROUNDS: usize = 2;

/// The most that a code bears, and the calls that try at one before the next one's turn.
const CODE_TRIES: usize = 100;
const CALLS_A_CODE: usize = CODE_TRIES / ROUNDS;

/// Louder than this is the answer's speech, of 16 bits; nothing is played before it.
const SPEECH: i16 = 300;

/// More than this between two classes and a stopwatch could tell them apart.
const WELCH_MOST: f64 = 4.5;

/// From the last key to the verdict by SECURITY.md, and what a prompt's own beginning and the way through
/// jitter buffers and ticks may add.
const VERDICT: Duration = Duration::from_millis(1_200);

/// What one call enters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Class {
    /// A PIN that is nobody's, then a code.
    NobodysPin,
    /// The PIN of a host whose meeting has a code, then a wrong one.
    WrongCode,
    /// The same with the right one.
    RightCode,
    /// The PIN of a host who has nothing that a code protects.
    PinAlone,
}

/// One measured time, in milliseconds.
#[derive(Clone, Copy, Debug)]
enum Measured {
    /// From a PIN's last key to the question for the code.
    CodeAsked(Class, f64),
    /// From the last key to the verdict.
    Verdict(Class, f64),
}

struct Lab {
    door: Doorline,
    host: Host,
    meeting: Meeting,
    open: Host,
    standing: Meeting,
    /// Hosts whose codes are guessed at, in turn, and how many calls have done so.
    guessed: Vec<(Host, Meeting)>,
    guesses: AtomicUsize,
}

#[test]
fn the_time_of_a_verdict_does_not_tell_which_part_was_wrong() {
    let tries: usize = std::env::var("DOORLINE_VERDICT_TRIES")
        .map_or(32, |text| text.parse().expect("DOORLINE_VERDICT_TRIES is a number"));
    // The budgets are another test's; here every try must be compared.
    let config = format!(
        "\n[guessing]\ncode_tries = {CODE_TRIES}\nhost_tries = {CODE_TRIES}\n\n[limits]\ncalls_entering_max = 50\n"
    );
    let calls = tries.div_ceil(ROUNDS);
    let door = Doorline::start(Options { config, ..Options::default() });
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    let open = api.new_host("Grace");
    let standing = api.items(&format!("/hosts/{}/meetings", open.id));
    let standing = standing.iter().find(|meeting| meeting["standing"] == true).expect("it always exists");
    let standing = Meeting { id: support::api::text(standing, "id"), code: None };
    let guessed = (0..calls.div_ceil(CALLS_A_CODE))
        .map(|n| {
            let host = api.new_host(&format!("Guessed{n}"));
            let meeting = api.new_one_time_meeting(&host);
            (host, meeting)
        })
        .collect();
    let lab = Lab { door, host, meeting, open, standing, guessed, guesses: AtomicUsize::new(0) };

    // Somebody is in each meeting, so that all who come hear the same.
    let first = dial(Plan { keys: entry(&lab.host, &lab.meeting), ..lab.plan(0) });
    in_meeting(&api, &lab.meeting, 1);
    let second = dial(Plan { keys: entry(&lab.open, &lab.standing), ..lab.plan(1) });
    in_meeting(&api, &lab.standing, 1);
    pause(6_000);

    let mut classes = Vec::new();
    for n in 0..tries {
        // In turn, so that a machine that gets busier makes all of them later.
        if n < calls {
            classes.extend([Class::NobodysPin, Class::WrongCode]);
        }
        classes.extend([Class::RightCode, Class::PinAlone]);
    }
    // Each from a number of its own.
    let todo: VecDeque<(usize, Class)> = (10..).zip(classes).collect();
    let (todo, measured) = (Arc::new(Mutex::new(todo)), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for phone in 0..PHONES {
            let (todo, measured, lab) = (Arc::clone(&todo), &measured, &lab);
            scope.spawn(move || {
                pause(phone as u64 * 137);
                loop {
                    let Some((number, class)) = todo.lock().expect("nobody panics here").pop_front() else {
                        return;
                    };
                    let times = lab.measure(number, class);
                    measured.lock().expect("nobody panics here").extend(times);
                }
            });
        }
    });
    drop((first, second));
    let measured = measured.into_inner().expect("nobody panics here");
    let of = |pick: &dyn Fn(&Measured) -> Option<f64>| measured.iter().filter_map(pick).collect::<Vec<f64>>();
    let verdict = |class| {
        of(&|one| matches!(one, Measured::Verdict(of, _) if *of == class).then(|| one.milliseconds()))
    };
    let asked = |class| {
        of(&|one| matches!(one, Measured::CodeAsked(of, _) if *of == class).then(|| one.milliseconds()))
    };
    let compared = [
        ("verdict, nobody's PIN / wrong code", verdict(Class::NobodysPin), verdict(Class::WrongCode)),
        ("code asked, nobody's PIN / a host's", asked(Class::NobodysPin), asked(Class::WrongCode)),
        ("let in, by PIN and code / by PIN alone", verdict(Class::RightCode), verdict(Class::PinAlone)),
    ];
    let mut told = Vec::new();
    for (what, one, other) in &compared {
        assert!(
            one.len() * 10 >= tries * 9 && other.len() * 10 >= tries * 9,
            "{what}: too few were measured"
        );
        let t = welch(one, other);
        println!("{what}: {} / {}, Welch's t {t:+.2}", summary(one), summary(other));
        told.push((what, t));
    }
    for (what, t) in told {
        assert!(t.abs() < WELCH_MOST, "{what}: t = {t:.2}");
    }
    let earliest = compared[0].1.iter().chain(&compared[0].2).copied().fold(f64::MAX, f64::min);
    let at_least = VERDICT.as_secs_f64() * 1_000.0;
    assert!(earliest >= at_least, "a verdict came {earliest:.0} ms after the last key");
}

impl Measured {
    fn milliseconds(self) -> f64 {
        match self {
            Self::CodeAsked(_, ms) | Self::Verdict(_, ms) => ms,
        }
    }
}

impl Lab {
    fn plan(&self, number: usize) -> Plan {
        let plan = Plan::new(&self.door.uri(), &format!("+1555{number:07}")).expect("the plan is good");
        Plan { local: lab(u8::try_from(number % 200 + 1).expect("it is small")).into(), ..plan }
    }

    /// Makes one call of this class. What was disturbed by something else is left out.
    fn measure(&self, number: usize, class: Class) -> Vec<Measured> {
        let (host, meeting) = match class {
            Class::WrongCode => {
                let n = self.guesses.fetch_add(1, Ordering::Relaxed);
                let (host, meeting) = &self.guessed[n / CALLS_A_CODE];
                (host, meeting)
            }
            _ => (&self.host, &self.meeting),
        };
        let right = meeting.code();
        let (keys, rounds) = match class {
            Class::NobodysPin | Class::WrongCode => {
                let rounds: Vec<String> = (0..ROUNDS)
                    .map(|_| {
                        let pin =
                            if class == Class::WrongCode { host.pin.clone() } else { self.nobodys_pin() };
                        let code = std::iter::repeat_with(|| digits(4)).find(|code| code != right);
                        format!("{pin},w1.2,{}", code.expect("there are others"))
                    })
                    .collect();
                // The verdict and its first words, before the next round's first key.
                (rounds.join(",w2.5,"), ROUNDS)
            }
            Class::RightCode => (format!("{}{right}", host.pin), 1),
            Class::PinAlone => (self.open.pin.clone(), 1),
        };
        let keys = keys.parse().expect("they are keys");
        let call =
            Call::dial(Plan { keys, voice: Voice::Silent, ..self.plan(number) }).expect("the phone works");
        if call.wait_for_answer(ANSWER).is_err() || call.wait_for_keys(Duration::from_secs(60)).is_err() {
            return Vec::new();
        }
        pause(2_300);
        let (heard, pressed) = (call.heard(), call.pressed_at());
        let mut measured = Vec::new();
        let onset =
            |key: usize| answer_after(&call, &heard, *pressed.get(key)?, pressed.get(key + 1).copied());
        let pin = host.pin.len();
        match class {
            Class::NobodysPin | Class::WrongCode => {
                for round in 0..rounds {
                    let first = round * (pin + right.len());
                    measured.extend(onset(first + pin - 1).map(|ms| Measured::CodeAsked(class, ms)));
                    let last = first + pin + right.len() - 1;
                    measured.extend(onset(last).map(|ms| Measured::Verdict(class, ms)));
                }
            }
            Class::RightCode | Class::PinAlone => {
                measured.extend(onset(pressed.len() - 1).map(|ms| Measured::Verdict(class, ms)));
            }
        }
        measured
    }

    /// As long as a PIN, and not one of ours.
    fn nobodys_pin(&self) -> String {
        let guessed = self.guessed.iter().map(|(host, _)| host);
        let ours: Vec<&str> = guessed.chain([&self.host, &self.open]).map(|host| host.pin.as_str()).collect();
        std::iter::repeat_with(|| digits(self.host.pin.len()))
            .find(|pin| !pin.starts_with('0') && !ours.contains(&pin.as_str()))
            .expect("there are others")
    }
}

/// Milliseconds from a key to the first sound after it, before the `next` one.
fn answer_after(call: &Call, heard: &[i16], key: Instant, next: Option<Instant>) -> Option<f64> {
    // What was played when the key came has stopped by then.
    let from = call.heard_by(key + Duration::from_millis(150))?;
    let at = from + heard[from..].iter().position(|sample| sample.unsigned_abs() > SPEECH.unsigned_abs())?;
    let arrived = call.arrived_at(at)?;
    (next.is_none_or(|next| arrived < next)).then(|| (arrived - key).as_secs_f64() * 1_000.0)
}

/// Welch's t: how many standard errors lie between two means.
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let error = variance(one) / one.len() as f64 + variance(other) / other.len() as f64;
    (mean(one) - mean(other)) / error.sqrt()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

fn summary(values: &[f64]) -> String {
    format!("{} at {:.1} ± {:.1} ms", values.len(), mean(values), variance(values).sqrt())
}

fn digits(count: usize) -> String {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).expect("the system's random source works");
    bytes.iter().map(|byte| char::from(b'0' + byte % 10)).collect()
}
