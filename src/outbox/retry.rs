//! What becomes of an item after an attempt: sent, tried again later, or given up. No I/O.

use jiff::{SignedDuration, Timestamp};

/// Why one item was not taken. A reason is one line without secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It may be taken later, or nobody could be reached.
    Transient(String),
    /// It will not be taken.
    Permanent(String),
}

/// For the outbox to write down. A reason is one line without secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    Sent,
    Later { at: Timestamp, why: String },
    Failed { why: String },
}

/// `attempts` are those before this one.
#[must_use]
pub fn outcome(result: Result<(), Fault>, attempts: u32, now: Timestamp) -> Outcome {
    match result {
        Ok(()) => Outcome::Sent,
        Err(Fault::Permanent(why)) => Outcome::Failed { why },
        Err(Fault::Transient(why)) if attempts + 1 >= ATTEMPTS_MAX => {
            Outcome::Failed { why: format!("given up after {ATTEMPTS_MAX} attempts: {why}") }
        }
        Err(Fault::Transient(why)) => {
            let wait = FIRST_PAUSE.saturating_mul(1 << attempts.min(10)).min(LONGEST_PAUSE);
            Outcome::Later { at: now.checked_add(wait).unwrap_or(Timestamp::MAX), why }
        }
    }
}

/// Half a minute, doubled each time to at most two hours: over two days in all, as RFC 5321 §4.5.4.1
/// asks for at least (with 4–5 days as the better choice for mail that does not grow stale; ours does).
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(30);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(2);
const ATTEMPTS_MAX: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_two_hours_and_end_after_two_days() {
        let begin = Timestamp::UNIX_EPOCH;
        let mut now = begin;
        let mut pauses = Vec::new();
        for attempts in 0.. {
            match outcome(Err(Fault::Transient("451 busy".to_owned())), attempts, now) {
                Outcome::Later { at, why } => {
                    assert_eq!(why, "451 busy");
                    pauses.push(at.duration_since(now).as_secs());
                    now = at;
                }
                Outcome::Failed { why } => {
                    assert_eq!(why, "given up after 32 attempts: 451 busy");
                    break;
                }
                Outcome::Sent => panic!("nothing was sent"),
            }
        }
        assert_eq!(pauses[..10], [30, 60, 120, 240, 480, 960, 1920, 3840, 7200, 7200]);
        let hours = now.duration_since(begin).as_hours();
        assert!((45..=72).contains(&hours), "{hours} h");
        assert_eq!(outcome(Ok(()), 9, begin), Outcome::Sent);
        let refused = outcome(Err(Fault::Permanent("550 no".to_owned())), 0, begin);
        assert_eq!(refused, Outcome::Failed { why: "550 no".to_owned() });
    }
}
