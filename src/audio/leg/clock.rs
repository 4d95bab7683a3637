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
