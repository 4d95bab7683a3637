//! What is done to one caller's voice before others hear it, and whether they are speaking.
//!
//! Speech is what rises above the noise, and the noise is what is always there: the softest that was
//! heard within the last seconds. Only speech is measured and only by it the gain moves, slowly, so
//! that pauses are not turned up. A steady tone is noise by this measure.

use super::level;

/// What is wanted of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Wishes {
    /// Bring speech to [`TARGET_DBM0`].
    pub automatic_gain: bool,
    /// Between words nothing at all is heard of the caller.
    pub noise_gate: bool,
}

/// Active speech level that the gain aims at (ITU-T P.56), in dBm0.
pub const TARGET_DBM0: f32 = -19.0;
/// What the gain may be, in dB.
pub const GAIN_MIN: f32 = -12.0;
pub const GAIN_MAX: f32 = 15.0;

/// What a dBov is more than a dBm0: a full-scale sine is -3.01 dBov and +3.15 dBm0.
const DBM0_ABOVE_DBOV: f32 = 6.16;
/// Speech is this far above the noise, and not softer than this.
const ABOVE_NOISE: f32 = 9.0;
const SPEECH_MIN: f32 = -52.0;
/// What an idle line is taken for, in dBm0.
const SILENT: f32 = -90.0;
/// Frames of the window in which the softest is looked for: 0.8 to 1.6 s.
const NOISE_WINDOW: u32 = 40;
/// The gain's steps in a frame of speech: 3 dB up and 10 dB down in a second.
const STEP_UP: f32 = 0.06;
const STEP_DOWN: f32 = 0.2;
/// Frames of speech that are measured before the gain moves, and over how many it is averaged: 2 s.
const MEASURED_MIN: u32 = 15;
const AVERAGED: u32 = 100;
/// Frames of speech, within five, that make a speaker, and frames without it that unmake one: 0.8 s.
const ON: u32 = 3;
const OFF: u32 = 40;
/// The gate closes after so many frames without speech: 0.3 s.
const GATE: u32 = 15;
/// One of so many frames of background is looked at: 0.3 s.
const LOOK: u32 = 16;
/// What is no speech and softer than this, in dBm0, is background.
const BACKGROUND_MAX: f32 = -45.0;
/// An offset below this is left alone: samples then pass as they came. It is the mean of so many frames, 5 s,
/// and not believed before a second.
const OFFSET_MIN: f32 = 30.0;
const OFFSET_FRAMES: u32 = 250;
const OFFSET_KNOWN: u32 = 50;
/// No sample is made louder than this.
const PEAK_MAX: f32 = 30_000.0;

#[derive(Clone, Debug)]
pub struct Voice {
    wishes: Wishes,
    noise: Noise,
    /// How loud the last frame was that was heard, in dBm0.
    level: f32,
    /// One bit per frame, the newest last: was it speech.
    speech: u32,
    /// Frames since the last of speech, and since the last that was more than background.
    quiet: u32,
    background: u32,
    /// Others have enough to hear without its background.
    crowded: bool,
    talking: bool,
    told: bool,
    /// Mean power of speech, 1 for full scale, and frames that went into it.
    power: f32,
    measured: u32,
    gain_db: f32,
    /// What the last frame ended with.
    factor: f32,
    /// What is taken away, and what the mean is so far, of so many frames.
    offset: f32,
    mean: f32,
    frames: u32,
}

impl Default for Voice {
    fn default() -> Self {
        Self {
            wishes: Wishes::default(),
            noise: Noise::default(),
            level: SILENT,
            speech: 0,
            quiet: OFF,
            background: 0,
            crowded: false,
            talking: false,
            told: false,
            power: 0.0,
            measured: 0,
            gain_db: 0.0,
            factor: 1.0,
            offset: 0.0,
            mean: 0.0,
            frames: 0,
        }
    }
}

impl Voice {
    pub fn wish(&mut self, wishes: Wishes) {
        self.wishes = wishes;
    }

    /// Whether it is one of many: then nothing of its background is heard. Each would be next to nothing, all
    /// together are a noise, and whoever only listens can be sent what all listeners are sent.
    pub fn be_one_of_many(&mut self, crowded: bool) {
        self.crowded = crowded;
    }

    /// Others begin to hear it, or cease to: it does not speak. What is known of it stays.
    pub fn rest(&mut self) {
        self.speech = 0;
        self.quiet = OFF;
        self.talking = false;
    }

    /// A frame of silence, or none.
    pub fn silent(&mut self) {
        self.level = SILENT;
        self.noise.note(SILENT);
        self.note(false);
    }

    /// A frame that nobody was to hear, and that was not made: it is taken to be like the last.
    pub fn left_out(&mut self) {
        self.noise.note(self.level);
        self.note(false);
    }

    /// Whether nothing of the next frame will be heard if it is background. Now and then it is to be made all the
    /// same: what gets loud is heard, whatever it is.
    #[must_use]
    pub fn may_be_left_out(&self) -> bool {
        self.leaves_out() && !self.background.is_multiple_of(LOOK)
    }

    fn leaves_out(&self) -> bool {
        self.crowded && self.background > GATE
    }

    /// A frame that is not theirs to be heard: they are muted, or press a key.
    pub fn unheard(&mut self) {
        self.note(false);
        // What comes after it is looked at before it is left out.
        self.background = 0;
    }

    /// A frame of sound; what others are to hear of it stands there afterwards.
    pub fn hear(&mut self, samples: &mut [i16]) {
        self.remove_offset(samples);
        let level = level::dbov(samples) + DBM0_ABOVE_DBOV;
        let speech = level > self.noise.floor() + ABOVE_NOISE && level > SPEECH_MIN;
        self.level = level;
        self.noise.note(level);
        self.note(speech);
        if speech || level > BACKGROUND_MAX {
            self.background = 0;
        }
        if speech && self.wishes.automatic_gain {
            self.measure(level);
        }
        let gain = if self.wishes.automatic_gain { self.gain_db } else { 0.0 };
        let closed = self.wishes.noise_gate && self.quiet > GATE || self.leaves_out();
        let mut factor = if closed { 0.0 } else { 10_f32.powf(gain / 20.0) };
        if self.factor != 1.0 || factor != 1.0 {
            factor = factor.min(PEAK_MAX / f32::from(level::peak(samples)).max(1.0)).min(factor.max(1.0));
            let step = (factor - self.factor) / samples.len() as f32;
            let mut now = self.factor;
            for sample in samples {
                now += step;
                *sample = (f32::from(*sample) * now) as i16;
            }
            self.factor = factor;
        }
    }

    /// Whether they speak: from 60 ms of speech on, until 0.8 s without.
    #[must_use]
    pub fn talks(&self) -> bool {
        self.talking
    }

    /// Whether that has changed since it was last asked; then it counts as told.
    pub fn take_change(&mut self) -> Option<bool> {
        let changed = self.told != self.talking;
        self.told = self.talking;
        changed.then_some(self.talking)
    }

    /// Now, in dB; 0 until speech has been measured.
    #[must_use]
    pub fn gain_db(&self) -> f32 {
        self.gain_db
    }

    fn note(&mut self, speech: bool) {
        self.speech = self.speech << 1 | u32::from(speech);
        self.quiet = if speech { 0 } else { self.quiet.saturating_add(1) };
        self.background = self.background.saturating_add(1);
        if (self.speech & 0b1_1111).count_ones() >= ON {
            self.talking = true;
        } else if self.quiet >= OFF {
            self.talking = false;
        }
    }

    fn measure(&mut self, level: f32) {
        self.measured = self.measured.saturating_add(1);
        let share = 1.0 / self.measured.min(AVERAGED) as f32;
        self.power += (10_f32.powf(level / 10.0) - self.power) * share;
        if self.measured >= MEASURED_MIN {
            let wanted = (TARGET_DBM0 - 10.0 * self.power.log10()).clamp(GAIN_MIN, GAIN_MAX);
            self.gain_db += (wanted - self.gain_db).clamp(-STEP_DOWN, STEP_UP);
        }
    }

    /// Takes away what the samples are off zero on average, as bad converters make them.
    fn remove_offset(&mut self, samples: &mut [i16]) {
        let sum: i64 = samples.iter().map(|&sample| i64::from(sample)).sum();
        self.frames = self.frames.saturating_add(1);
        let share = 1.0 / self.frames.min(OFFSET_FRAMES) as f32;
        self.mean += (sum as f32 / samples.len() as f32 - self.mean) * share;
        let before = self.offset;
        let known = self.frames >= OFFSET_KNOWN && self.mean.abs() >= OFFSET_MIN;
        self.offset = if known { self.mean } else { 0.0 };
        if before == 0.0 && self.offset == 0.0 {
            return;
        }
        let step = (self.offset - before) / samples.len() as f32;
        let mut now = before;
        for sample in samples {
            now += step;
            *sample = (f32::from(*sample) - now).clamp(-32_768.0, 32_767.0) as i16;
        }
    }
}

/// The softest of the last 0.8 to 1.6 seconds, in dBm0.
#[derive(Clone, Copy, Debug)]
struct Noise {
    before: f32,
    now: f32,
    frames: u32,
}

impl Default for Noise {
    fn default() -> Self {
        Self { before: f32::INFINITY, now: f32::INFINITY, frames: 0 }
    }
}

impl Noise {
    fn note(&mut self, level: f32) {
        self.now = self.now.min(level);
        self.frames += 1;
        if self.frames == NOISE_WINDOW {
            (self.before, self.now, self.frames) = (self.now, level, 0);
        }
    }

    /// Nothing is above it before the first frame.
    fn floor(&self) -> f32 {
        self.before.min(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::{dbm0, tone};
    use crate::audio::{FRAME, SILENCE};

    /// Something like speech: syllables of a voice with harmonics, words, pauses. `level` is that of its
    /// syllables, in dBm0.
    fn speech(seconds: usize, level: f64, noise: f64) -> Vec<i16> {
        let mut random = 1_u32;
        (0..seconds * 8_000)
            .map(|n| {
                let time = n as f64 / 8_000.0;
                let said = time % 4.0 < 3.0 && time % 0.3 < 0.2;
                let pitch = 120.0 + 20.0 * (time * 1.7).sin();
                let voice: f64 = (1..8)
                    .map(|h| (std::f64::consts::TAU * pitch * f64::from(h) * time).sin() / f64::from(h))
                    .sum();
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let hiss = f64::from(random as i32 >> 16) / 32_768.0 * dbm0(noise) * 1.22;
                let loud = if said { 0.81 * dbm0(level) * voice } else { 0.0 };
                (loud + hiss).clamp(-32_768.0, 32_767.0) as i16
            })
            .collect()
    }

    fn through(voice: &mut Voice, sound: &[i16]) -> Vec<i16> {
        let mut out = sound.to_vec();
        out.chunks_exact_mut(FRAME).for_each(|frame| voice.hear(frame));
        out
    }

    /// Of the frames that are not far below the loudest.
    fn active(sound: &[i16]) -> f32 {
        let levels: Vec<f32> = sound.chunks_exact(FRAME).map(level::dbov).collect();
        let loudest = levels.iter().copied().fold(f32::MIN, f32::max);
        let active: Vec<f32> = levels.into_iter().filter(|&level| level > loudest - 15.0).collect();
        let power: f32 = active.iter().map(|level| 10_f32.powf(level / 10.0)).sum();
        10.0 * (power / active.len() as f32).log10() + DBM0_ABOVE_DBOV
    }

    fn with(automatic_gain: bool, noise_gate: bool) -> Voice {
        let mut voice = Voice::default();
        voice.wish(Wishes { automatic_gain, noise_gate });
        voice
    }

    #[test]
    fn every_voice_becomes_as_loud_as_the_others() {
        for (level, expected) in
            [(-40.0, -25.0), (-32.0, -19.0), (-26.0, -19.0), (-19.0, -19.0), (-8.0, -19.0)]
        {
            let sound = speech(20, level, -70.0);
            let before = active(&sound[12 * 8_000..]);
            let mut voice = with(true, false);
            let after = active(&through(&mut voice, &sound)[12 * 8_000..]);
            println!("{before:.1} dBm0 becomes {after:.1}, gain {:.1} dB", voice.gain_db());
            assert!((after - expected).abs() < 2.0, "{before:.1} dBm0 becomes {after:.1}");
        }
    }

    #[test]
    fn pauses_and_noise_are_never_turned_up() {
        let mut voice = with(true, false);
        through(&mut voice, &speech(12, -30.0, -55.0));
        let learnt = voice.gain_db();
        assert!((8.0..14.0).contains(&learnt), "{learnt}");
        // Ten minutes of the same noise, then louder noise.
        let pauses = speech(30, -120.0, -55.0);
        (0..20).for_each(|_| drop(through(&mut voice, &pauses)));
        assert_eq!(voice.gain_db(), learnt);
        assert!(!voice.talks());
        through(&mut voice, &speech(10, -120.0, -40.0));
        assert!((voice.gain_db() - learnt).abs() < 3.0, "{learnt} became {}", voice.gain_db());
    }

    #[test]
    fn the_loudest_shout_after_a_whisper_does_not_wrap_around() {
        let mut voice = with(true, false);
        through(&mut voice, &speech(12, -45.0, -70.0));
        let shout: Vec<i16> = tone(500.0, 32_767.0, 0, 8_000).collect();
        let heard = through(&mut voice, &shout);
        for (said, heard) in shout.iter().zip(&heard) {
            assert!(said.signum() * heard.signum() >= 0, "{said} became {heard}");
        }
        assert!(heard[FRAME..].iter().all(|sample| sample.unsigned_abs() <= 30_000));
    }

    #[test]
    fn a_speaker_is_one_from_the_first_word_until_a_second_after_the_last() {
        let mut voice = with(false, false);
        let sound = speech(12, -25.0, -60.0);
        let mut changes = Vec::new();
        for (n, frame) in sound.chunks_exact(FRAME).enumerate() {
            voice.hear(&mut frame.to_vec());
            changes.extend(voice.take_change().map(|on| (on, n as f64 / 50.0)));
        }
        // Words from 0 to 3 s, from 4 to 7, from 8 to 11. The first noise must be heard first.
        let times: Vec<bool> = changes.iter().map(|(on, _)| *on).collect();
        assert_eq!(times, [true, false, true, false, true, false], "{changes:?}");
        for ((_, at), expected) in changes.iter().zip([0.36, 3.7, 4.06, 7.7, 8.06, 11.7]) {
            assert!((at - expected).abs() < 0.2, "{changes:?}");
        }
        // A steady tone is no speech for long, and silence none at all.
        let hum: Vec<i16> = tone(400.0, 8_000.0, 0, 80_000).collect();
        through(&mut voice, &hum);
        assert!(!voice.talks());
        (0..50).for_each(|_| voice.silent());
        assert!(!voice.talks());
        // A phone that sends nothing while nobody speaks: the first word counts.
        through(&mut voice, &speech(1, -25.0, -60.0)[..1_600]);
        assert!(voice.talks());
        (0..OFF).for_each(|_| voice.unheard());
        assert!(!voice.talks());
    }

    #[test]
    fn the_gate_lets_words_through_and_nothing_between() {
        let sound = speech(12, -25.0, -50.0);
        let mut voice = with(false, true);
        let heard = through(&mut voice, &sound);
        // In the pause from 7 to 8 s, once the gate has closed.
        assert!(level::is_silent(&heard[59_200..63_800]));
        // A word begins at 8.1 s.
        let word = 65_120..66_400;
        assert!((level::dbov(&heard[word.clone()]) - level::dbov(&sound[word])).abs() < 0.5);
    }

    #[test]
    fn in_a_crowd_background_is_left_out_and_nothing_of_what_is_said_or_louder() {
        let quiet = |sound: &[i16]| level::is_silent(sound);
        let mut voice = with(false, false);
        voice.be_one_of_many(true);
        // In the pause from 7 to 8 s there is noise; before and after it words, soft ones too.
        for level in [-25.0, -38.0] {
            let sound = speech(12, level, -50.0);
            let heard = through(&mut voice, &sound);
            assert!(!quiet(&sound[59_200..63_800]) && quiet(&heard[59_200..63_800]));
            let word = 65_120..66_400;
            assert!((level::dbov(&heard[word.clone()]) - level::dbov(&sound[word])).abs() < 0.5, "{level}");
        }
        // Music, a bad line: no speech, but others may want to hear of it.
        let hum: Vec<i16> = tone(400.0, dbm0(-40.0), 0, 24_000).collect();
        assert_eq!(through(&mut voice, &hum)[8_000..], hum[8_000..]);
        // Among few, background belongs to how a line sounds.
        voice.be_one_of_many(false);
        let pause = speech(3, -120.0, -50.0);
        assert_eq!(through(&mut voice, &pause)[8_000..], pause[8_000..]);
    }

    #[test]
    fn an_offset_goes_and_sound_without_one_passes_as_it_came() {
        let clean = speech(4, -20.0, -60.0);
        assert!(through(&mut with(false, false), &clean) == clean);
        let shifted: Vec<i16> = clean.iter().map(|sample| sample + 2_000).collect();
        let heard = through(&mut with(false, false), &shifted);
        let last = &heard[3 * 8_000..];
        let mean = last.iter().map(|&sample| i64::from(sample)).sum::<i64>() / last.len() as i64;
        assert!(mean.abs() < 60, "{mean}");
        let mut silence = SILENCE;
        Voice::default().hear(&mut silence);
        assert_eq!(silence, SILENCE);
    }
}
