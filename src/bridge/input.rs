//! Everything that can happen to the bridge, from every side.

use std::time::Duration;

use crate::bridge::command::By;
use crate::bridge::verify::Basis;
use crate::bridge::{Answer, Command, PlaybackId, QuestionId, RequestId};
use crate::types::{CallId, Digit, Language, PhoneNumber, Suite, Trust};

/// One thing that happened. Inputs arrive in one order, and that order is the truth.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    // -- signalling --
    /// A call asks to come in. Its trunk, access number and codecs have been found good.
    Incoming(Incoming),
    /// The caller has our answer (ACK); sound flows both ways.
    Answered {
        call: CallId,
    },
    /// The call is over on the wire, whoever ended it and however.
    HungUp {
        call: CallId,
        how: HangUp,
    },

    // -- media --
    /// A key, once per press.
    Digit {
        call: CallId,
        digit: Digit,
        source: DigitSource,
    },
    /// The key that this source told of last was down for so long.
    KeyUp {
        call: CallId,
        source: DigitSource,
        lasted: Duration,
    },
    /// What [`Output::Play`](crate::bridge::Output::Play) queued has been played to its end, or was stopped.
    Played {
        call: CallId,
        playback: PlaybackId,
    },
    /// Nothing at all came in for a minute, not even RTCP.
    MediaLost {
        call: CallId,
    },
    /// The leg's figures, sent when it closes.
    Quality {
        call: CallId,
        quality: Quality,
    },

    // -- store --
    /// The answer to a question, exactly one for each.
    Answer {
        question: QuestionId,
        answer: Answer,
    },

    // -- operators, hosts, moderators --
    Command {
        request: RequestId,
        by: By,
        command: Command,
    },

    // -- time --
    /// The deadline that the bridge asked for has come.
    Tick,
}

/// What is known of a call before it is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    pub call: CallId,
    /// The name of the trunk it came over.
    pub trunk: String,
    /// The carrier that the trunk belongs to, for remembered numbers.
    pub trunk_group: String,
    /// The number that was dialled, as configured; `None` when every dialled number is answered.
    pub access_number: Option<String>,
    /// What callers of the access number are spoken to in; `None`: in the host's, once that is known.
    pub language: Option<Language>,
    /// Others that the caller may choose.
    pub other_languages: Vec<Language>,
    pub caller: Caller,
    /// The `Call-ID` of the dialog, for operators who compare records with their trunk's.
    pub sip_call_id: String,
}

/// Who calls, as far as we believe it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caller {
    /// `None` when withheld or not a number. A withheld number is never learnt from elsewhere.
    pub number: Option<PhoneNumber>,
    pub trust: Trust,
    pub withheld: bool,
    /// What the trust rests on.
    pub basis: Basis,
    /// There was a signature, and why nobody could judge it.
    pub unjudged: Option<&'static str>,
}

impl Caller {
    /// For records and operators: the trust, and what it rests on.
    #[must_use]
    pub fn why(&self, trunk: &str) -> String {
        let mut text = format!("{}: {}", self.trust.as_str(), self.basis.text(trunk));
        if let Some(why) = self.unjudged {
            text.push_str("; the signature was not judged: ");
            text.push_str(why);
        }
        text
    }
}

/// How a call ended on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HangUp {
    /// BYE from the caller.
    Caller,
    /// CANCEL before our answer.
    Cancelled,
    /// No PRACK within 64·T1 (RFC 3262 §3).
    NoPrack,
    /// No ACK within 64·T1 (RFC 3261 §13.3.1.4).
    NoAck,
    /// The session timer ran out (RFC 4028 §10).
    SessionExpired,
    /// We sent the BYE or the final refusal and it is done.
    Us,
    /// The transport broke or the peer does not know the dialog any more (481, 408).
    Transport,
    /// The caller's answer to our offer was none that sound can come of.
    NoUsableAnswer,
    /// There was no media port or no room on a worker.
    Overload,
}

/// Where a key was heard.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DigitSource {
    /// RFC 4733 telephone-event.
    Rtp,
    /// SIP INFO.
    Info,
    /// A tone in the audio.
    Inband,
}

/// How a leg sounded, over its whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// Packets received and played, received too late, and never received.
    pub packets_received: u64,
    pub packets_late: u64,
    pub packets_lost: u64,
    pub packets_sent: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1) at the end.
    pub jitter_ms: f32,
    /// Share of played frames that had to be concealed, 0–1.
    pub concealed: f32,
    /// What the peer reported by RTCP: fraction lost 0–1, round trip.
    pub peer_lost: Option<f32>,
    pub round_trip_ms: Option<f32>,
    /// Received after one that was sent later.
    pub reordered: u64,
    /// What the jitter buffer added at the end, in milliseconds.
    pub buffer_ms: f32,
    /// How we heard the caller, and how their side says that it heard us: mean opinion, 1–4.5.
    pub opinion: Option<f32>,
    pub peer_opinion: Option<f32>,
    /// SRTP packets that were not authentic, or came again.
    pub packets_rejected: u64,
    /// What encrypted the sound at the end; `None`: it was plain.
    pub srtp: Option<Suite>,
    /// Ticks of ours that came late for this call, or not at all, and by how much the worst of them.
    pub ticks_late: u64,
    pub tick_late_max_ms: f32,
}
