//! A name said at the door: a few seconds of one leg, kept in memory for its call alone.
//!
//! The buffer is made where that is allowed and travels with the leg, so that taking a name
//! allocates nothing in the tick. Silence before and after the name is cut off.

use super::triple::Down;
use super::{Clip, Rate, level};

/// A name that is being said.
#[derive(Debug)]
pub struct Take {
    /// At 8 or 16 kHz; what is full is brought down.
    samples: Vec<i16>,
    /// Of the frames taken; a name in two rates would be none.
    rate: Option<Rate>,
    down: Box<Down>,
    /// Frames still wanted.
    left: usize,
}

/// Quieter frames than this are not part of the name: room noise and line noise lie below.
const QUIET_DBOV: f32 = -50.0;
/// Kept around the loud frames, so that soft beginnings and ends stay.
const KEPT_FRAMES: usize = 5;

impl Take {
    /// Room for so many frames of 20 ms.
    #[must_use]
    pub fn with_room_for(frames: usize) -> Self {
        Self {
            samples: Vec::with_capacity(frames * Rate::Wide.frame()),
            rate: None,
            down: Box::default(),
            left: frames,
        }
    }

    /// One more frame, of the rate that the leg has now. True when it was the last one wanted.
    pub fn push(&mut self, frame: &[i16], rate: Rate) -> bool {
        let same = *self.rate.get_or_insert(rate) == rate;
        let mut wide = [0; Rate::Wide.frame()];
        let frame = if rate == Rate::Full {
            self.down.process(frame, &mut wide);
            &wide
        } else {
            frame
        };
        if self.left == 0 || !same || self.samples.len() + frame.len() > self.samples.capacity() {
            return true;
        }
        self.samples.extend_from_slice(frame);
        self.left -= 1;
        self.left == 0
    }

    /// The name, ready to be played; `None` if nothing was said.
    #[must_use]
    pub fn into_clip(self) -> Option<Clip> {
        let rate = self.rate?.min(Rate::Wide);
        let frames = self.samples.chunks(rate.frame());
        let loud: Vec<usize> = frames
            .enumerate()
            .filter(|(_, frame)| level::dbov(frame) > QUIET_DBOV)
            .map(|(place, _)| place)
            .collect();
        let (first, last) = (loud.first()?, loud.last()?);
        let from = first.saturating_sub(KEPT_FRAMES) * rate.frame();
        let to = ((last + 1 + KEPT_FRAMES) * rate.frame()).min(self.samples.len());
        let mut name = self.samples[from..to].to_vec();
        soften(&mut name, rate);
        Some(match rate {
            Rate::Narrow => Clip::new(name),
            Rate::Wide | Rate::Full => Clip::from_16_khz(&name),
        })
    }
}

/// Fades both ends over 5 ms, so that the cuts do not click.
fn soften(samples: &mut [i16], rate: Rate) {
    let fade = rate.fade().min(samples.len() / 2);
    let count = samples.len();
    for n in 0..fade {
        let share = |sample: i16| (i32::from(sample) * n as i32 / fade as i32) as i16;
        samples[n] = share(samples[n]);
        samples[count - 1 - n] = share(samples[count - 1 - n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::{amplitude, tone};

    fn said(rate: Rate, frames: &[Option<f64>]) -> Option<Clip> {
        let mut take = Take::with_room_for(frames.len());
        for (n, frequency) in frames.iter().enumerate() {
            let frame: Vec<i16> = match frequency {
                Some(frequency) => {
                    let narrow = frequency * 8_000.0 / rate.hz() as f64;
                    tone(narrow, 8_000.0, n * rate.frame(), rate.frame()).collect()
                }
                None => vec![3; rate.frame()],
            };
            assert_eq!(take.push(&frame, rate), n + 1 == frames.len());
        }
        take.into_clip()
    }

    #[test]
    fn a_name_is_cut_out_of_the_silence_around_it() {
        for rate in Rate::ALL {
            let frames = [vec![None; 60], vec![Some(440.0); 50], vec![None; 90]].concat();
            let name = said(rate, &frames).unwrap();
            // The filter between may add a frame.
            assert!((name.seconds() - 1.2).abs() < 0.03, "{rate:?}: {} s", name.seconds());
            let middle = &name.samples(Rate::Narrow)[2_000..7_000];
            assert!(amplitude(middle, 440.0) > 7_000.0, "{rate:?}");
        }
    }

    #[test]
    fn who_says_nothing_has_no_name() {
        assert!(said(Rate::Narrow, &[None; 200]).is_none());
        assert!(Take::with_room_for(200).into_clip().is_none());
    }

    #[test]
    fn a_take_is_bounded_and_of_one_rate() {
        let mut take = Take::with_room_for(2);
        assert!(!take.push(&[1; 160], Rate::Narrow));
        assert!(take.push(&[1; 160], Rate::Narrow));
        assert!(take.push(&[1; 160], Rate::Narrow), "full");
        let mut take = Take::with_room_for(9);
        assert!(!take.push(&[1; 160], Rate::Narrow));
        assert!(take.push(&[1; 320], Rate::Wide), "the codec changed");
        assert_eq!(take.samples.len(), 160);
    }
}
