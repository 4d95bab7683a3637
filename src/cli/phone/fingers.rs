//! Presses keys one after another, each for a while and with a gap, as fingers do.
//!
//! Time is counted in frames of 20 ms, so what fingers do is the same in a test and in a call.

use std::collections::VecDeque;
use std::time::Duration;

use super::keys::{Finger, Keys};
use super::tone::{Tone, key_tones};
use super::voice::{FRAME, Frame};
use crate::types::Digit;

/// How keys travel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum DigitsBy {
    /// Telephone events in RTP (RFC 4733).
    #[default]
    Rtp,
    /// SIP INFO with application/dtmf-relay.
    Info,
    /// Tones in the sound.
    Inband,
}

const FRAME_TIME: Duration = Duration::from_millis(20);

/// A key is down for 100 ms (an even number of frames) and up for 80 ms.
pub const PRESS_FRAMES: u32 = 5;
const GAP_FRAMES: u32 = 4;
/// By INFO there is nothing to hold; 160 ms from key to key.
const INFO_GAP_FRAMES: u32 = 8;
/// Three repeated ends follow a press in RTP (RFC 4733 §2.5.1.4), two of them after its last frame.
const ENDS_FRAMES: u32 = 2;
/// Loudness of each of a key's two tones.
const KEY_DB: f64 = -12.0;

/// Sound louder than this is speech or music, and a prompt has ended after this long below it.
pub const SOUND_DB: f64 = -45.0;
const QUIET_FRAMES: u32 = 35;

/// What a frame's time asks for, besides or instead of the voice.
#[derive(Clone, Debug, PartialEq)]
pub enum Now {
    /// Nothing: the voice is heard.
    Voice,
    /// A key goes down: send its first RTP event. The voice stops until it is up.
    Press(Digit),
    /// The key is still down, or its last packets go out.
    Held,
    /// Send an INFO; the voice goes on.
    Info(Digit),
    /// This sound in place of the voice.
    Sound(Box<Frame>),
}

/// One caller's fingers.
#[derive(Debug)]
pub struct Fingers {
    by: DigitsBy,
    todo: VecDeque<Finger>,
    doing: Doing,
    /// Keys pressed so far.
    pub pressed: usize,
}

#[derive(Debug)]
enum Doing {
    Nothing,
    Holding { frames: u32 },
    Sounding { tones: Box<(Tone, Tone)>, frames: u32 },
    Pausing { frames: u32 },
    Listening { heard: bool, quiet: u32 },
}

impl Fingers {
    #[must_use]
    pub fn new(by: DigitsBy) -> Self {
        Self { by, todo: VecDeque::new(), doing: Doing::Nothing, pressed: 0 }
    }

    pub fn add(&mut self, keys: Keys) {
        self.todo.extend(keys.0);
    }

    /// Nothing is left to press or to wait for.
    #[must_use]
    pub fn are_idle(&self) -> bool {
        self.todo.is_empty() && matches!(self.doing, Doing::Nothing)
    }

    /// The next 20 ms. `heard_db` is how loud the last 20 ms were that came in.
    pub fn next(&mut self, heard_db: f64) -> Now {
        match &mut self.doing {
            Doing::Nothing => {}
            Doing::Holding { frames: 0 } => self.doing = Doing::Pausing { frames: GAP_FRAMES - 1 },
            Doing::Holding { frames } => {
                *frames -= 1;
                return Now::Held;
            }
            Doing::Sounding { frames: 0, .. } => self.doing = Doing::Pausing { frames: GAP_FRAMES - 1 },
            Doing::Sounding { tones, frames } => {
                *frames -= 1;
                return Now::Sound(sound(tones));
            }
            Doing::Pausing { frames: 0 } => self.doing = Doing::Nothing,
            Doing::Pausing { frames } => *frames -= 1,
            Doing::Listening { heard: true, quiet: QUIET_FRAMES } => self.doing = Doing::Nothing,
            Doing::Listening { heard, quiet } => {
                *heard |= heard_db > SOUND_DB;
                *quiet = if heard_db > SOUND_DB { 0 } else { (*quiet + 1).min(QUIET_FRAMES) };
            }
        }
        if matches!(self.doing, Doing::Nothing) { self.begin() } else { Now::Voice }
    }

    fn begin(&mut self) -> Now {
        match self.todo.pop_front() {
            None => Now::Voice,
            Some(Finger::Wait(time)) => {
                self.doing = Doing::Pausing { frames: frames(time) };
                Now::Voice
            }
            Some(Finger::Listen) => {
                self.doing = Doing::Listening { heard: false, quiet: 0 };
                Now::Voice
            }
            Some(Finger::Press(digit)) => {
                self.pressed += 1;
                match self.by {
                    DigitsBy::Rtp => {
                        self.doing = Doing::Holding { frames: PRESS_FRAMES + ENDS_FRAMES - 1 };
                        Now::Press(digit)
                    }
                    DigitsBy::Info => {
                        self.doing = Doing::Pausing { frames: INFO_GAP_FRAMES };
                        Now::Info(digit)
                    }
                    DigitsBy::Inband => {
                        let (low, high) = key_tones(digit);
                        let mut tones = Box::new((Tone::new(low, KEY_DB), Tone::new(high, KEY_DB)));
                        let first = sound(&mut tones);
                        self.doing = Doing::Sounding { tones, frames: PRESS_FRAMES - 1 };
                        Now::Sound(first)
                    }
                }
            }
        }
    }
}

fn sound(tones: &mut (Tone, Tone)) -> Box<Frame> {
    let mut frame = Box::new([0; FRAME]);
    frame.fill_with(|| tones.0.next_sample() + tones.1.next_sample());
    frame
}

fn frames(time: Duration) -> u32 {
    time.div_duration_f64(FRAME_TIME).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::phone::tone::level;

    /// What happens in `count` frames: `k` a key goes down, `h` held, `i` INFO, `s` sound, `.` voice.
    fn played(by: DigitsBy, keys: &str, count: usize) -> String {
        let mut fingers = Fingers::new(by);
        fingers.add(keys.parse().unwrap());
        (0..count).map(|_| letter(&fingers.next(-120.0))).collect()
    }

    fn letter(now: &Now) -> char {
        match now {
            Now::Voice => '.',
            Now::Press(_) => 'k',
            Now::Held => 'h',
            Now::Info(_) => 'i',
            Now::Sound(_) => 's',
        }
    }

    #[test]
    fn keys_are_held_and_let_go() {
        assert_eq!(played(DigitsBy::Rtp, "12", 25), "khhhhhh....khhhhhh.......");
        assert_eq!(played(DigitsBy::Info, "12", 20), "i........i..........");
        assert_eq!(played(DigitsBy::Inband, "12", 20), "sssss....sssss......");
        assert_eq!(played(DigitsBy::Info, "w0.1,1", 10), "......i...");
    }

    #[test]
    fn a_key_waits_for_the_end_of_the_prompt() {
        let mut fingers = Fingers::new(DigitsBy::Info);
        fingers.add("p,1".parse().unwrap());
        let loud = |frame: u32| if (50..100).contains(&frame) && frame % 10 > 2 { -20.0 } else { -90.0 };
        let pressed = (0..300).find(|&frame| matches!(fingers.next(loud(frame)), Now::Info(_))).unwrap();
        assert!((130..140).contains(&pressed), "{pressed}");
        assert!(!fingers.are_idle());
    }

    #[test]
    fn a_key_sounds_as_the_keypad_says() {
        let mut fingers = Fingers::new(DigitsBy::Inband);
        fingers.add("5".parse().unwrap());
        let mut heard = Vec::new();
        while let Now::Sound(frame) = fingers.next(-120.0) {
            heard.extend_from_slice(&frame[..]);
        }
        assert_eq!(heard.len(), 800);
        for (hz, sounds) in [(770.0, true), (1336.0, true), (697.0, false), (941.0, false), (1477.0, false)] {
            assert_eq!(level(&heard, hz) > -20.0, sounds, "{hz} Hz: {}", level(&heard, hz));
        }
    }
}
