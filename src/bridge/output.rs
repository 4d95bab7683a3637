//! Everything the bridge can ask the rest of the service to do.

use std::time::Duration;

use crate::bridge::{CallRecord, Ending, News, Prompt, Question, QuestionId, Rejection, Reply, RequestId};
use crate::types::{CallId, Language, MeetingId};

/// One thing to do. Outputs of one input are carried out in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    // -- signalling --
    /// Send 180.
    Ring {
        call: CallId,
    },
    /// Send 200 and open the leg.
    Answer {
        call: CallId,
    },
    /// Refuse a call that is not answered, with the ending's SIP status.
    Refuse {
        call: CallId,
        ending: Ending,
    },
    /// End an answered call: BYE with the ending's `Reason`.
    HangUp {
        call: CallId,
        ending: Ending,
    },

    // -- media --
    /// Speak to this leg in this language from now on.
    Speak {
        call: CallId,
        language: Language,
    },
    /// Queue prompts to one leg, after those that play. `Input::Played` comes once, at their end.
    Play {
        call: CallId,
        playback: PlaybackId,
        prompts: Vec<Prompt>,
    },
    /// Play a prompt over and over until stopped (waiting music). Prompts queued with `Play` are
    /// heard in its place, and then it goes on.
    PlayLoop {
        call: CallId,
        prompt: Prompt,
    },
    /// Stop prompts and loop of this leg at once; their `Played` still come.
    StopPlaying {
        call: CallId,
    },
    /// Mix a prompt over what everyone in the meeting hears.
    PlayToMeeting {
        meeting: MeetingId,
        /// The host's; `None`: as a caller is spoken to of whom nothing is known.
        language: Option<Language>,
        prompts: Vec<Prompt>,
    },
    /// Mix this leg into the meeting's conference from now on.
    Join {
        call: CallId,
        meeting: MeetingId,
    },
    /// Take this leg out of its conference; prompts can still be played to it.
    Leave {
        call: CallId,
    },
    /// Others stop or start hearing this leg.
    Mute {
        call: CallId,
        muted: bool,
    },

    /// Begin or end the recording of what the meeting sounds like.
    Record {
        meeting: MeetingId,
        on: bool,
    },
    /// Keep what this leg says from now on, at most `most` of it and none of it longer than the
    /// call lives; joining a meeting ends it.
    RecordName {
        call: CallId,
        most: Duration,
    },
    /// Queue to one leg what another one's `RecordName` has kept, and if nothing was, `otherwise`.
    /// As with `Play`, `Input::Played` comes once.
    PlayName {
        to: CallId,
        playback: PlaybackId,
        of: CallId,
        otherwise: Option<Prompt>,
    },
    /// Forget what `RecordName` has kept.
    DropName {
        call: CallId,
    },

    // -- store --
    /// Ask; the answer comes as `Input::Answer` with the same id.
    Ask {
        question: QuestionId,
        ask: Question,
    },
    /// Write the finished call's record. Never awaited; spilled to disk rather than lost.
    Save {
        record: Box<CallRecord>,
    },

    // -- operators --
    /// Tell those who look on.
    News {
        news: Box<News>,
    },
    Reply {
        request: RequestId,
        reply: Result<Reply, Rejection>,
    },
}

/// Names one `Play` of one call.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PlaybackId(pub u64);
