//! From any mixing rate to any other, frame by frame: what stands between a leg and its room.
//!
//! 8 to 16 kHz and 16 to 48 are a filter each, both ways; between 8 and 48 is one behind the other. Each step
//! delays by what it is said to, so a narrow leg of a full room is 2.4 ms late each way.

use super::{Rate, resample, triple};

#[derive(Clone, Debug, Default)]
pub struct Converter {
    up: (resample::Up, triple::Up),
    down: (triple::Down, resample::Down),
}

impl Converter {
    /// Fills `out`, at `to`, with the same time of `samples`, at `from`: at most 20 ms. Between the same two rates
    /// always; where they are the same nothing is done to the sound.
    pub fn process(&mut self, from: Rate, to: Rate, samples: &[i16], out: &mut [i16]) {
        let mut between = [0; Rate::Wide.frame()];
        let between = &mut between[..samples.len() / from.per_tick() * Rate::Wide.per_tick()];
        match (from, to) {
            (Rate::Narrow, Rate::Wide) => self.up.0.process(samples, out),
            (Rate::Wide, Rate::Full) => self.up.1.process(samples, out),
            (Rate::Narrow, Rate::Full) => {
                self.up.0.process(samples, between);
                self.up.1.process(between, out);
            }
            (Rate::Wide, Rate::Narrow) => self.down.1.process(samples, out),
            (Rate::Full, Rate::Wide) => self.down.0.process(samples, out),
            (Rate::Full, Rate::Narrow) => {
                self.down.0.process(samples, between);
                self.down.1.process(between, out);
            }
            (Rate::Narrow, Rate::Narrow) | (Rate::Wide, Rate::Wide) | (Rate::Full, Rate::Full) => {
                out.copy_from_slice(samples);
            }
        }
    }

    /// Whether something is still to come out when nothing more goes in.
    #[must_use]
    pub fn sounds(&self) -> bool {
        self.up.0.sounds() || self.up.1.sounds() || self.down.0.sounds() || self.down.1.sounds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::FRAME_MAX;
    use crate::audio::goertzel::{amplitude_at, tone_at};

    fn through(from: Rate, to: Rate, frequency: f64) -> Vec<i16> {
        let mut converter = Converter::default();
        let mut heard = Vec::new();
        for frame in 0..50 {
            let sound: Vec<i16> =
                tone_at(from.hz(), frequency, 10_000.0, frame * from.frame(), from.frame()).collect();
            let mut out = [0; FRAME_MAX];
            converter.process(from, to, &sound, &mut out[..to.frame()]);
            heard.extend_from_slice(&out[..to.frame()]);
        }
        heard.split_off(5 * to.frame())
    }

    #[test]
    fn what_both_rates_have_passes_and_what_one_has_not_does_not_fold_back() {
        for from in Rate::ALL {
            for to in Rate::ALL {
                let lower = from.min(to).hz() as f64;
                for frequency in [300.0, 1_000.0, 3_000.0, 6_500.0, 18_000.0] {
                    let heard = through(from, to, frequency);
                    if frequency < lower / 2.0 {
                        let got = amplitude_at(to.hz(), &heard, frequency);
                        assert!(
                            (got - 10_000.0).abs() < 500.0,
                            "{from:?} to {to:?}: {got} of {frequency} Hz"
                        );
                    } else if frequency < from.hz() as f64 / 2.0 {
                        // Wherever it might come back.
                        let peak = crate::audio::level::peak(&heard);
                        assert!(peak < 60, "{from:?} to {to:?}: {peak} of {frequency} Hz");
                    }
                }
            }
        }
    }

    #[test]
    fn it_sounds_until_all_that_went_in_has_come_out() {
        for from in Rate::ALL {
            for to in Rate::ALL {
                let mut converter = Converter::default();
                let mut out = [0; FRAME_MAX];
                assert!(!converter.sounds());
                converter.process(from, to, &[5_000; FRAME_MAX][..from.frame()], &mut out[..to.frame()]);
                assert_eq!(converter.sounds(), from != to, "{from:?} to {to:?}");
                let silence = [0; FRAME_MAX];
                converter.process(from, to, &silence[..from.frame()], &mut out[..to.frame()]);
                assert!(!converter.sounds(), "{from:?} to {to:?}");
                converter.process(from, to, &silence[..from.frame()], &mut out[..to.frame()]);
                assert!(out[..to.frame()].iter().all(|&sample| sample == 0), "{from:?} to {to:?}");
            }
        }
    }
}
