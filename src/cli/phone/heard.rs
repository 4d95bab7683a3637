//! What came in: RTP packets put back in order and laid out on one time line.
//!
//! The order is webrtc-media's `SampleBuilder`. It keeps 11.5 MiB for each stream, which is fine for a
//! phone under test and would not be for a leg of the service.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use webrtc_media::io::sample_builder::SampleBuilder;
use webrtc_rtp::header::Header;
use webrtc_rtp::packet::Packet;
use webrtc_rtp::packetizer::Depacketizer;

use super::tone::RATE;
use crate::audio::Codec;

/// How many packets a missing one is waited for: 100 ms.
const PACKETS_LATE_MAX: u16 = 5;

/// A leap of the time line by more than this is a new stream, not a gap: 10 s.
const GAP_MAX: u32 = RATE * 10;

/// The last packets' times of arrival, until their sound has its place on the line: 2 s.
const ARRIVALS_MAX: usize = 100;

/// One packet's facts, as the RTP parser found them.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub marker: bool,
    pub payload: &'a [u8],
}

/// Turns the bytes of a packet into as many samples, packet after packet.
pub type Decode = Box<dyn FnMut(&[u8], &mut [i16]) + Send>;

/// The time line of one call.
pub struct Heard {
    builder: SampleBuilder<WholeFrames>,
    codec: Codec,
    decode: Decode,
    ssrc: Option<u32>,
    /// The RTP timestamp that the next sample of the line would have.
    next: Option<u32>,
    samples: Vec<i16>,
    packets: u64,
    /// RTP timestamp and time of packets that came lately.
    came: VecDeque<(u32, Instant)>,
    /// Where on the line a packet's sound begins, and when the packet came.
    arrivals: Vec<(usize, Instant)>,
}

impl Heard {
    #[must_use]
    pub fn new(codec: Codec, decode: Decode) -> Self {
        Self {
            builder: builder(),
            codec,
            decode,
            ssrc: None,
            next: None,
            samples: Vec::new(),
            packets: 0,
            came: VecDeque::new(),
            arrivals: Vec::new(),
        }
    }

    pub fn push(&mut self, packet: Arrived<'_>) {
        if self.ssrc != Some(packet.ssrc) {
            self.builder = builder();
            self.ssrc = Some(packet.ssrc);
            self.next = None;
        }
        self.packets += 1;
        if self.came.len() == ARRIVALS_MAX {
            self.came.pop_front();
        }
        self.came.push_back((packet.timestamp / self.codec.clock_ratio(), Instant::now()));
        self.builder.push(Packet {
            header: Header {
                version: 2,
                sequence_number: packet.sequence,
                timestamp: packet.timestamp / self.codec.clock_ratio(),
                ssrc: packet.ssrc,
                marker: packet.marker,
                ..Header::default()
            },
            payload: Bytes::copy_from_slice(packet.payload),
        });
        while let Some(frame) = self.builder.pop() {
            self.place(frame.packet_timestamp, &frame.data);
        }
    }

    /// All that was heard so far, from the first packet on; what was lost is silence.
    #[must_use]
    pub fn samples(&self) -> &[i16] {
        &self.samples
    }

    /// Where each packet's sound begins on the line, and when the packet came.
    #[must_use]
    pub fn arrivals(&self) -> &[(usize, Instant)] {
        &self.arrivals
    }

    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    fn place(&mut self, timestamp: u32, frame: &[u8]) {
        let gap = timestamp.wrapping_sub(self.next.unwrap_or(timestamp));
        if gap < GAP_MAX {
            self.samples.resize(self.samples.len() + gap as usize, 0);
        } else if gap > u32::MAX - GAP_MAX {
            return; // older than what already stands on the line
        }
        let Some(ticks) = self.codec.duration(frame) else { return };
        let at = self.samples.len();
        if let Some((_, came)) = self.came.iter().find(|(of, _)| *of == timestamp) {
            self.arrivals.push((at, *came));
        }
        self.samples.resize(at + ticks, 0);
        (self.decode)(frame, &mut self.samples[at..]);
        self.next = Some(timestamp.wrapping_add(ticks as u32));
    }
}

fn builder() -> SampleBuilder<WholeFrames> {
    SampleBuilder::new(PACKETS_LATE_MAX, WholeFrames, RATE)
}

/// No codec of ours has a header inside the payload, and every packet is whole in itself.
struct WholeFrames;

impl Depacketizer for WholeFrames {
    fn depacketize(&mut self, payload: &Bytes) -> Result<Bytes, webrtc_rtp::Error> {
        Ok(payload.clone())
    }

    fn is_partition_head(&self, _: &Bytes) -> bool {
        true
    }

    fn is_partition_tail(&self, _: bool, _: &Bytes) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_they_are() -> Decode {
        Box::new(|bytes, samples| {
            bytes.iter().zip(samples).for_each(|(&byte, sample)| *sample = i16::from(byte));
        })
    }

    /// Hears packets given as (sequence, timestamp, byte), each of one frame of that byte; returns the
    /// line as (byte, how long) with the last packet of each case only there to release the others.
    fn line(packets: &[(u16, u32, u8)]) -> Vec<(i16, usize)> {
        let mut heard = Heard::new(Codec::Pcmu, as_they_are());
        for &(sequence, timestamp, byte) in packets {
            heard.push(Arrived { sequence, timestamp, ssrc: 1, marker: false, payload: &[byte; 160] });
        }
        let mut line: Vec<(i16, usize)> = Vec::new();
        for &sample in heard.samples() {
            match line.last_mut() {
                Some((last, count)) if *last == sample => *count += 1,
                _ => line.push((sample, 1)),
            }
        }
        line
    }

    #[test]
    fn packets_stand_in_the_order_they_were_sent() {
        type Case = (&'static str, &'static [(u16, u32, u8)], &'static [(i16, usize)]);
        let cases: &[Case] = &[
            ("in order", &[(1, 0, 1), (2, 160, 2), (3, 320, 3)], &[(1, 160), (2, 160)]),
            ("swapped", &[(1, 0, 1), (3, 320, 3), (2, 160, 2), (4, 480, 4)], &[(1, 160), (2, 160), (3, 160)]),
            ("twice", &[(1, 0, 1), (2, 160, 2), (2, 160, 2), (3, 320, 3)], &[(1, 160), (2, 160)]),
            (
                "around the end of the sequence",
                &[(65_535, 0, 1), (0, 160, 2), (1, 320, 3)],
                &[(1, 160), (2, 160)],
            ),
            (
                "a pause of the sender",
                &[(1, 0, 1), (2, 1_600, 2), (3, 1_760, 3)],
                &[(1, 160), (0, 1_440), (2, 160)],
            ),
        ];
        for (name, packets, expected) in cases {
            assert_eq!(line(packets), *expected, "{name}");
        }
    }

    #[test]
    fn a_lost_packet_is_silence_and_holds_up_the_rest_for_a_moment_only() {
        let mut packets: Vec<(u16, u32, u8)> = (0..20).map(|n| (n, u32::from(n) * 160, 5)).collect();
        packets.remove(3);
        let line = line(&packets);
        assert_eq!(line[..2], [(5, 480), (0, 160)]);
        assert_eq!(line[2].0, 5);
        assert!(line[2].1 >= 10 * 160, "{line:?}");
    }

    #[test]
    fn a_new_source_goes_on_where_the_old_one_ended() {
        let mut heard = Heard::new(Codec::Pcmu, as_they_are());
        for (ssrc, start, first) in [(1, 0, 100), (2, 9_000_000, 7)] {
            for n in 0..3u16 {
                let timestamp = start + u32::from(n) * 160;
                let payload = &[9; 160];
                heard.push(Arrived { sequence: first + n, timestamp, ssrc, marker: false, payload });
            }
        }
        assert_eq!(heard.samples().len(), 4 * 160);
    }
}
