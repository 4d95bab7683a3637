//! One meeting's sound: everybody hears all others, nobody hears themselves.
//!
//! Each tick every member's frame is added up once, at the highest rate that any member's codec has:
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
use super::resample::Down;
use super::{Codec, FADE, FADE_MAX, FRAME, FRAME_MAX, Frame, Leg, Rate, SILENCE, level, opus};
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

/// A payload for whom it may concern: 20 ms of any codec; of Opus see [`opus::packet`].
pub type Payload = [u8; FRAME];

impl Conference {
    /// Gives it what Opus needs, so that listeners with Opus may share a stream; until then each has their
    /// own. What it had comes back, to be freed where that is allowed.
    pub fn equip(&mut self, opus: opus::Turns) -> Option<opus::Turns> {
        self.shared.opus.replace(opus)
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
    /// handed to `send` once, with its payload.
    pub fn tick<L: AsMut<Leg>>(
        &mut self,
        members: &[u32],
        legs: &mut [Option<Box<L>>],
        now: Moment,
        mut send: impl FnMut(&mut L, &Payload),
    ) {
        let mut rate = Rate::Narrow;
        for &member in members {
            if let Some(leg) = legs[member as usize].as_mut() {
                rate = rate.max((**leg).as_mut().rate());
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
        for &member in members {
            let Some(leg) = legs[member as usize].as_mut() else { continue };
            let leg = (**leg).as_mut();
            if leg.speak(rate, now) {
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
        let mut lower = [0; FRAME];
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
                send(line, self.shared.payload(codec, rate, sum));
                continue;
            }
            let heard = &mut private[..rate.frame()];
            mixer::heard_without(sum, leg.spoken(), heard);
            leg.note_sent(level::dbov(heard));
            let heard = if own == rate {
                heard
            } else {
                leg.lower(heard, &mut lower);
                &mut lower[..]
            };
            leg.hear(heard);
            leg.encode(heard, &mut payload);
            send(line, &payload);
        }
    }

    /// The first wide leg has come, or the last one gone. All hear the old sound fade out and the new
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
        self.tail = match rate {
            Rate::Wide => std::array::from_fn(|n| tail[n / 2]),
            Rate::Narrow => std::array::from_fn(|n| if n < FADE { tail[2 * n] } else { 0 }),
        };
        self.sum = [0; FRAME_MAX];
        self.rate = rate;
        self.shared.reset();
    }
}

/// What all silent listeners hear, made when the first of them needs it.
#[derive(Debug, Default)]
pub struct Shared {
    /// The sum, and what narrow legs hear of it in a wide room.
    frame: Option<Frame>,
    level: Option<f32>,
    narrow: Option<[i16; FRAME]>,
    encoded: [Option<Payload>; Codec::ALL.len()],
    /// Before this tick and after it, once it is made.
    down: [Down; 2],
    g722: [g722::Encoder; 2],
    /// Only where a listener has needed it: it is large.
    opus: Option<opus::Turns>,
}

impl Shared {
    fn begin(&mut self) {
        if self.narrow.take().is_some() {
            self.down.swap(0, 1);
        }
        if self.encoded[Codec::G722 as usize].is_some() {
            self.g722.swap(0, 1);
        }
        if let (Some(_), Some(opus)) = (&self.encoded[Codec::Opus as usize], &mut self.opus) {
            opus.swap(0, 1);
        }
        self.frame = None;
        self.level = None;
        self.encoded = [None; Codec::ALL.len()];
    }

    /// As they were at the end of the last tick.
    pub(super) fn down(&self) -> &Down {
        &self.down[0]
    }

    pub(super) fn g722(&self) -> &g722::Encoder {
        &self.g722[0]
    }

    /// `None`: each listener with Opus has a stream of their own.
    pub(super) fn opus(&self) -> Option<&opus::Encoder> {
        self.opus.as_ref().map(|opus| &opus[0])
    }

    /// As at first, without allocating.
    fn reset(&mut self) {
        self.begin();
        self.down = Default::default();
        self.g722 = Default::default();
        self.opus.iter_mut().flat_map(|opus| opus.iter_mut()).for_each(opus::Encoder::begin);
    }

    /// What G.722 may be off by without being heard, in half samples: what it makes of silence itself,
    /// and 36 dB below this tick's peak.
    pub(super) fn noise(&self, rate: Rate) -> i32 {
        let peak = self.frame.as_ref().map_or(0, |frame| level::peak(&frame[..rate.frame()]));
        16 + i32::from(peak) / 128
    }

    /// How loud what all silent listeners hear is, in dBov.
    fn level(&mut self, rate: Rate, sum: &[i32]) -> f32 {
        *self.level.get_or_insert_with(|| {
            let mut frame = SILENCE;
            mixer::heard(sum, &mut frame[..rate.frame()]);
            level::dbov(&frame[..rate.frame()])
        })
    }

    /// The same for all who ask in one tick.
    pub(super) fn payload(&mut self, codec: Codec, rate: Rate, sum: &[i32]) -> &Payload {
        let Self { frame, narrow, encoded, down, g722, opus, .. } = self;
        encoded[codec as usize].get_or_insert_with(|| {
            let frame = frame.get_or_insert_with(|| {
                let mut frame = SILENCE;
                mixer::heard(sum, &mut frame[..rate.frame()]);
                frame
            });
            let mut payload = [0; FRAME];
            match codec.law() {
                None if codec == Codec::Opus => {
                    if let Some([before, after]) = opus.as_deref_mut() {
                        after.go_on_as(before);
                        after.encode(frame, &mut payload);
                    }
                }
                None => {
                    let [before, after] = g722;
                    after.clone_from(before);
                    after.encode(frame, &mut payload);
                }
                Some(law) if rate == Rate::Narrow => law.encode(&frame[..FRAME], &mut payload),
                Some(law) => {
                    let narrow = narrow.get_or_insert_with(|| {
                        let mut narrow = [0; FRAME];
                        let [before, after] = down;
                        after.clone_from(before);
                        after.process(frame, &mut narrow);
                        narrow
                    });
                    law.encode(narrow, &mut payload);
                }
            }
            payload
        })
    }
}

#[cfg(test)]
mod tests;
