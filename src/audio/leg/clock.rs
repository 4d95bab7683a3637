//! RTP clocks of any rate as the one of 8 kHz that all else is counted in.

use crate::audio::Codec;

/// From ticks of the codec's RTP clock to those of 8 kHz.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock(pub(super) Option<(u32, u32)>);

impl Clock {
    /// The same for all packets of one time, in whatever order they come. Times do not leap where the
    /// faster clock wraps around.
    pub(super) fn ticks(&mut self, codec: Codec, timestamp: u32) -> u32 {
        let ratio = codec.clock_ratio() as i32;
        if ratio == 1 {
            return timestamp;
        }
        let (from, ticks) = self.0.unwrap_or((timestamp, timestamp));
        let later = timestamp.wrapping_sub(from) as i32 / ratio;
        let at = ticks.wrapping_add(later as u32);
        if later > 0 || self.0.is_none() {
            self.0 = Some((from.wrapping_add((later * ratio) as u32), at));
        }
        at
    }
}

/// A sound packet's time by a clock that does not stand still, whatever the peer's does.
///
/// Some gateways stamp packet after packet alike, now and then or always. Sequence numbers tell that
/// they are not the same one: each of them lasts on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steady {
    /// Sequence number, timestamp and length of the newest packet.
    newest: Option<(u16, u32, u32)>,
    /// How far the peer's clock is behind.
    behind: u32,
}

impl Steady {
    /// `lasts`: the packet's length, in ticks of its clock.
    pub(super) fn timestamp(&mut self, sequence: u16, timestamp: u32, lasts: u32) -> u32 {
        let Some((newest, before, length)) = self.newest else {
            self.newest = Some((sequence, timestamp, lasts));
            return timestamp;
        };
        let later = sequence.wrapping_sub(newest) as i16;
        let moved = timestamp.wrapping_sub(before) as i32;
        if later <= 0 {
            // It was overtaken, and stamped like the one that overtook it.
            let back = if moved == 0 { u32::from(later.unsigned_abs()) * length } else { 0 };
            return timestamp.wrapping_add(self.behind.saturating_sub(back));
        }
        self.newest = Some((sequence, timestamp, lasts));
        if moved == 0 && later <= LATER_MAX {
            self.behind = self.behind.wrapping_add(length * later as u32);
        } else if self.behind > 0 {
            // What it moves too far now makes up for having stood.
            let too_far = i64::from(moved) - i64::from(length) * i64::from(later);
            self.behind -= too_far.clamp(0, i64::from(self.behind)) as u32;
        }
        timestamp.wrapping_add(self.behind)
    }
}

/// Packets missing in between that may have stood still with the others.
const LATER_MAX: i16 = 50;
