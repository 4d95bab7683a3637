//! A leg in a room: what others hear of it, and what it hears of them.

use super::Leg;
use crate::audio::conceal;
use crate::audio::conference::Shared;
use crate::audio::player::Filled;
use crate::audio::playout::Unheard;
use crate::audio::ramp::{Ramp, UNITY};
use crate::audio::{Codec, Converter, FADE_MAX, Frame, Rate, SILENCE, g722, level, mixer, opus};
use crate::rtp::Moment;

/// What a prompt leaves of the room's sound: -12 dB.
const DUCKED: i32 = UNITY / 4;
/// A codec or a filter with a memory must hear what the room's listeners hear for this many ticks
/// before the leg may take their stream: see [`Conference`](crate::audio::Conference).
const SETTLING: u8 = 5;
const SETTLING_OPUS: u8 = 25;

impl Leg {
    pub fn enter_room(&mut self) {
        self.in_room = true;
        // A room has its own turn in the tick.
        self.served = None;
        self.playout.restart();
        self.begin_hearing();
    }

    /// Fades in what it hears and what others hear of it.
    fn begin_hearing(&mut self) {
        self.spoken = SILENCE;
        self.speaks = false;
        self.spoken_gain = Ramp::at(0);
        self.heard_gain = Ramp::at(0);
        self.spoken_tail = None;
        self.into_room = Converter::default();
        self.out_of_room = Converter::default();
        self.settled = 0;
        self.on_shared = false;
    }

    /// Goes out of the room. `sum` is what the room last sounded like. What this leg last said
    /// comes back as a fade-out for those who stay; what it last heard fades out for itself.
    pub(in crate::audio) fn leave_room(
        &mut self,
        sum: &[i32],
        rate: Rate,
        shared: &Shared,
    ) -> [i16; FADE_MAX] {
        self.voice.rest();
        let tail = conceal::tail(&self.spoken[..rate.frame()], rate);
        self.break_off(sum, rate, shared);
        self.in_room = false;
        self.served = None;
        tail
    }

    /// What it heard until now fades out, and what it hears next fades in: the room's rate changes, or
    /// it leaves.
    pub(in crate::audio) fn break_off(&mut self, sum: &[i32], rate: Rate, shared: &Shared) {
        self.take_own_stream(shared);
        let mut heard = SILENCE;
        let heard = &mut heard[..rate.frame()];
        mixer::heard_without(sum, &self.spoken, heard);
        let own = self.rate();
        let mut converted = SILENCE;
        let converted = &mut converted[..own.frame()];
        // The end of a frame owes nothing to the frame before.
        Converter::default().process(rate, own, heard, converted);
        let tail = conceal::tail(converted, own);
        let gain = self.heard_gain.gain();
        self.player.add_tail(tail.map(|sample| (i32::from(sample) * gain / UNITY) as i16));
        self.begin_hearing();
    }

    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Makes this tick's frame at the room's rate; then [`Leg::spoken`] has it. False: others hear nothing of it.
    /// `crowded`: the room has many, and leaves out what is no more than background.
    pub fn speak(&mut self, rate: Rate, crowded: bool, now: Moment) -> bool {
        self.voice.be_one_of_many(crowded);
        self.note_served(now);
        let settings = self.settings.as_ref();
        let heard = !self.muted && settings.is_some_and(|settings| settings.they_send);
        let target = if heard && now.elapsed >= self.key_until { UNITY } else { 0 };
        self.spoken_gain.go_to(target);
        self.spoken_rate = rate;
        let own = self.playout.rate();
        let mut apart = (own != rate).then_some(SILENCE);
        let samples = match &mut apart {
            Some(apart) => &mut apart[..own.frame()],
            None => &mut self.spoken[..rate.frame()],
        };
        let tones_are_keys = settings.is_some_and(|settings| settings.sound.tones_are_keys);
        let unheard = match (tones_are_keys, heard) {
            (true, _) => Unheard::Nothing,
            (_, false) if self.spoken_gain.is_closed() => Unheard::All,
            _ if self.voice.may_be_left_out() => Unheard::Background,
            _ => Unheard::Nothing,
        };
        let mut any = self.playout.frame_without(unheard, samples);
        let mut key = false;
        if tones_are_keys {
            let whole = self.playout.was_whole();
            key = self.tones.listen(samples, whole);
            any = self.tones.delay(samples, any);
        }
        // An idle line is passed by: it is neither loud nor made louder.
        let mut sounds = any && !level::is_silent(samples);
        self.came = if sounds { level::dbov(samples) } else { level::NOTHING };
        let suppressed = settings.is_some_and(|settings| settings.sound.noise_suppression);
        if let Some(denoiser) = self.denoiser.as_mut().filter(|_| suppressed) {
            if self.spoken_gain.is_closed() {
                denoiser.rest();
            } else if sounds || denoiser.sounds() {
                if !any {
                    samples.fill(0);
                }
                denoiser.process(own, samples);
                (any, sounds) = (true, !level::is_silent(samples));
            }
            if key {
                // It holds a part of the key.
                denoiser.rest();
            }
        }
        match sounds {
            _ if key || !heard => self.voice.unheard(),
            _ if self.playout.was_left_out() => self.voice.left_out(),
            true => self.voice.hear(samples),
            false => self.voice.silent(),
        }
        if key {
            // At once, not within a frame: what is heard now is what came before the key.
            if any && self.spoken_gain.gain() > 0 {
                level::fade_out(samples, own.fade());
                self.speaks = !level::is_silent(samples);
            } else {
                self.speaks = false;
            }
            self.spoken_gain = Ramp::at(0);
        } else if !any || self.spoken_gain.is_closed() {
            // The gain may move while there is nothing to hear.
            self.spoken_gain = Ramp::at(target);
            self.speaks = false;
        } else {
            self.spoken_gain.apply(samples);
            self.speaks = !level::is_silent(samples);
        }
        if !self.speaks {
            samples.fill(0);
        }
        if let Some(apart) = apart {
            let spoken = &mut self.spoken[..rate.frame()];
            if self.speaks || self.into_room.sounds() {
                self.speaks = true;
                self.into_room.process(own, rate, &apart[..own.frame()], spoken);
            } else {
                spoken.fill(0);
            }
        }
        if let Some(tail) = self.spoken_tail.take() {
            self.speaks = true;
            for (sample, tail) in self.spoken[..rate.fade()].iter_mut().zip(tail) {
                *sample = sample.saturating_add(tail);
            }
        }
        self.speaks
    }

    /// What its next frame is made of, where that may be decoded with others'.
    pub(in crate::audio) fn next_codes(&self) -> Option<(&g722::Decoder, &g722::Codes)> {
        self.playout.next_codes()
    }

    /// It has been: [`Leg::speak`] is next.
    pub(in crate::audio) fn take_decoded(&mut self, stream: &g722::Decoder, sound: &g722::Sound) {
        self.playout.take_decoded(stream, sound);
    }

    /// The memory of what it is sent in G.722.
    pub(in crate::audio) fn g722(&mut self) -> &mut g722::Encoder {
        &mut self.encoder.g722
    }

    /// What others hear of it this tick, at the room's rate.
    #[must_use]
    pub fn spoken(&self) -> &Frame {
        &self.spoken
    }

    #[must_use]
    pub fn speaks(&self) -> bool {
        self.speaks
    }

    /// Whether it hears exactly what every silent listener hears, and may be sent the same bytes.
    #[must_use]
    pub fn hears_the_room(&self) -> bool {
        !self.speaks && self.heard_gain.is_unity() && self.player.is_idle()
    }

    /// Once a tick in a room of this rate: whether it takes the stream that is made once for all
    /// listeners.
    pub(in crate::audio) fn takes_shared(&mut self, rate: Rate, shared: &mut Shared, sum: &[i32]) -> bool {
        let hears = self.hears_the_room();
        if self.codec().law().is_some() && rate == Rate::Narrow {
            return hears;
        }
        let (codec, own) = (self.codec(), self.rate());
        // Made for all, it has what all like.
        let may =
            codec != Codec::Opus || (shared.opus(own).is_some() && opus::may_share(self.opus_wishes(), own));
        if !hears || !may {
            self.settled = 0;
            self.take_own_stream(shared);
            return false;
        }
        if !self.on_shared {
            // The shared stream runs for those who are on their way to it, too.
            self.settled = self.settled.saturating_add(1).min(SETTLING_OPUS);
            let codes = *shared.payload(codec, own, rate, sum);
            self.on_shared = match codec {
                Codec::Pcmu | Codec::Pcma => self.settled >= SETTLING,
                Codec::G722 => {
                    let noise = shared.noise(rate, sum);
                    self.settled >= SETTLING && self.encoder.g722.may_go_on_as(shared.g722(), &codes, noise)
                }
                // Made to live with lost packets, its decoder makes little of going over to another
                // stream of the same sound.
                Codec::Opus => self.settled == SETTLING_OPUS,
            };
        }
        self.on_shared
    }

    #[cfg(test)]
    pub(in crate::audio) fn was_left_out(&self) -> bool {
        self.playout.was_left_out()
    }

    #[cfg(test)]
    pub(in crate::audio) fn takes_shared_stream(&self) -> bool {
        self.on_shared
    }

    /// Goes on by itself where the shared stream is.
    pub(in crate::audio) fn take_own_stream(&mut self, shared: &Shared) {
        let (wishes, own) = (self.opus_wishes(), self.rate());
        if std::mem::take(&mut self.on_shared) {
            self.encoder.g722 = *shared.g722();
            if let (Codec::Opus, Some(opus), Some(shared)) =
                (self.codec(), &mut self.encoder.opus, shared.opus(own))
            {
                opus.go_on_as(shared);
                opus.wish(wishes);
            }
            self.out_of_room.clone_from(shared.converter(own));
        }
    }

    /// Brings the room's sound for this leg to its own rate.
    pub(in crate::audio) fn convert(&mut self, rate: Rate, heard: &[i16], converted: &mut [i16]) {
        self.out_of_room.process(rate, self.rate(), heard, converted);
    }

    /// The level of the room's sound for this leg this tick, in dBov.
    pub(in crate::audio) fn note_sent(&mut self, level: f32) {
        self.silence.note(level);
        self.echo.note(level, self.came);
    }

    /// Turns the room's sound for this leg, at its own rate, into what it really hears: fading in
    /// after joining, softer under its own prompts.
    pub fn hear(&mut self, heard: &mut [i16]) {
        let mut prompt = SILENCE;
        let prompt = &mut prompt[..heard.len()];
        let told = !matches!(self.player.fill(self.rate(), prompt), Filled::Nothing);
        self.heard_gain.go_to(if told { DUCKED } else { UNITY });
        self.heard_gain.apply(heard);
        if told {
            self.silence.end();
            for (heard, prompt) in heard.iter_mut().zip(prompt) {
                *heard = heard.saturating_add(*prompt);
            }
        }
    }
}
