//! News: what onlookers are told as it happens, where the [snapshot](super::snapshot) tells what is.
//!
//! News of a room are the difference between two looks at it, one before and one after an input, so
//! nothing that changes a roster, a lobby or a lock can be forgotten where it is decided. Whoever
//! keeps what the news say has what the snapshot shows ([`View::apply`]).

use crate::bridge::question::OpenedBy;
use crate::bridge::snapshot::{InLobby, LiveMeeting, Participant, Role};
use crate::types::{CallId, HostId, MeetingId, PhoneNumber};

/// One thing that happened, for those who may look on.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    pub host: HostId,
    /// `None` for what happens beside every meeting, such as in a lobby while nothing is live.
    pub meeting: Option<MeetingId>,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The meeting is on; its people are told of one by one. In it nobody is yet.
    Opened(LiveMeeting),
    /// The moderator has taken over a meeting that a caller had opened.
    TakenOver(OpenedBy),
    Closed,
    Locked(bool),
    Recording(bool),
    AllMuted(bool),
    /// How many hear music until it goes on.
    Waiting(usize),
    Joined(Participant),
    Left(CallId),
    BecameRole(CallId, Role),
    /// `hard`: `*6` does not undo it.
    Muted {
        participant: CallId,
        muted: bool,
        hard: bool,
    },
    HandRaised(CallId, bool),
    Talking(CallId, bool),
    CameToLobby(InLobby),
    LeftLobby(CallId),
    /// A new phone proved PIN and code, and goes straight in from now on.
    Remembered {
        participant: CallId,
        number: PhoneNumber,
    },
    /// A remembered phone came into this meeting without its code.
    CameWithoutCode {
        participant: CallId,
        number: Option<PhoneNumber>,
    },
}

/// One host's room as onlookers see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    pub live: Option<LiveMeeting>,
    /// Who came first in front.
    pub lobby: Vec<InLobby>,
}

impl View {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_none() && self.lobby.is_empty()
    }

    /// What happened from this look at a room to a later one, in an order in which it can be told:
    /// who leaves before who comes, one meeting's end before another's beginning.
    #[must_use]
    pub fn news(&self, host: HostId, later: &Self) -> Vec<News> {
        let mut news = Vec::new();
        let mut tell = |meeting, what| news.push(News { host, meeting, what });
        for before in self.lobby.iter().filter(|before| !later.lobby.contains(before)) {
            tell(before.meeting, What::LeftLobby(before.participant));
        }
        match (&self.live, &later.live) {
            (Some(before), Some(after)) if before.meeting == after.meeting => {
                for what in changes(before, after) {
                    tell(Some(after.meeting), what);
                }
            }
            (before, after) => {
                if let Some(before) = before {
                    let meeting = Some(before.meeting);
                    for participant in &before.roster {
                        tell(meeting, What::Left(participant.participant));
                    }
                    tell(meeting, What::Closed);
                }
                if let Some(after) = after {
                    let meeting = Some(after.meeting);
                    tell(meeting, What::Opened(LiveMeeting { roster: Vec::new(), ..after.clone() }));
                    for participant in &after.roster {
                        tell(meeting, What::Joined(participant.clone()));
                    }
                }
            }
        }
        for after in later.lobby.iter().filter(|after| !self.lobby.contains(after)) {
            tell(after.meeting, What::CameToLobby(after.clone()));
        }
        news
    }

    /// What an onlooker knows after one more piece of news.
    pub fn apply(&mut self, news: &News) {
        match (&news.what, &mut self.live) {
            (What::Opened(meeting), _) => self.live = Some(meeting.clone()),
            (What::Closed, _) => self.live = None,
            (What::CameToLobby(waiting), _) => self.lobby.push(waiting.clone()),
            (What::LeftLobby(call), _) => self.lobby.retain(|waiting| waiting.participant != *call),
            (_, None) | (What::Remembered { .. } | What::CameWithoutCode { .. }, _) => {}
            (What::TakenOver(by), Some(live)) => live.opened_by = *by,
            (What::Locked(locked), Some(live)) => live.locked = *locked,
            (What::Recording(on), Some(live)) => live.recording = *on,
            (What::AllMuted(muted), Some(live)) => live.all_muted = *muted,
            (What::Waiting(count), Some(live)) => live.waiting = *count,
            (What::Joined(participant), Some(live)) => live.roster.push(participant.clone()),
            (What::Left(call), Some(live)) => live.roster.retain(|row| row.participant != *call),
            (What::BecameRole(call, role), Some(live)) => change(live, *call, |row| row.role = *role),
            (What::HandRaised(call, up), Some(live)) => change(live, *call, |row| row.hand_raised = *up),
            (What::Talking(call, on), Some(live)) => change(live, *call, |row| row.talking = *on),
            (What::Muted { participant, muted, hard }, Some(live)) => {
                change(live, *participant, |row| (row.muted, row.hard_muted) = (*muted, *hard));
            }
        }
    }
}

fn change(live: &mut LiveMeeting, call: CallId, change: impl FnOnce(&mut Participant)) {
    if let Some(row) = live.roster.iter_mut().find(|row| row.participant == call) {
        change(row);
    }
}

/// What happened within one meeting.
fn changes(before: &LiveMeeting, after: &LiveMeeting) -> Vec<What> {
    let mut whats = Vec::new();
    let flags = [
        (before.opened_by != after.opened_by).then_some(What::TakenOver(after.opened_by)),
        (before.locked != after.locked).then_some(What::Locked(after.locked)),
        (before.all_muted != after.all_muted).then_some(What::AllMuted(after.all_muted)),
        (before.waiting != after.waiting).then_some(What::Waiting(after.waiting)),
    ];
    whats.extend(flags.into_iter().flatten());
    // Rosters are sorted by call: both are walked once, however many are in them.
    let mut old = before.roster.iter().peekable();
    let mut joined = Vec::new();
    for row in &after.roster {
        while let Some(gone) = old.next_if(|was| was.participant < row.participant) {
            whats.push(What::Left(gone.participant));
        }
        match old.next_if(|was| was.participant == row.participant) {
            // Left and joined within one step: another stay.
            Some(was) if was.joined_at != row.joined_at || was.entered != row.entered => {
                whats.push(What::Left(row.participant));
                joined.push(row);
            }
            Some(was) => whats.extend(changes_of(was, row)),
            None => joined.push(row),
        }
    }
    whats.extend(old.map(|gone| What::Left(gone.participant)));
    whats.extend(joined.into_iter().map(|row| What::Joined(row.clone())));
    // After who joins has heard of it.
    whats.extend((before.recording != after.recording).then_some(What::Recording(after.recording)));
    whats
}

fn changes_of(before: &Participant, after: &Participant) -> impl Iterator<Item = What> {
    let participant = after.participant;
    let muted = (before.muted, before.hard_muted) != (after.muted, after.hard_muted);
    [
        (before.role != after.role).then_some(What::BecameRole(participant, after.role)),
        muted.then_some(What::Muted { participant, muted: after.muted, hard: after.hard_muted }),
        (before.hand_raised != after.hand_raised).then_some(What::HandRaised(participant, after.hand_raised)),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::bridge::rehearsal::Stage;

    /// The news of a line of a script, in words.
    fn told(stage: &mut Stage, line: &str) -> Vec<String> {
        stage.happen(line).unwrap();
        stage.take_news().iter().map(words).collect()
    }

    fn words(news: &News) -> String {
        match &news.what {
            What::Opened(meeting) => format!("opened {}", meeting.title),
            What::Joined(row) => format!("joined {:?} {:?}", row.role, row.entered),
            What::Left(_) => "left".to_owned(),
            What::BecameRole(_, role) => format!("became {role:?}"),
            What::HandRaised(_, up) => format!("hand {up}"),
            What::Muted { muted, hard, .. } => format!("muted {muted} hard {hard}"),
            What::CameToLobby(waiting) => format!("came to the lobby: {:?}", waiting.reason),
            What::LeftLobby(_) => "left the lobby".to_owned(),
            What::Remembered { .. } => "remembered".to_owned(),
            What::CameWithoutCode { .. } => "came without code".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    #[test]
    fn what_happens_in_a_meeting_is_told_as_it_happens() {
        let mut stage = Stage::new(Instant::now());
        for line in [
            "host ada pin 123456789 host-pin 778899",
            "one-time ada review code 4711 09:00-10:00",
            "one-time ada plans code 4822 09:00-10:00",
            "remembered ada +442079460003",
        ] {
            stage.set_up(line).unwrap();
        }
        let story: &[(&str, &[&str])] = &[
            ("anna: call from +442079460001 network", &[]),
            ("anna: dial 1234567894711", &[]),
            ("wait 2s", &["opened review", "joined Guest ProvedCode", "remembered"]),
            ("bert: call from +442079460003 network", &[]),
            ("wait 10s", &["joined Guest Remembered", "came without code"]),
            ("anna: dial *5", &["hand true"]),
            ("mute anna", &["muted true hard true"]),
            ("unmute anna", &["muted false hard false"]),
            (
                "ada mutes all in review",
                &["allmuted(true)", "muted true hard false", "muted true hard false"],
            ),
            ("bert: dial *6", &["muted false hard false"]),
            ("promote bert", &["became Moderator"]),
            ("ada locks review", &["locked(true)"]),
            ("ada records review", &["recording(true)"]),
            ("carl: call from +442079460004 network", &[]),
            ("carl: dial 1234567894711", &[]),
            ("wait 2s", &["came to the lobby: Locked"]),
            ("admit carl", &["left the lobby"]),
            // Muted as everyone is, from the first moment on.
            ("wait 8s", &["joined Guest ProvedCode", "remembered"]),
            ("anna: hang up", &["left"]),
            ("ada opens plans", &["left", "left", "closed", "opened plans"]),
            ("ada closes plans", &["closed"]),
        ];
        let mut faults = Vec::new();
        for (line, expected) in story {
            let got = told(&mut stage, line);
            if got != *expected {
                faults.push(format!("{line}: {got:?}"));
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}
