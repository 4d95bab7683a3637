//! What the callers saw, in figures.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::own::Cost;
use super::tone;
use crate::cli::phone::tone::{RATE, level};
use crate::cli::phone::{Call, Happening};

/// A tone counts as heard from this level on; what is not there is 40 dB below.
const HEARD_DB: f64 = -45.0;

/// What is listened to for the others' tones: the last second.
const LISTENED: usize = RATE as usize;

/// One caller.
pub(super) struct Caller {
    room: usize,
    place: u32,
    pub call: Call,
    /// Frequencies that are heard at the end, among all speakers'.
    heard: Vec<u32>,
    packets: (u64, u64),
    in_call: bool,
}

impl Caller {
    pub fn new(room: usize, place: u32, call: Call) -> Self {
        Self { room, place, call, heard: Vec::new(), packets: (0, 0), in_call: false }
    }

    pub fn is_ringing(&self) -> bool {
        !self.call.is_answered() && !self.call.is_over()
    }

    /// Whom it hears right now, and what was lost until now.
    pub fn take_stock(&mut self) {
        self.in_call = self.call.is_answered() && !self.call.is_over();
        self.packets = (self.call.packets_heard(), self.call.packets_lost());
        let length = self.call.heard_so_far();
        let last = self.call.heard_since(length.saturating_sub(LISTENED));
        let all = 0..super::SPEAKERS_MAX as u32;
        self.heard = all.filter(|speaker| level(&last, tone(*speaker)) > HEARD_DB).collect();
    }

    fn answered_after(&self) -> Option<u64> {
        let happenings = self.call.happenings();
        happenings.iter().find(|at| matches!(at.happening, Happening::Answered { .. })).map(|at| at.ms)
    }

    fn refused(&self) -> Option<u16> {
        self.call.happenings().iter().find_map(|at| match at.happening {
            Happening::Refused { status, .. } => Some(status),
            _ => None,
        })
    }
}

/// Milliseconds from the INVITE to the answer.
#[derive(Clone, Copy, Debug, Serialize)]
struct SetUp {
    p50: u64,
    p99: u64,
    max: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Everybody was answered, stayed, and heard all speakers of their meeting and nobody else.
    pub good: bool,
    callers: usize,
    answered: usize,
    /// Answered, and over before it was time.
    dropped: usize,
    /// By SIP status.
    refused: BTreeMap<u16, usize>,
    set_up_ms: Option<SetUp>,
    packets_heard: u64,
    /// By gaps in the sequence numbers, 0 to 1.
    loss: f64,
    /// Pairs of a listener and a speaker of the same meeting, 0 to 1 of them heard.
    heard_share: f64,
    pairs: usize,
    /// Tones that were heard and should not have been there.
    strangers_heard: usize,
    own: Cost,
}

impl Report {
    pub fn of(callers: &[Caller], speakers: u32, own: Cost) -> Self {
        let mut times: Vec<u64> = callers.iter().filter_map(Caller::answered_after).collect();
        times.sort_unstable();
        let quantile = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        let set_up_ms = (!times.is_empty()).then(|| SetUp {
            p50: quantile(0.5),
            p99: quantile(0.99),
            max: quantile(1.0),
        });
        let mut refused = BTreeMap::new();
        for status in callers.iter().filter_map(Caller::refused) {
            *refused.entry(status).or_insert(0) += 1;
        }
        let dropped = callers.iter().filter(|caller| caller.call.is_answered() && !caller.in_call).count();
        let (mut pairs, mut heard, mut strangers_heard) = (0, 0, 0);
        for caller in callers.iter().filter(|caller| caller.in_call) {
            let there = |place: u32| {
                callers.iter().any(|other| other.room == caller.room && other.place == place && other.in_call)
            };
            for speaker in 0..super::SPEAKERS_MAX as u32 {
                let expected = speaker < speakers && speaker != caller.place && there(speaker);
                let is_heard = caller.heard.contains(&speaker);
                pairs += usize::from(expected);
                heard += usize::from(expected && is_heard);
                strangers_heard += usize::from(!expected && is_heard);
            }
        }
        let packets_heard: u64 = callers.iter().map(|caller| caller.packets.0).sum();
        let lost: u64 = callers.iter().map(|caller| caller.packets.1).sum();
        let answered = times.len();
        Self {
            good: answered == callers.len() && dropped == 0 && heard == pairs && strangers_heard == 0,
            callers: callers.len(),
            answered,
            dropped,
            refused,
            set_up_ms,
            packets_heard,
            loss: lost as f64 / (packets_heard + lost).max(1) as f64,
            heard_share: if pairs == 0 { 1.0 } else { heard as f64 / pairs as f64 },
            pairs,
            strangers_heard,
            own,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "callers         {} dialled, {} answered, {} dropped",
            self.callers, self.answered, self.dropped
        )?;
        for (status, count) in &self.refused {
            writeln!(f, "refused {status}     {count}")?;
        }
        if let Some(SetUp { p50, p99, max }) = self.set_up_ms {
            writeln!(f, "set-up          p50 {p50} ms, p99 {p99} ms, longest {max} ms")?;
        }
        writeln!(f, "sound           {} packets heard, {:.3} % lost", self.packets_heard, 100.0 * self.loss)?;
        writeln!(
            f,
            "who heard whom  {:.1} % of {} pairs; {} tones of somebody else",
            100.0 * self.heard_share,
            self.pairs,
            self.strangers_heard
        )?;
        let Cost { cores, cores_here, peak_mib, millicores_each, is_limit } = self.own;
        writeln!(
            f,
            "the callers     {cores:.2} of {cores_here} cores ({millicores_each:.1} thousandths each), {peak_mib:.0} MiB"
        )?;
        if is_limit {
            writeln!(
                f,
                "                they had less than a quarter of the machine left: the figures may be theirs"
            )?;
        }
        Ok(())
    }
}
