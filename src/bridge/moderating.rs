//! What moderators do to a live meeting: lock it, let callers in from the lobby, mute everyone,
//! record; and what follows when they come and go.

use std::time::Duration;

use crate::bridge::call::state::Event;
use crate::bridge::command::By;
use crate::bridge::desk::{Desk, TONE_EVERY, Todo};
use crate::bridge::meeting::{Awaits, Meeting, Recording, Row, again};
use crate::bridge::snapshot::Role;
use crate::bridge::view::MeetingKind;
use crate::bridge::{Ending, Output, Prompt};
use crate::types::{CallId, HostId, MeetingId};

/// Most callers in one host's lobby. Each may keep four seconds of sound in memory.
const LOBBY_MAX: usize = 50;
/// Between two knocks.
const KNOCK_EVERY: Duration = Duration::from_secs(10);

impl Desk {
    /// Locks or unlocks the host's live meeting; false when it is not live. Unlocking lets in who
    /// waits because of the lock.
    pub(crate) fn lock(&mut self, host: HostId, meeting: MeetingId, locked: bool) -> bool {
        let Some(live) = self.live_mut(host, meeting) else { return false };
        if std::mem::replace(&mut live.locked, locked) != locked {
            let said = if locked { Prompt::LockedNow } else { Prompt::MeetingUnlocked };
            self.tell_moderators(host, said);
            if !locked {
                self.rejudge(host, None);
            }
        }
        true
    }

    /// Somebody is in the lobby and has said a name: the moderators hear so.
    pub(crate) fn knock(&mut self, host: HostId, call: CallId) {
        let now = self.now().instant;
        let room = self.room(host);
        room.lobby.push_back(call);
        if room.live.as_mut().is_some_and(|live| again(&mut live.told.knock, KNOCK_EVERY, now)) {
            self.tell_moderators(host, Prompt::CallerWaits);
        }
    }

    /// Mutes every guest, and all who come, so that each can undo it for themselves; or undoes it
    /// for all. False when the meeting is not live.
    pub(crate) fn mute_all(&mut self, host: HostId, meeting: MeetingId, muted: bool, by: By) -> bool {
        let Some(live) = self.live_mut(host, meeting) else { return false };
        live.all_muted = muted;
        let touched = |row: &Row| row.role == Role::Guest && row.muted_with_all != muted;
        let guests: Vec<CallId> =
            live.roster.iter().filter(|(_, row)| touched(row)).map(|(call, _)| *call).collect();
        for call in guests {
            self.act(call, if muted { "muted-with-all" } else { "unmuted-with-all" }, by);
            self.todo.push_back(Todo::Call(call, Event::MutedWithAll(muted)));
        }
        true
    }

    /// Begins or ends a recording, and everyone hears so. False when the meeting is not live.
    pub(crate) fn record_meeting(&mut self, host: HostId, meeting: MeetingId, on: bool) -> bool {
        self.recordings += u64::from(on);
        let recordings = self.recordings;
        let Some(live) = self.live_mut(host, meeting) else { return false };
        if live.recording.is_some() != on {
            live.recording = on.then_some(Recording(recordings));
            let said = if on { Prompt::RecordingOn } else { Prompt::RecordingOff };
            // With nobody in it, it begins with the first to come.
            if !live.roster.is_empty() {
                self.play_to_meeting(host, meeting, said);
                self.out.push(Output::Record { meeting, on });
            }
        }
        true
    }

    /// A hand goes up: the moderators hear a tone.
    pub(crate) fn hand_raised(&mut self, host: HostId) {
        let now = self.now().instant;
        let Some(live) = self.room(host).live.as_mut() else { return };
        if again(&mut live.told.hand, TONE_EVERY, now) {
            self.tell_moderators(host, Prompt::HandTone);
        }
    }

    /// A moderator is in the meeting now: it goes on, and who waits for that is judged again.
    pub(crate) fn moderator_came(&mut self, host: HostId, call: CallId) {
        let Some(live) = self.room(host).live.as_mut() else { return };
        let meeting = live.view.id;
        let starts = !std::mem::replace(&mut live.started, true);
        let back = live.ends_without_moderator.take().is_some();
        if back && live.roster.keys().any(|other| *other != call) {
            self.play_to_meeting(host, meeting, Prompt::ModeratorBack);
        }
        if starts {
            self.rejudge(host, None);
        }
    }

    /// A participant of this role has left the host's live meeting.
    pub(crate) fn left(&mut self, host: HostId, role: Role) {
        self.todo.push_back(Todo::LookEmpty(host));
        let (now, grace) = (self.now().instant, self.settings.moderator_grace);
        let standard = self.settings.standard_needs_moderator;
        let Some(live) = self.room(host).live.as_mut() else { return };
        let meeting = live.view.id;
        if live.roster.is_empty() {
            // Nobody is left to record; a deserted meeting has its own time to end.
            live.ends_without_moderator = None;
            if live.recording.take().is_some() {
                self.out.push(Output::Record { meeting, on: false });
            }
            return;
        }
        let needed = standard || live.view.kind == MeetingKind::OneTime;
        let another = live.roster.values().any(|row| row.role == Role::Moderator);
        if needed && role == Role::Moderator && !another {
            live.ends_without_moderator = Some(now + grace);
            self.play_to_meeting(host, meeting, Prompt::ModeratorLeft);
        }
    }

    /// Ends a meeting whose moderator did not come back in time.
    pub(crate) fn look_for_moderator(&mut self, host: HostId) {
        let now = self.now().instant;
        let due = |live: &Meeting| live.ends_without_moderator.is_some_and(|at| at <= now);
        let free = self.rooms.get(&host).is_some_and(|room| room.write.is_none());
        if free && self.live(host).is_some_and(due) {
            self.close(host, Ending::ModeratorGone, None);
        }
    }

    /// The guest who joined last, for `*#`.
    pub(crate) fn last_joined(&self, host: HostId, but: CallId) -> Option<CallId> {
        let roster = self.live(host).into_iter().flat_map(|live| &live.roster);
        roster
            .filter(|(call, row)| row.role == Role::Guest && **call != but)
            .max_by_key(|(_, row)| row.order)
            .map(|(call, _)| *call)
    }

    pub(crate) fn lobby_is_full(&self, host: HostId) -> bool {
        let Some(room) = self.rooms.get(&host) else { return false };
        let there = room.pending.values().filter(|awaits| matches!(awaits, Awaits::Admission(_)));
        there.count() >= LOBBY_MAX
    }

    /// Every moderator in the host's live meeting hears this.
    pub(crate) fn tell_moderators(&mut self, host: HostId, prompt: Prompt) {
        for moderator in self.moderators(host) {
            self.play(moderator, vec![prompt]);
        }
    }

    pub(crate) fn moderators(&self, host: HostId) -> Vec<CallId> {
        let roster = self.live(host).into_iter().flat_map(|live| &live.roster);
        roster.filter(|(_, row)| row.role == Role::Moderator).map(|(call, _)| *call).collect()
    }

    /// Everyone who waits in this room is judged again. `opened`: this meeting is live now.
    pub(crate) fn rejudge(&mut self, host: HostId, opened: Option<MeetingId>) {
        let Some(room) = self.rooms.get(&host) else { return };
        for call in room.pending.keys() {
            self.todo.push_back(Todo::Call(*call, Event::Rejudge { opened }));
        }
    }
}
