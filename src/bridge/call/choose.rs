//! A moderator who dials in while a meeting of theirs is scheduled that is not live: which one do
//! they want? One that is live is closed only when they say so.

use std::time::Instant;

use crate::bridge::admission::Proof;
use crate::bridge::call::Call;
use crate::bridge::call::enter::admit;
use crate::bridge::call::entry::{patience, replay};
use crate::bridge::call::state::{OPENING_TIME, Patience, State};
use crate::bridge::desk::Desk;
use crate::bridge::question::OpenedBy;
use crate::bridge::view::{HostView, MeetingKind};
use crate::bridge::{PlaybackId, Prompt};
use crate::types::{Digit, MeetingId};

/// What only this state needs.
#[derive(Debug)]
pub(crate) struct Choice {
    proof: Proof,
    question: Which,
    pub patience: Patience,
}

#[derive(Clone, Copy, Debug)]
enum Which {
    /// 1: the scheduled one; 2: the standard one.
    Meeting { scheduled: MeetingId },
    /// 1: this one opens, and the live one closes.
    Close { wanted: MeetingId, live: MeetingId },
}

/// What the moderator has chosen on this call, and which live one may be closed for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Chosen {
    meeting: MeetingId,
    closes: Option<MeetingId>,
}

/// Before a moderator goes in: a question, or the opening of what they chose. `None`: as judged.
pub(super) fn before_entering(
    desk: &mut Desk,
    call: &mut Call,
    host: Box<HostView>,
    proof: Proof,
) -> Result<State, Box<HostView>> {
    let live = desk.live(host.id).map(|live| live.view.id);
    match call.chosen {
        Some(chosen) if live == Some(chosen.meeting) => Err(host),
        Some(chosen) => match live.filter(|live| Some(*live) != chosen.closes) {
            Some(live) => Ok(ask(desk, call, host, proof, Which::Close { wanted: chosen.meeting, live })),
            None => {
                desk.open_for_caller(&host, chosen.meeting, OpenedBy::Moderator);
                let until = desk.now().instant + OPENING_TIME;
                Ok(State::Opening { host, proof, until })
            }
        },
        None => match scheduled_instead(desk, &host) {
            Some(scheduled) => Ok(ask(desk, call, host, proof, Which::Meeting { scheduled })),
            None => Err(host),
        },
    }
}

/// The One Time Meeting that is on by the clock, unless it is live, or the live one is on by the
/// clock as well and began no earlier.
fn scheduled_instead(desk: &Desk, host: &HostView) -> Option<MeetingId> {
    let scheduled = desk.situation(host).scheduled_now(MeetingKind::OneTime)?;
    let Some(live) = desk.live(host.id) else { return Some(scheduled.id) };
    let later = live.view.kind == MeetingKind::Standard || scheduled.starts_at > live.view.starts_at;
    (live.view.id != scheduled.id && later).then_some(scheduled.id)
}

fn ask(desk: &mut Desk, call: &mut Call, host: Box<HostView>, proof: Proof, question: Which) -> State {
    let prompt = match question {
        Which::Meeting { .. } => Prompt::ChooseMeeting,
        Which::Close { .. } => Prompt::ConfirmClose,
    };
    desk.step(call.id, "asked-which-meeting");
    let patience = patience(desk, call, vec![prompt]);
    let state = State::Choosing { host, choice: Choice { proof, question, patience } };
    replay(desk, call, state)
}

pub(super) fn key(
    desk: &mut Desk,
    call: &mut Call,
    host: Box<HostView>,
    choice: Choice,
    key: Digit,
) -> State {
    match (choice.question, key.as_char()) {
        (Which::Meeting { scheduled }, '1') => wants(desk, call, host, choice.proof, scheduled),
        (Which::Meeting { .. }, '2') => {
            let standard = host.standard_meeting;
            wants(desk, call, host, choice.proof, standard)
        }
        (Which::Close { wanted, live }, '1') => {
            call.chosen = Some(Chosen { meeting: wanted, closes: Some(live) });
            admit(desk, call, host, choice.proof)
        }
        // `#` may be the end of what was typed before.
        (_, '#') => State::Choosing { host, choice },
        (Which::Meeting { .. }, _) => ask(desk, call, host, choice.proof, choice.question),
        (Which::Close { wanted, .. }, _) => stays(desk, call, host, choice.proof, wanted),
    }
}

/// Silence: what is live stays; if nothing is, the scheduled one opens.
pub(super) fn silent(desk: &mut Desk, call: &mut Call, host: Box<HostView>, choice: Choice) -> State {
    match choice.question {
        Which::Meeting { scheduled: wanted } | Which::Close { wanted, .. } => {
            stays(desk, call, host, choice.proof, wanted)
        }
    }
}

pub(super) fn played(host: Box<HostView>, mut choice: Choice, played: PlaybackId, now: Instant) -> State {
    choice.patience = choice.patience.heard(played, now);
    State::Choosing { host, choice }
}

fn wants(desk: &mut Desk, call: &mut Call, host: Box<HostView>, proof: Proof, wanted: MeetingId) -> State {
    call.chosen = Some(Chosen { meeting: wanted, closes: None });
    admit(desk, call, host, proof)
}

fn stays(desk: &mut Desk, call: &mut Call, host: Box<HostView>, proof: Proof, wanted: MeetingId) -> State {
    let meeting = desk.live(host.id).map_or(wanted, |live| live.view.id);
    wants(desk, call, host, proof, meeting)
}
