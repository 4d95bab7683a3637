//! A stream of theirs: packets into sound, what is missing made up, what nobody is to hear passed over.

use opusic_sys as ffi;

use super::{FRAMES_MAX, Memory, Rate};

/// A stream of theirs, and the sound of the packet that was opened last.
pub struct Decoder {
    memory: Memory,
    rate: Rate,
    /// 120 ms at the highest rate that it may have.
    sound: Box<[i16]>,
    /// As many samples of it as were made; the rest is silence.
    made: usize,
    /// When that packet begins.
    opened: Option<i64>,
    /// The last packet that came was passed over, and what it was, if that is no more than this.
    passed: bool,
    kept: Box<[u8]>,
    kept_bytes: usize,
    /// 20 ms that were made up since; whether the peer has said that it is silent.
    gap: u32,
    silent: bool,
}

/// The longest packet that is kept when it is passed over.
const KEPT_MAX: usize = 254;

/// Made-up sound ends after so many 20 ms: 0.5 s. A peer that is silent on purpose says so again by then.
pub(super) const GAP_MAX: u32 = 25;

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("opus::Decoder")
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::for_rates_to(Rate::Wide)
    }
}

impl Decoder {
    /// One that may be begun at rates up to this; it has begun at it.
    #[must_use]
    pub fn for_rates_to(rate: Rate) -> Self {
        // SAFETY: asks for a number.
        let memory = Memory::of(unsafe { ffi::opus_decoder_get_size(1) });
        let sound = vec![0; FRAMES_MAX * rate.frame()].into_boxed_slice();
        let mut decoder = Self {
            memory,
            rate,
            sound,
            made: 0,
            opened: None,
            passed: false,
            kept: Box::new([0; KEPT_MAX]),
            kept_bytes: 0,
            gap: GAP_MAX,
            silent: false,
        };
        decoder.begin(rate);
        decoder
    }

    fn state(&mut self) -> *mut ffi::OpusDecoder {
        self.memory.0.as_mut_ptr().cast()
    }

    /// A new stream, as sound at this rate, in the memory that is there. Where that was made for lower rates more
    /// is allocated.
    pub fn begin(&mut self, rate: Rate) {
        self.rate = rate;
        let samples = FRAMES_MAX * rate.frame();
        if self.sound.len() < samples {
            self.sound = vec![0; samples].into_boxed_slice();
        }
        let state = self.state();
        // SAFETY: `state` is as large as libopus said. Whatever was stereo comes out as one channel.
        unsafe { ffi::opus_decoder_init(state, rate.hz() as i32, 1) };
        (self.opened, self.gap, self.silent) = (None, GAP_MAX, false);
        (self.passed, self.made) = (false, 0);
    }

    /// The sound of the packet that begins at `at`, from this tick of it on. It is decoded when it is
    /// first asked for.
    pub fn open(&mut self, at: i64, packet: &[u8], from: usize, out: &mut [i16]) {
        if self.opened != Some(at) {
            self.opened = Some(at);
            self.gap = 0;
            // Nothing but its head: the peer sends no sound for now (RFC 7587 §3.1.3).
            self.silent = packet.len() <= 2;
            self.come_back();
            self.made = self.run(packet, FRAMES_MAX * self.rate.frame(), false);
        }
        let from = (self.rate.per_tick() * from).min(self.made);
        let there = (self.made - from).min(out.len());
        out[..there].copy_from_slice(&self.sound[from..from + there]);
        out[there..].fill(0);
    }

    /// The same for a packet that nobody is to hear: nothing is decoded, and silence comes out.
    pub fn pass(&mut self, at: i64, packet: &[u8], out: &mut [i16]) {
        if self.opened != Some(at) {
            self.opened = Some(at);
            self.gap = 0;
            self.silent = packet.len() <= 2;
            self.passed = true;
            self.made = 0;
            self.kept_bytes = if packet.len() <= KEPT_MAX { packet.len() } else { 0 };
            self.kept[..self.kept_bytes].copy_from_slice(&packet[..self.kept_bytes]);
        }
        out.fill(0);
    }

    /// After packets that were passed over: the last of them brings the decoder near to where it would be.
    fn come_back(&mut self) {
        if std::mem::take(&mut self.passed) {
            let kept = std::mem::take(&mut self.kept);
            if self.kept_bytes > 0 {
                self.run(&kept[..self.kept_bytes], FRAMES_MAX * self.rate.frame(), false);
            }
            self.kept = kept;
        }
    }

    /// The next packet is another one, wherever it begins.
    pub fn close(&mut self) {
        self.opened = None;
    }

    /// Sound where a packet is missing: out of what the next one repeats of it, or made up. False when
    /// there is none to be had. Silence when nobody is to hear the packets around it.
    pub fn fill(&mut self, next: Option<&[u8]>, unheard: bool, out: &mut [i16]) -> bool {
        // Whole 2.5 ms are all it makes up.
        let whole = out.len().is_multiple_of(20 * self.rate.per_tick());
        if self.gap >= GAP_MAX || !whole || out.len() > self.sound.len() {
            out.fill(0);
            return false;
        }
        self.gap += 1;
        self.opened = None;
        if self.passed && unheard {
            out.fill(0);
            return true;
        }
        self.come_back();
        self.made = 0;
        let wanted = out.len();
        let count = match next {
            Some(next) => self.run(next, wanted, true),
            None => self.run(&[], wanted, false),
        };
        self.sound[count.min(wanted)..wanted].fill(0);
        out.copy_from_slice(&self.sound[..wanted]);
        true
    }

    /// Whether what is missing now is so by the peer's will.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    fn run(&mut self, packet: &[u8], samples: usize, repair: bool) -> usize {
        let data = if packet.is_empty() { std::ptr::null() } else { packet.as_ptr() };
        let state = self.state();
        // SAFETY: reads the packet, writes at most `samples`, for which there is room.
        let count = unsafe {
            let (length, room) = (packet.len() as i32, samples as i32);
            ffi::opus_decode(state, data, length, self.sound.as_mut_ptr(), room, i32::from(repair))
        };
        usize::try_from(count).unwrap_or(0)
    }
}
