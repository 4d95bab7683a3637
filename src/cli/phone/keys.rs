//! What a caller's fingers do: keys and pauses, as one line of text.

use std::str::FromStr;
use std::time::Duration;

use crate::types::Digit;

/// One thing that fingers do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finger {
    Press(Digit),
    Wait(Duration),
    /// Wait until speech has been heard and has ended.
    Listen,
}

/// Steps with commas between them: `123456789#,w2,1234#`. A step is keys, `wN` (wait N seconds, `w0.5`
/// too) or `p` (listen until the prompt has ended).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Keys(pub Vec<Finger>);

/// Shows no keys: they may be a PIN.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotKeys {
    #[error("step {step} of the keys, expected keys (0-9 * # A-D), \"p\", or \"w\" and seconds")]
    Step { step: usize },
    #[error("step {step} of the keys waits longer than an hour")]
    TooLong { step: usize },
}

impl Keys {
    /// How many keys are pressed in all.
    #[must_use]
    pub fn presses(&self) -> usize {
        self.0.iter().filter(|finger| matches!(finger, Finger::Press(_))).count()
    }
}

impl FromStr for Keys {
    type Err = NotKeys;

    fn from_str(text: &str) -> Result<Self, NotKeys> {
        let mut fingers = Vec::new();
        for (step, part) in text.split(',').map(str::trim).enumerate() {
            let wrong = || NotKeys::Step { step: step + 1 };
            if part == "p" {
                fingers.push(Finger::Listen);
            } else if let Some(seconds) = part.strip_prefix('w') {
                let seconds: f64 = seconds.parse().map_err(|_| wrong())?;
                if seconds > 3_600.0 {
                    return Err(NotKeys::TooLong { step: step + 1 });
                }
                fingers.push(Finger::Wait(Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?));
            } else if !part.is_empty() {
                for key in part.chars() {
                    fingers.push(Finger::Press(Digit::from_char(key).ok_or_else(wrong)?));
                }
            }
        }
        Ok(Self(fingers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_keys_is_read_step_by_step() {
        let press = |key| Finger::Press(Digit::from_char(key).unwrap());
        let keys: Keys = "12#, w2,p,w0.5,*6".parse().unwrap();
        assert_eq!(
            keys.0,
            [
                press('1'),
                press('2'),
                press('#'),
                Finger::Wait(Duration::from_secs(2)),
                Finger::Listen,
                Finger::Wait(Duration::from_millis(500)),
                press('*'),
                press('6'),
            ]
        );
        assert_eq!(keys.presses(), 5);
        assert_eq!("".parse(), Ok(Keys::default()));
    }

    #[test]
    fn what_no_finger_can_do_is_refused_without_showing_it() {
        let cases = [
            ("12x", NotKeys::Step { step: 1 }),
            ("1,w", NotKeys::Step { step: 2 }),
            ("1,w-1", NotKeys::Step { step: 2 }),
            ("wNaN", NotKeys::Step { step: 1 }),
            ("w4000", NotKeys::TooLong { step: 1 }),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Keys>(), Err(expected), "{text}");
        }
        assert!(!"4711x".parse::<Keys>().unwrap_err().to_string().contains("4711"));
    }
}
