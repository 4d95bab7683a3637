//! How well packets arrive: highest sequence number, loss and jitter (RFC 3550 §6.4.1, A.1, A.3, A.8).

use rtcp::reception_report::ReceptionReport;

/// What one source sent us, as its numbers tell. A change of SSRC begins a new one in the same
/// place; what was lost before stays counted.
#[derive(Clone, Debug, Default)]
pub struct Reception {
    source: Option<Source>,
    /// Packets received, of all sources.
    pub received: u64,
    /// Those of them that a later one had overtaken.
    pub reordered: u64,
    lost_before: u64,
}

#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    /// The first sequence number, extended.
    base: u32,
    /// The highest one, extended: its upper half counts the times the lower half wrapped around.
    highest: u32,
    received: u32,
    /// The sequence number that would confirm a restart of the peer (A.1 `bad_seq`).
    restart: Option<u16>,
    /// Arrival minus timestamp of the last packet; the absolute value means nothing.
    transit: Option<u32>,
    /// 16 times the jitter, in timestamp units (A.8).
    jitter_scaled: u32,
    expected_prior: u32,
    received_prior: u32,
}

/// How far a sequence number may jump ahead and still be the same run (A.1).
const DROPOUT_MAX: u16 = 3_000;
/// How far it may be behind and still be a late packet (A.1).
const MISORDER_MAX: u16 = 100;

impl Reception {
    /// Counts one packet. `arrival` is the RTP clock at its arrival; `timestamp` is `None` for
    /// packets that all carry the time of their beginning, such as key presses: those say nothing
    /// about jitter (RFC 4733 §2.1). True when this is a source not heard before.
    pub fn note(&mut self, ssrc: u32, sequence: u16, timestamp: Option<u32>, arrival: u32) -> bool {
        self.received += 1;
        self.reordered +=
            u64::from(self.source.as_ref().is_some_and(|source| source.is_behind(ssrc, sequence)));
        let fresh = match &mut self.source {
            Some(source) if source.ssrc == ssrc => !source.follow(sequence),
            _ => true,
        };
        if fresh {
            let changed = self.source.as_ref().is_none_or(|source| source.ssrc != ssrc);
            self.lost_before = self.lost();
            self.source = Some(Source::new(ssrc, sequence));
            self.jitter(timestamp, arrival);
            return changed;
        }
        self.jitter(timestamp, arrival);
        false
    }

    fn jitter(&mut self, timestamp: Option<u32>, arrival: u32) {
        let (Some(source), Some(timestamp)) = (&mut self.source, timestamp) else { return };
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = source.transit.replace(transit) {
            let distance = (transit.wrapping_sub(before) as i32).unsigned_abs();
            // A leap of the peer's clock is no jitter.
            if distance < super::CLOCK_RATE {
                source.jitter_scaled += distance;
                source.jitter_scaled -= (source.jitter_scaled - distance + 8) >> 4;
            }
        }
    }

    /// The source heard last.
    #[must_use]
    pub fn ssrc(&self) -> Option<u32> {
        self.source.as_ref().map(|source| source.ssrc)
    }

    /// Packets that never came. Duplicates do not make it negative.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let now = self.source.as_ref().map_or(0, |source| source.expected().saturating_sub(source.received));
        self.lost_before + u64::from(now)
    }

    /// Interarrival jitter in milliseconds.
    #[must_use]
    pub fn jitter_ms(&self) -> f32 {
        let jitter = self.source.as_ref().map_or(0, |source| source.jitter_scaled >> 4);
        jitter as f32 * 1_000.0 / super::CLOCK_RATE as f32
    }

    /// A report block about what came since the last one (A.3); `None` before the first packet.
    /// The caller fills in when the last sender report came.
    pub fn report(&mut self) -> Option<ReceptionReport> {
        let source = self.source.as_mut()?;
        let expected = source.expected();
        let expected_now = expected.wrapping_sub(source.expected_prior);
        let received_now = source.received.wrapping_sub(source.received_prior);
        source.expected_prior = expected;
        source.received_prior = source.received;
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction =
            if expected_now == 0 { 0 } else { (u64::from(lost_now) << 8) / u64::from(expected_now) };
        Some(ReceptionReport {
            ssrc: source.ssrc,
            fraction_lost: fraction.min(255) as u8,
            total_lost: expected.saturating_sub(source.received).min(0x7f_ffff),
            last_sequence_number: source.highest,
            jitter: source.jitter_scaled >> 4,
            last_sender_report: 0,
            delay: 0,
        })
    }
}

impl Source {
    fn new(ssrc: u32, sequence: u16) -> Self {
        Self {
            ssrc,
            base: u32::from(sequence),
            highest: u32::from(sequence),
            received: 1,
            restart: None,
            transit: None,
            jitter_scaled: 0,
            expected_prior: 0,
            received_prior: 0,
        }
    }

    fn is_behind(&self, ssrc: u32, sequence: u16) -> bool {
        let behind = (self.highest as u16).wrapping_sub(sequence);
        self.ssrc == ssrc && (1..MISORDER_MAX).contains(&behind)
    }

    fn expected(&self) -> u32 {
        self.highest.wrapping_sub(self.base).wrapping_add(1)
    }

    /// False when the peer has begun to count anew: two packets in a row far from the old run.
    fn follow(&mut self, sequence: u16) -> bool {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead < DROPOUT_MAX {
            self.highest = self.highest.wrapping_add(u32::from(ahead));
        } else if ahead <= u16::MAX - MISORDER_MAX {
            if self.restart == Some(sequence) {
                return false;
            }
            self.restart = Some(sequence.wrapping_add(1));
            return true;
        }
        self.restart = None;
        self.received = self.received.wrapping_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(sequences: impl IntoIterator<Item = u16>) -> Reception {
        let mut reception = Reception::default();
        for sequence in sequences {
            reception.note(1, sequence, Some(u32::from(sequence) * 160), u32::from(sequence) * 160);
        }
        reception
    }

    #[test]
    fn loss_is_what_the_sequence_numbers_miss() {
        let cases: &[(&str, Vec<u16>, u64, u32)] = &[
            ("all came", (10..=19).collect(), 0, 19),
            ("one is missing", vec![1, 2, 4, 5], 1, 5),
            ("two changed places", vec![1, 3, 2, 4], 0, 4),
            ("a duplicate hides nothing before it came", vec![1, 2, 2, 3], 0, 3),
            ("the numbers wrap around", vec![65_534, 65_535, 0, 1], 0, 65_537),
            ("lost at the wrap", vec![65_534, 1], 2, 65_537),
            ("a single stray number changes nothing", vec![1, 2, 30_000, 3], 0, 3),
            ("the peer counts anew", vec![1, 2, 30_000, 30_001, 30_002], 0, 30_002),
        ];
        for (name, sequences, lost, highest) in cases {
            let mut reception = after(sequences.iter().copied());
            assert_eq!(reception.lost(), *lost, "{name}");
            assert_eq!(reception.report().unwrap().last_sequence_number, *highest, "{name}");
        }
    }

    #[test]
    fn each_report_tells_the_loss_since_the_last_one() {
        let mut reception = after([0, 1, 2, 3]);
        assert_eq!(reception.report().unwrap().fraction_lost, 0);
        for sequence in [4, 6] {
            reception.note(1, sequence, None, 0);
        }
        let report = reception.report().unwrap();
        assert_eq!((report.fraction_lost, report.total_lost), (85, 1));
        assert_eq!(reception.report().unwrap().fraction_lost, 0);
    }

    #[test]
    fn a_packet_every_20_ms_has_no_jitter_and_one_that_swings_by_10_ms_has_10() {
        let mut steady = Reception::default();
        let mut swinging = Reception::default();
        for n in 0..1_000_u32 {
            let timestamp = Some(n.wrapping_mul(160).wrapping_sub(800));
            steady.note(1, n as u16, timestamp, n * 160);
            swinging.note(1, n as u16, timestamp, n * 160 + n % 2 * 80);
        }
        assert_eq!(steady.jitter_ms(), 0.0);
        assert!((swinging.jitter_ms() - 10.0).abs() < 0.5, "{}", swinging.jitter_ms());
    }

    #[test]
    fn a_new_source_begins_a_new_count_and_keeps_the_old_loss() {
        let mut reception = after([1, 3]);
        assert!(reception.note(2, 500, None, 0));
        assert!(!reception.note(2, 501, None, 0));
        assert_eq!(reception.lost(), 1);
        assert_eq!(reception.received, 4);
        assert_eq!(reception.report().unwrap().ssrc, 2);
    }
}
