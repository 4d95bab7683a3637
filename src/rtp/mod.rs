//! RTP as bytes and rules (RFC 3550): packets, reports, key presses, and whose packets to believe.
//!
//! Nothing here opens a socket or reads a clock: bytes, an address and a [`Moment`] come in.

pub mod bursts;
pub mod e_model;
pub mod latch;
pub mod packet;
pub mod reception;
pub mod rtcp;
pub mod srtp;
pub mod telephone_event;

pub use bursts::Bursts;
pub use latch::{Latch, Verdict};
pub use packet::{Header, Packet};
pub use reception::Reception;
pub use srtp::Srtp;

use std::time::Duration;

/// Ticks a second of the RTP clock of every codec and event we speak today (RFC 3551 §6).
pub const CLOCK_RATE: u32 = 8_000;

/// The largest datagram we look at: one Ethernet frame. Longer ones are no audio.
pub const DATAGRAM_MAX: usize = 1_500;

/// One moment on the media clock, read once per tick by whoever owns the threads.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Moment {
    /// Since the engine started. Never steps.
    pub elapsed: Duration,
    /// The same moment as an NTP timestamp (RFC 5905 §6: seconds since 1900, 32.32 bit), for
    /// sender reports. It runs with `elapsed`, from the date at which the engine started.
    pub ntp: u64,
}

impl Moment {
    /// The moment `elapsed` after the engine's start at `start_ntp`.
    #[must_use]
    pub fn new(start_ntp: u64, elapsed: Duration) -> Self {
        let fraction = (u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000;
        Self { elapsed, ntp: start_ntp.wrapping_add((elapsed.as_secs() << 32).wrapping_add(fraction)) }
    }

    /// The moment so long ago, or that at which the engine started.
    #[must_use]
    pub fn before(self, ago: Duration) -> Self {
        let ago = ago.min(self.elapsed);
        let elapsed = self.elapsed - ago;
        let start_ntp = self.ntp.wrapping_sub(Self::new(0, self.elapsed).ntp);
        Self::new(start_ntp, elapsed)
    }

    /// In ticks of [`CLOCK_RATE`], wrapping around as RTP timestamps do.
    #[must_use]
    pub fn rtp_units(self) -> u32 {
        const NANOS: u64 = 1_000_000_000 / CLOCK_RATE as u64;
        (self.elapsed.as_nanos() as u64 / NANOS) as u32
    }

    /// The middle 32 bits of the NTP timestamp, in 1/65,536 s (RFC 3550 §4).
    #[must_use]
    pub fn ntp_middle(self) -> u32 {
        (self.ntp >> 16) as u32
    }
}
