//! What moderators do to a live meeting: lock it, let callers in from the lobby.

use std::time::Duration;

use crate::bridge::Prompt;
use crate::bridge::call::state::Event;
use crate::bridge::desk::{Desk, Todo};
use crate::bridge::meeting::Awaits;
use crate::bridge::snapshot::Role;
use crate::types::{CallId, HostId, MeetingId};

/// Most callers in one host's lobby. Each may keep four seconds of sound in memory.
const LOBBY_MAX: usize = 50;
/// Between two knocks: a crowd at the door must not drown the meeting for its moderators.
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

    /// Somebody is in the lobby: the moderators hear so.
    pub(crate) fn knock(&mut self, host: HostId) {
        let now = self.now().instant;
        let Some(live) = self.room(host).live.as_mut() else { return };
        if live.knocked_at.is_some_and(|at| now < at + KNOCK_EVERY) {
            return;
        }
        live.knocked_at = Some(now);
        self.tell_moderators(host, Prompt::CallerWaits);
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
