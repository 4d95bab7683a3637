//! SRTP: a call's packets encrypted, authenticated, and each taken once (RFC 3711, RFC 7714).
//!
//! [`Srtp`] is both directions of a call, over changes of their keys. A packet that is not authentic or comes again is refused and changes nothing. The rollover counter is never
//! sent: sequence numbers have 16 bits, and the other 32 are counted on both sides, or guessed where one
//! side came late; the tag says whether the guess was right.
//!
//! Nothing allocates after [`Srtp::new`].

mod cipher;
mod mac;
mod window;

use std::fmt;

use cipher::{Cipher, Kind, Position};
use window::Window;

use super::DATAGRAM_MAX;
use crate::types::{MediaKey, MediaKeys, Suite};

/// Bytes that protection adds to an RTP packet, at most.
pub const TRAILER_MAX: usize = cipher::TAG_MAX;
/// Bytes that it adds to an RTCP packet, at most.
pub const CONTROL_TRAILER_MAX: usize = cipher::WORD + cipher::TAG_MAX;

/// Sources that are told apart for each key. One more, and the one that was heard longest ago is
/// forgotten: its packets could be played again to us.
const SOURCES: usize = 8;
/// So many refused packets of a known source in a row, and a lost turn of its counter is thought of.
const DOUBT: u32 = 16;
/// From one value of the rollover counter to the next.
const TURN: u64 = 0x1_0000;
/// The header of RTCP that stays readable (RFC 3711 §3.4).
const CONTROL_HEADER: usize = 8;
const ENCRYPTED: u32 = 1 << 31;

/// Why a packet is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("datagram that is no SRTP")]
    Malformed,
    #[error("SRTP packet that came before, or too late to tell")]
    Replayed,
    #[error("SRTP packet that is not authentic")]
    Unauthentic,
}

/// Both directions of one call.
#[derive(Clone)]
pub struct Srtp {
    pub sender: Sender,
    receiver: Receiver,
    /// The peer has had a key before: until it has taken up the new one, the old one is good.
    before: Option<Box<Srtp>>,
    taken_up: bool,
}

/// What we send.
#[derive(Clone)]
pub struct Sender {
    key: MediaKey,
    rtp: Cipher,
    control: Cipher,
    rollover: u32,
    last: Option<u16>,
    control_index: u32,
}

/// What the peer sends.
#[derive(Clone)]
struct Receiver {
    key: MediaKey,
    rtp: Cipher,
    control: Cipher,
    /// The source heard last stands first.
    sources: Sources,
    control_sources: Sources,
    /// The rollover counter under the key before: a peer may go on with it (RFC 3711 §3.3.1) or begin
    /// anew, as most do.
    rollover_before: u64,
}

/// Holds any packet in clear. Whoever opens packets lends it: one for all calls stays in the nearest cache.
pub type Buffer = [u8; DATAGRAM_MAX];

impl Srtp {
    #[must_use]
    pub fn new(keys: &MediaKeys) -> Self {
        let (sender, receiver) = (Sender::new(&keys.ours), Receiver::new(&keys.theirs));
        Self { sender, receiver, before: None, taken_up: false }
    }

    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.sender.key.suite()
    }

    /// Goes on from what the session had before a re-INVITE: with a key that stays, counters and what
    /// has come stay as well. What comes back is good for nothing but to be freed.
    #[must_use]
    pub fn continue_from(&mut self, mut before: Box<Self>) -> Option<Box<Self>> {
        if self.sender.key == before.sender.key {
            std::mem::swap(&mut self.sender, &mut before.sender);
        }
        if self.receiver.key == before.receiver.key {
            std::mem::swap(&mut self.receiver, &mut before.receiver);
            std::mem::swap(&mut self.before, &mut before.before);
            self.taken_up = before.taken_up;
            return Some(before);
        }
        let heard = before.receiver.sources.newest();
        self.receiver.rollover_before = heard.map_or(before.receiver.rollover_before, |index| index >> 16);
        let older = before.before.take();
        self.before = Some(before);
        older
    }

    /// The RTP packet of a datagram, in clear.
    ///
    /// # Errors
    /// Whatever is wrong with it, the stream goes on as if it had not come.
    pub fn open<'a>(&mut self, datagram: &[u8], buffer: &'a mut Buffer) -> Result<&'a [u8], Refused> {
        self.open_with(datagram, buffer, Receiver::open)
    }

    /// The same for RTCP. A packet that is not encrypted is not authentic: we agree to none such.
    ///
    /// # Errors
    /// As with RTP.
    pub fn open_control<'a>(&mut self, datagram: &[u8], buffer: &'a mut Buffer) -> Result<&'a [u8], Refused> {
        self.open_with(datagram, buffer, Receiver::open_control)
    }

    fn open_with<'a>(
        &mut self,
        datagram: &[u8],
        buffer: &'a mut Buffer,
        open: impl Fn(&mut Receiver, &[u8], &mut Buffer) -> Result<usize, Refused>,
    ) -> Result<&'a [u8], Refused> {
        let length = match (open(&mut self.receiver, datagram, buffer), &mut self.before) {
            (Err(Refused::Unauthentic), Some(before)) if !self.taken_up => {
                open(&mut before.receiver, datagram, buffer)?
            }
            (opened, _) => {
                let length = opened?;
                self.taken_up = true;
                length
            }
        };
        Ok(&buffer[..length])
    }
}

impl Sender {
    #[must_use]
    pub fn new(key: &MediaKey) -> Self {
        Self {
            key: key.clone(),
            rtp: Cipher::new(key, Kind::Rtp),
            control: Cipher::new(key, Kind::Control),
            rollover: 0,
            last: None,
            control_index: 0,
        }
    }

    /// Protects the RTP packet in `packet[..length]` and says how long it is now. `packet` has
    /// [`TRAILER_MAX`] bytes more. Packets must come in the order of their sequence numbers.
    ///
    /// # Panics
    /// If there is no room, or no RTP header.
    pub fn protect(&mut self, packet: &mut [u8], length: usize) -> usize {
        let (clear, sequence, ssrc) = rtp_header(&packet[..length]).expect("an RTP packet of our own");
        if self.last.is_some_and(|last| sequence < last) {
            self.rollover = self.rollover.wrapping_add(1);
        }
        self.last = Some(sequence);
        let index = u64::from(self.rollover) << 16 | u64::from(sequence);
        self.rtp.seal(packet, clear, length, Position { ssrc, index })
    }

    /// The same for a compound RTCP packet, which needs [`CONTROL_TRAILER_MAX`] bytes more.
    ///
    /// # Panics
    /// If there is no room, or no RTCP header.
    pub fn protect_control(&mut self, packet: &mut [u8], length: usize) -> usize {
        let ssrc = word(packet, 4);
        // A report every five seconds: the 31 bits last 340 years.
        self.control_index = (self.control_index + 1) & !ENCRYPTED;
        let at = Position { ssrc, index: u64::from(self.control_index) };
        self.control.seal_control(packet, CONTROL_HEADER, length, at, ENCRYPTED | self.control_index)
    }
}

impl Receiver {
    fn new(key: &MediaKey) -> Self {
        Self {
            key: key.clone(),
            rtp: Cipher::new(key, Kind::Rtp),
            control: Cipher::new(key, Kind::Control),
            sources: Sources::default(),
            control_sources: Sources::default(),
            rollover_before: 0,
        }
    }

    /// Puts the RTP packet of a datagram into `buffer`, in clear; its length.
    fn open(&mut self, datagram: &[u8], buffer: &mut Buffer) -> Result<usize, Refused> {
        let (clear, sequence, ssrc) = rtp_header(datagram).ok_or(Refused::Malformed)?;
        if datagram.len() > DATAGRAM_MAX || datagram.len() < clear + self.rtp.tag() {
            return Err(Refused::Malformed);
        }
        let on = |rollover: u64| Some(rollover << 16 | u64::from(sequence));
        let guesses = match self.sources.find(ssrc) {
            Some(window) => {
                let nearest = window.index_of(sequence);
                let fresh = Some(nearest).filter(|index| !window.is_replay(*index));
                // Half a turn or more was lost: its sequence numbers look like old ones.
                let lost_a_turn = (window.failures >= DOUBT).then_some(nearest + TURN);
                [fresh, lost_a_turn, None, None]
            }
            // A stream begins with rollover counter 0, unless we missed its first turn or its key is a
            // later one of the same stream.
            None => [on(0), on(1), on(self.rollover_before), on(self.rollover_before + 1)],
        };
        let mut opened = None;
        for (n, &guess) in guesses.iter().enumerate() {
            if let Some(index) = guess
                && opened.is_none()
                && !guesses[..n].contains(&guess)
            {
                opened = self.rtp.open(datagram, clear, Position { ssrc, index }, buffer);
                if opened.is_some() {
                    self.sources.take(ssrc, index);
                }
            }
        }
        match opened {
            Some(length) => Ok(length),
            None => {
                self.sources.doubt(ssrc);
                Err(if guesses == [None; 4] { Refused::Replayed } else { Refused::Unauthentic })
            }
        }
    }

    /// The same for RTCP.
    fn open_control(&mut self, datagram: &[u8], buffer: &mut Buffer) -> Result<usize, Refused> {
        let word_in_packet = self.control.word(datagram).ok_or(Refused::Malformed)?;
        let most = DATAGRAM_MAX;
        let least = CONTROL_HEADER + cipher::WORD + self.control.tag();
        if !(least..=most).contains(&datagram.len()) || datagram[0] >> 6 != 2 {
            return Err(Refused::Malformed);
        }
        if word_in_packet & ENCRYPTED == 0 {
            return Err(Refused::Unauthentic);
        }
        let (ssrc, index) = (word(datagram, 4), u64::from(word_in_packet & !ENCRYPTED));
        if self.control_sources.find(ssrc).is_some_and(|window| window.is_replay(index)) {
            return Err(Refused::Replayed);
        }
        let at = Position { ssrc, index };
        match self.control.open_control(datagram, CONTROL_HEADER, at, word_in_packet, buffer) {
            Some(length) => {
                self.control_sources.take(ssrc, index);
                Ok(length)
            }
            None => Err(Refused::Unauthentic),
        }
    }
}

/// The windows of the sources that were heard.
#[derive(Clone, Default)]
struct Sources {
    windows: [Window; SOURCES],
    count: usize,
}

impl Sources {
    fn find(&self, ssrc: u32) -> Option<&Window> {
        self.windows[..self.count].iter().find(|window| window.ssrc == ssrc)
    }

    /// An authentic packet came.
    fn take(&mut self, ssrc: u32, index: u64) {
        let place = self.windows[..self.count].iter().position(|window| window.ssrc == ssrc);
        let place = place.unwrap_or_else(|| {
            self.count = (self.count + 1).min(SOURCES);
            self.windows[self.count - 1] = Window::new(ssrc, index);
            self.count - 1
        });
        self.windows[..=place].rotate_right(1);
        self.windows[0].take(index);
    }

    /// One came that was not authentic.
    fn doubt(&mut self, ssrc: u32) {
        if let Some(window) = self.windows[..self.count].iter_mut().find(|window| window.ssrc == ssrc) {
            window.failures = window.failures.saturating_add(1);
        }
    }

    /// The newest index of the source heard last.
    fn newest(&self) -> Option<u64> {
        self.windows[..self.count].first().map(|window| window.newest)
    }
}

/// Length of the header that stays readable (contributing sources and extension too), sequence number,
/// source; `None`: no RTP packet.
fn rtp_header(packet: &[u8]) -> Option<(usize, u16, u32)> {
    let [first, _, high, low, ..] = *packet else { return None };
    let mut length = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = packet.get(length + 2..length + 4)?;
        length += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    (first >> 6 == 2 && packet.len() >= length)
        .then(|| (length, u16::from_be_bytes([high, low]), word(packet, 8)))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// By its keys: what it is for, not how far it has come.
impl PartialEq for Srtp {
    fn eq(&self, other: &Self) -> bool {
        self.sender.key == other.sender.key && self.receiver.key == other.receiver.key
    }
}

impl Eq for Srtp {}

impl fmt::Debug for Srtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Srtp({}, keys hidden)", self.suite().name())
    }
}

#[cfg(test)]
mod tests;
