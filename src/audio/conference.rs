//! One meeting's sound: everybody hears all others, nobody hears themselves.
//!
//! Each tick every member's frame is added up once, at the highest rate that any member has use for:
//! narrow legs of a wide room are brought up before and down after. Who said something gets the sum
//! without themselves; all who only listen get the same sum, brought down once and encoded once per
//! codec.
//!
//! G.722 and the filters remember, and the peer's decoder remembers what it was sent. So a listener
//! who begins to speak goes on with a *copy* of the shared encoder: its decoder notices nothing.
//! One who falls silent stays on their own encoder, while both encode the same sound and become
//! alike, until a decoder could not tell one from the other: each tick it is tried out whether it
//! would make the same of the shared bytes, within the codec's own noise. That is so in the next
//! pause of the room at the latest; through a tone without end it may never be. G.711 in a narrow room remembers nothing and changes at once.

use super::g722;
use super::mixer::{self, Sum};
use super::player::{Filled, Player};
use super::{Codec, Converter, FADE_MAX, FRAME, FRAME_MAX, Leg, Rate, SILENCE, Together, level, opus};
use crate::rtp::Moment;

/// A room's sound between ticks. Its members stand elsewhere: it is told their places.
#[derive(Debug)]
pub struct Conference {
    /// Prompts for all, such as the tone for one who joins.
    pub player: Player,
    rate: Rate,
    /// The sum of the last tick.
    sum: Sum,
    /// Fade-outs of those who left since.
    tail: [i32; FADE_MAX],
    shared: Shared,
}

impl Default for Conference {
    fn default() -> Self {
        Self {
            player: Player::default(),
            rate: Rate::default(),
            sum: [0; FRAME_MAX],
            tail: [0; FADE_MAX],
            shared: Shared::default(),
        }
    }
}

/// Up to so many are mixed with everything that comes from them; of more, what is no more than background is
/// left out.
const MIXED_WHOLE: usize = 6;

/// A payload for whom it may concern: 20 ms of any codec; of Opus see [`opus::packet`].
pub type Payload = [u8; FRAME];

impl Conference {
    /// Gives it what Opus needs, so that listeners of this rate may share a stream; until then each has their
    /// own. What it had comes back, to be freed where that is allowed.
    pub fn equip(&mut self, rate: Rate, opus: opus::Turns) -> Option<opus::Turns> {
        self.shared.opus[rate as usize].replace(opus)
    }

    pub fn enter(&mut self, leg: &mut Leg) {
        leg.enter_room();
    }

    pub fn leave(&mut self, leg: &mut Leg) {
        let sum = &self.sum[..self.rate.frame()];
        let tail = leg.leave_room(sum, self.rate, &self.shared);
        for (sum, sample) in self.tail.iter_mut().zip(tail) {
            *sum += i32::from(sample);
        }
    }

    /// Of the last tick's mix.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// What the last tick's mix sounds like to who only listens, prompts for all included. `out` holds a
    /// frame of [`Conference::rate`].
    pub fn heard_by_all(&self, out: &mut [i16]) {
        mixer::heard(&self.sum[..self.rate.frame()], out);
    }

    /// One tick: `members` are places in `legs`; each member that is to be sent something is
    /// handed to `send` once, with its payload, now or by [`Together::send_rest`].
    pub fn tick<L: AsMut<Leg>>(
        &mut self,
        members: &[u32],
        legs: &mut [Option<Box<L>>],
        now: Moment,
        together: &mut Together,
        mut send: impl FnMut(&mut L, &Payload),
    ) {
        let mut rate = Rate::Narrow;
        for &member in members {
            if let Some(leg) = legs[member as usize].as_mut() {
                rate = rate.max((**leg).as_mut().room_rate());
            }
        }
        if rate != self.rate {
            self.change_rate(rate, members, legs);
        }
        let sum = &mut self.sum[..rate.frame()];
        sum.fill(0);
        for (sum, tail) in sum.iter_mut().zip(&mut self.tail) {
            *sum = std::mem::take(tail);
        }
        let crowded = members.len() > MIXED_WHOLE;
        for &member in members {
            let Some(leg) = legs[member as usize].as_mut() else { continue };
            let leg = (**leg).as_mut();
            if leg.speak(rate, crowded, now) {
                mixer::add(sum, leg.spoken());
            }
        }
        let mut prompt = SILENCE;
        let prompt = &mut prompt[..rate.frame()];
        if !matches!(self.player.fill(rate, prompt), Filled::Nothing) {
            mixer::add(sum, prompt);
        }

        self.shared.begin();
        let mut private = SILENCE;
        let mut converted = SILENCE;
        let mut payload = [0; FRAME];
        for &member in members {
            let Some(line) = legs[member as usize].as_mut() else { continue };
            let leg = (**line).as_mut();
            let own = leg.rate();
            if leg.send_to().is_none() {
                leg.take_own_stream(&self.shared);
                leg.pause();
                // Its prompts end when they would have ended.
                leg.hear(&mut private[..own.frame()]);
                continue;
            }
            let codec = leg.codec();
            if leg.takes_shared(rate, &mut self.shared, sum) {
                leg.note_sent(self.shared.level(rate, sum));
                send(line, self.shared.payload(codec, own, rate, sum));
                continue;
            }
            let heard = &mut private[..rate.frame()];
            mixer::heard_without(sum, leg.spoken(), heard);
            leg.note_sent(level::dbov(heard));
            let heard = if own == rate {
                heard
            } else {
                let converted = &mut converted[..own.frame()];
                leg.convert(rate, heard, converted);
                converted
            };
            leg.hear(heard);
            match (codec, (&*heard).try_into()) {
                (Codec::G722, Ok(heard)) => together.send(member, heard, legs, &mut send),
                _ => {
                    leg.encode(heard, &mut payload);
                    send(line, &payload);
                }
            }
        }
    }

    /// The first leg of a higher rate has come, or the last one gone. All hear the old sound fade out and the new
    /// one fade in, because the filters that now begin or end delay it.
    #[cold]
    fn change_rate<L: AsMut<Leg>>(&mut self, rate: Rate, members: &[u32], legs: &mut [Option<Box<L>>]) {
        let sum = &self.sum[..self.rate.frame()];
        for &member in members {
            if let Some(leg) = legs[member as usize].as_mut() {
                (**leg).as_mut().break_off(sum, self.rate, &self.shared);
            }
        }
        let tail = self.tail;
        let (before, after) = (self.rate, rate);
        self.tail = std::array::from_fn(|n| {
            if n < after.fade() { tail[n * before.per_tick() / after.per_tick()] } else { 0 }
        });
        self.sum = [0; FRAME_MAX];
        self.rate = rate;
        self.shared.reset();
    }
}

/// What all silent listeners hear, made when the first of them needs it.
#[derive(Debug, Default)]
pub struct Shared {
    frames: Frames,
    level: Option<f32>,
    encoded: [Option<Payload>; STREAMS],
    /// Before this tick and after it, once it is made.
    g722: [g722::Encoder; 2],
    /// By rate, and only where a listener has needed it: it is large.
    opus: [Option<opus::Turns>; Rate::ALL.len()],
}

/// One for each codec, and Opus for each rate.
const STREAMS: usize = Codec::BYTEWISE.len() + Rate::ALL.len();

/// Which of them a leg takes.
fn stream(codec: Codec, own: Rate) -> usize {
    if codec == Codec::Opus { Codec::BYTEWISE.len() + own as usize } else { codec as usize }
}

/// The sum, as it is heard at each rate.
#[derive(Debug)]
struct Frames {
    narrow: [i16; Rate::Narrow.frame()],
    wide: [i16; Rate::Wide.frame()],
    full: [i16; Rate::Full.frame()],
    made: [bool; Rate::ALL.len()],
    /// From the room's rate to each other: before this tick and after it, once it is made.
    converters: [[Converter; 2]; Rate::ALL.len()],
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            narrow: [0; Rate::Narrow.frame()],
            wide: [0; Rate::Wide.frame()],
            full: [0; Rate::Full.frame()],
            made: Default::default(),
            converters: Default::default(),
        }
    }
}

impl Frames {
    fn begin(&mut self) {
        for (made, turns) in self.made.iter_mut().zip(&mut self.converters) {
            if std::mem::take(made) {
                turns.swap(0, 1);
            }
        }
    }

    fn at(&mut self, rate: Rate) -> &mut [i16] {
        match rate {
            Rate::Narrow => &mut self.narrow,
            Rate::Wide => &mut self.wide,
            Rate::Full => &mut self.full,
        }
    }

    /// The same for all who ask in one tick.
    fn heard(&mut self, own: Rate, room: Rate, sum: &[i32]) -> &[i16] {
        if !std::mem::replace(&mut self.made[room as usize], true) {
            mixer::heard(sum, self.at(room));
        }
        if !std::mem::replace(&mut self.made[own as usize], true) {
            let mut frame = SILENCE;
            let frame = &mut frame[..room.frame()];
            frame.copy_from_slice(self.at(room));
            let [before, after] = &mut self.converters[own as usize];
            after.clone_from(before);
            let mut converter = std::mem::take(after);
            converter.process(room, own, frame, self.at(own));
            self.converters[own as usize][1] = converter;
        }
        self.at(own)
    }
}

impl Shared {
    fn begin(&mut self) {
        self.frames.begin();
        if self.encoded[Codec::G722 as usize].is_some() {
            self.g722.swap(0, 1);
        }
        for (rate, opus) in Rate::ALL.into_iter().zip(&mut self.opus) {
            if let (Some(_), Some(opus)) = (&self.encoded[stream(Codec::Opus, rate)], opus) {
                opus.swap(0, 1);
            }
        }
        self.level = None;
        self.encoded.iter_mut().for_each(|payload| *payload = None);
    }

    /// As they were at the end of the last tick.
    pub(super) fn converter(&self, own: Rate) -> &Converter {
        &self.frames.converters[own as usize][0]
    }

    pub(super) fn g722(&self) -> &g722::Encoder {
        &self.g722[0]
    }

    /// `None`: each listener with Opus has a stream of their own.
    pub(super) fn opus(&self, own: Rate) -> Option<&opus::Encoder> {
        self.opus[own as usize].as_ref().map(|opus| &opus[0])
    }

    /// As at first, without allocating.
    fn reset(&mut self) {
        self.begin();
        self.frames.converters = Default::default();
        self.g722 = Default::default();
        for (rate, opus) in Rate::ALL.into_iter().zip(&mut self.opus) {
            opus.iter_mut().flat_map(|opus| opus.iter_mut()).for_each(|opus| opus.begin(rate));
        }
    }

    /// What G.722 may be off by without being heard, in half samples: what it makes of silence itself,
    /// and 36 dB below this tick's peak.
    pub(super) fn noise(&mut self, rate: Rate, sum: &[i32]) -> i32 {
        16 + i32::from(level::peak(self.frames.heard(rate, rate, sum))) / 128
    }

    /// How loud what all silent listeners hear is, in dBov.
    fn level(&mut self, rate: Rate, sum: &[i32]) -> f32 {
        *self.level.get_or_insert_with(|| level::dbov(self.frames.heard(rate, rate, sum)))
    }

    /// The same for all with this codec and this rate of their own who ask in one tick.
    pub(super) fn payload(&mut self, codec: Codec, own: Rate, rate: Rate, sum: &[i32]) -> &Payload {
        let Self { frames, encoded, g722, opus, .. } = self;
        encoded[stream(codec, own)].get_or_insert_with(|| {
            let frame = frames.heard(own, rate, sum);
            let mut payload = [0; FRAME];
            match codec.law() {
                Some(law) => law.encode(frame, &mut payload),
                None if codec == Codec::Opus => {
                    if let Some([before, after]) = opus[own as usize].as_deref_mut() {
                        after.go_on_as(before);
                        after.encode(frame, &mut payload);
                    }
                }
                None => {
                    let [before, after] = g722;
                    after.clone_from(before);
                    after.encode(frame, &mut payload);
                }
            }
            payload
        })
    }
}

#[cfg(test)]
mod tests;
