//! The moderator by phone, over real calls: what the keys do is judged by what everybody hears.
//!
//! The rules are scripts in `tests/flows`. Here several phones speak a tone each, so that who hears whom
//! is read off the sound, and the API is the witness of what was recorded of it.

mod support;

use std::time::Duration;

use doorline::cli::phone::{Call, Happening, Plan, Voice, tone};
use serde_json::Value;
use support::api::text;
use support::eventually;
use support::hear::{HEARD_DB, SECOND, UNHEARD_DB, prompt, prompt_in};
use support::scene::{
    JOINED, KEYS, Scene, dial, does_not_hear, hangs_up, hears, in_meeting, is_hung_up_on, level_now, pause,
    was_asked,
};

/// For a prompt to come and to be known by its first words, behind others that play before it.
const PROMPT: Duration = Duration::from_secs(15);

const MODERATOR: &str = "+15550101000";

impl Scene {
    /// The moderator comes with the host PIN, and opens the One Time Meeting if nothing is open yet.
    fn moderator(&self, voice: Voice, nth: usize) -> Call {
        let keys = format!("{}*0{}#1", self.host.pin, self.host.host_pin).parse().expect("they are keys");
        let call = dial(Plan { keys, voice, ..self.plan(MODERATOR) });
        let roster = self.sees(nth);
        assert!(roster.iter().any(|one| one["role"] == "moderator"), "{roster:?}");
        hears_prompt(&call, 0, "you-are-moderator");
        // Until it is said to its end the room is softer for this caller.
        pause(2_000);
        call
    }

    /// What the roster says beside its participants.
    fn room(&self) -> Value {
        self.api.get(&format!("/meetings/{}/roster", self.meeting.id)).good()
    }

    /// The lobby comes to have `count` callers; their ids, longest first.
    fn lobby(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} in the lobby"), KEYS + JOINED, || {
            let room = self.room();
            let lobby = room["lobby"].as_array().expect("a lobby is a list");
            (lobby.len() == count).then(|| lobby.iter().map(|one| text(one, "id")).collect())
        })
    }

    /// The participant of the roster that joined last.
    fn last_joined(&self) -> String {
        let roster = self.api.roster(&self.meeting);
        let last = roster.iter().max_by_key(|one| text(one, "joined_at")).expect("somebody is in");
        text(last, "id")
    }
}

/// Presses keys; where in the caller's sound it was done.
fn press(call: &Call, keys: &str) -> usize {
    let mark = call.heard_so_far();
    call.press(keys.parse().expect("they are keys"));
    mark
}

/// Waits until a prompt has begun after `mark`; where, counted from `mark`.
#[track_caller]
fn hears_prompt(call: &Call, mark: usize, id: &str) -> usize {
    let end = std::time::Instant::now() + PROMPT;
    loop {
        if let Some(at) = prompt_in(&call.heard_since(mark), id) {
            return at;
        }
        assert!(std::time::Instant::now() < end, "{id} is not heard");
        pause(300);
    }
}

/// Where in `heard` a tone begins, to 20 ms; `None` when it is not there.
fn tone_begins(heard: &[i16], hz: f64) -> Option<usize> {
    const WINDOW: usize = SECOND / 5;
    (0..heard.len().saturating_sub(WINDOW))
        .step_by(SECOND / 50)
        .find(|&at| tone::level(&heard[at..at + WINDOW], hz) > HEARD_DB)
}

/// The steps of a call's record.
fn steps(record: &Value) -> Vec<&str> {
    let path = record["path"].as_array().expect("a path is a list");
    path.iter().filter_map(|step| step["what"].as_str()).collect()
}

/// When the call was answered, in samples since it was dialled.
fn answered_at(call: &Call) -> usize {
    let happenings = call.happenings();
    let answered = happenings.iter().find(|at| matches!(at.happening, Happening::Answered { .. }));
    let ms = answered.expect("the call is answered").ms;
    usize::try_from(ms).expect("a test is short") * SECOND / 1_000
}

/// R1 by phone: who is in the first meeting hears why it ends, who is typing its code is judged by what
/// is live when the code is complete, and nobody hears a word of the second one.
#[test]
fn a_second_meeting_opened_by_phone_closes_the_first_and_judges_who_is_typing() {
    let scene = Scene::new();
    let guests: Vec<Call> = (0..3)
        .map(|n| {
            let voice = Voice::tone(440.0 + 190.0 * f64::from(n));
            scene.joins(&format!("+1555010100{}", n + 1), voice, n as usize + 1)
        })
        .collect();
    hears(&guests[2], 440.0);
    // The second one begins later than the first.
    pause(1_100);
    let second = scene.api.new_one_time_meeting(&scene.host);

    let keys = format!("{}*0{}#", scene.host.pin, scene.host.host_pin).parse().expect("they are keys");
    let moderator = dial(Plan { keys, voice: Voice::tone(1_390.0), ..scene.plan(MODERATOR) });
    hears_prompt(&moderator, 0, "choose-meeting");
    let mark = press(&moderator, "1");
    hears_prompt(&moderator, mark, "confirm-close");
    assert_eq!(scene.api.state_of(&scene.meeting), "open", "nothing is closed unasked");

    // Half of the old code before the change, half after it.
    let keys = format!("{}#", scene.host.pin).parse().expect("they are keys");
    let typing = dial(Plan { keys, ..scene.plan("+15550101004") });
    hears_prompt(&typing, 0, "enter-code");
    let code = scene.meeting.code();
    press(&typing, &code[..2]);
    typing.wait_for_keys(KEYS).expect("the keys are pressed");
    press(&moderator, "1");
    eventually("the second meeting is open", JOINED, || {
        (scene.api.state_of(&second) == "open").then_some(())
    });
    press(&typing, &code[2..]);

    let record = is_hung_up_on(&typing, &scene.api);
    assert_eq!(record["ending"], "meeting-ended", "{record}");
    assert!(prompt_in(&typing.heard(), "meeting-has-ended").is_some());
    for call in &guests {
        let record = is_hung_up_on(call, &scene.api);
        assert_eq!(record["ending"], "meeting-closed-by-second", "{record}");
        assert!(prompt_in(&call.heard(), "other-meeting-opened").is_some());
        assert_eq!(tone_begins(&call.heard(), 1_390.0), None, "the second meeting is heard in the first");
    }
    assert_eq!(scene.api.state_of(&scene.meeting), "closed");
    let roster = in_meeting(&scene.api, &second, 1);
    assert_eq!(roster[0]["role"], "moderator", "{roster:?}");

    // Who was in the first is remembered since: straight into the second.
    let back = dial(scene.plan("+15550101001"));
    in_meeting(&scene.api, &second, 2);
    hears(&back, 1_390.0);
    assert!(!was_asked(&hangs_up(&back, &scene.api)));
    let record = hangs_up(&moderator, &scene.api);
    assert!(steps(&record).contains(&"asked-which-meeting"), "{record}");
}

/// Lock, lobby, `*8`, and the same over the API.
#[test]
fn a_locked_meeting_lets_in_whom_the_moderator_admits_and_nobody_else() {
    let scene = Scene::new();
    let moderator = scene.moderator(Voice::tone(440.0), 1);
    let guest = scene.joins("+15550101101", Voice::tone(700.0), 2);
    hears(&guest, 440.0);
    let mark = press(&moderator, "*7");
    hears_prompt(&moderator, mark, "locked-now");
    assert_eq!(scene.room()["locked"], true);

    // The name is what this caller says from the tone on: their tone.
    let caller = dial(Plan { voice: Voice::tone(1_000.0), ..scene.typed("+15550101102") });
    scene.lobby(1);
    for id in ["locked-now", "say-name", "lobby-hold"] {
        hears_prompt(&caller, 0, id);
    }
    pause(1_500);
    for (inside, hz) in [(&moderator, 1_000.0), (&guest, 1_000.0), (&caller, 440.0), (&caller, 700.0)] {
        does_not_hear(inside, hz);
    }
    assert_eq!(scene.api.verified_numbers(&scene.host).len(), 1, "who is not in is not remembered");

    let mark = press(&moderator, "*8");
    hears_prompt(&moderator, mark, "letting-in");
    moderator.wait_for_tone(1_000.0, HEARD_DB - 6.0, JOINED).expect("the name is played to the moderator");
    assert!(level_now(&guest, 1_000.0) < UNHEARD_DB, "the name is for the moderator alone");
    scene.sees(3);
    hears(&guest, 1_000.0);
    hears(&moderator, 1_000.0);
    hears(&caller, 440.0);
    let record = hangs_up(&caller, &scene.api);
    assert!(steps(&record).contains(&"admitted"), "{record}");
    assert_eq!(record["remembered"], true, "{record}");

    // Over the API: one is sent away, one let in, and one comes in when the lock is lifted by phone.
    let refused = dial(scene.typed("+15550101103"));
    let id = scene.lobby(1).remove(0);
    scene.api.order(&format!("/participants/{id}/refuse")).done();
    let record = is_hung_up_on(&refused, &scene.api);
    assert_eq!(record["ending"], "lobby-refused", "{record}");
    assert!(prompt_in(&refused.heard(), "not-admitted").is_some());

    let admitted = dial(Plan { voice: Voice::tone(1_250.0), ..scene.typed("+15550101104") });
    let id = scene.lobby(1).remove(0);
    scene.api.order(&format!("/participants/{id}/admit")).done();
    scene.sees(3);
    hears(&guest, 1_250.0);

    let waits = dial(scene.typed("+15550101105"));
    scene.lobby(1);
    let mark = press(&moderator, "*7");
    hears_prompt(&moderator, mark, "meeting-unlocked");
    scene.sees(4);
    let record = hangs_up(&waits, &scene.api);
    assert!(!steps(&record).contains(&"admitted"), "{record}");
    assert_eq!(record["entered"], "proved-code", "{record}");
    let record = hangs_up(&moderator, &scene.api);
    let did: Vec<&str> = steps(&record).into_iter().filter(|step| step.ends_with('s')).collect();
    for step in ["locks", "admits", "unlocks"] {
        assert!(did.contains(&step), "{step} is not in {did:?}");
    }
    drop((guest, admitted));
}

/// `*#` and 1: the caller who joined last is out, and their phone is as on the first day.
#[test]
fn who_is_dropped_and_forgotten_is_asked_for_everything_again() {
    let scene = Scene::new();
    let number = "+15550101201";
    // Remembered by an earlier call, so that it comes straight in.
    hangs_up(&scene.joins(number, Voice::Silent, 1), &scene.api);
    assert_eq!(scene.api.verified_numbers(&scene.host).len(), 1);

    let moderator = scene.moderator(Voice::tone(440.0), 1);
    let stays = scene.joins("+15550101202", Voice::Silent, 2);
    let dropped = dial(scene.plan(number));
    scene.sees(3);
    hears(&dropped, 440.0);

    // Asked first, and taken back.
    let mark = press(&moderator, "*#");
    hears_prompt(&moderator, mark, "confirm-drop");
    let mark = press(&moderator, "2");
    hears_prompt(&moderator, mark, "nothing-changed");
    scene.sees(3);
    let mark = press(&moderator, "*#");
    hears_prompt(&moderator, mark, "confirm-drop");
    let mark = press(&moderator, "1");
    hears_prompt(&moderator, mark, "dropped");

    let record = is_hung_up_on(&dropped, &scene.api);
    assert_eq!(record["ending"], "removed-by-moderator", "{record}");
    assert!(prompt_in(&dropped.heard(), "removed").is_some());
    scene.sees(2);
    assert!(!stays.is_over());
    let verified = scene.api.verified_numbers(&scene.host);
    assert_eq!(verified.len(), 1, "only the other guest's phone is remembered: {verified:?}");

    // As on the first day: PIN and code are asked, and with them they are in again.
    let again = dial(scene.plan(number));
    hears_prompt(&again, 0, "enter-pin");
    let mark = press(&again, &format!("{}#", scene.host.pin));
    hears_prompt(&again, mark, "enter-code");
    scene.sees(2);
    press(&again, scene.meeting.code());
    scene.sees(3);
    let record = hangs_up(&again, &scene.api);
    assert_eq!(record["entered"], "proved-code", "{record}");
}

/// `*4`, `*6`, and the hard mute of the API, each judged by who hears whom.
#[test]
fn mute_all_is_undone_by_its_callers_and_a_hard_mute_is_not() {
    let scene = Scene::new();
    let moderator = scene.moderator(Voice::tone(440.0), 1);
    let one = scene.joins("+15550101301", Voice::tone(700.0), 2);
    let first_id = scene.last_joined();
    let two = scene.joins("+15550101302", Voice::tone(1_000.0), 3);
    for (listener, hz) in [
        (&moderator, 700.0),
        (&moderator, 1_000.0),
        (&one, 440.0),
        (&one, 1_000.0),
        (&two, 440.0),
        (&two, 700.0),
    ] {
        hears(listener, hz);
    }

    let mark = press(&moderator, "*4");
    hears_prompt(&moderator, mark, "everyone-muted");
    assert_eq!(scene.room()["all_muted"], true);
    for (listener, hz) in [(&moderator, 700.0), (&moderator, 1_000.0), (&one, 1_000.0), (&two, 700.0)] {
        does_not_hear(listener, hz);
    }
    for listener in [&one, &two] {
        hears(listener, 440.0);
    }

    // One of them takes the word.
    let mark = press(&one, "*6");
    hears_prompt(&one, mark, "unmuted");
    for (listener, hz) in [(&moderator, 700.0), (&two, 700.0), (&one, 440.0)] {
        hears(listener, hz);
    }
    does_not_hear(&one, 1_000.0);

    // Not any more, once the moderator says so to this one.
    scene.api.order(&format!("/participants/{first_id}/mute")).done();
    pause(1_500);
    does_not_hear(&two, 700.0);
    let mark = press(&one, "*6");
    hears_prompt(&one, mark, "muted-by-moderator");
    does_not_hear(&moderator, 700.0);

    // All may speak again, but for that one.
    let mark = press(&moderator, "*4");
    hears_prompt(&moderator, mark, "everyone-unmuted");
    hears(&one, 1_000.0);
    hears(&moderator, 1_000.0);
    does_not_hear(&two, 700.0);
    scene.api.order(&format!("/participants/{first_id}/unmute")).done();
    hears(&two, 700.0);
    hears(&moderator, 700.0);
}

/// Nobody is mixed into a recording who has not heard of it.
#[test]
fn a_late_joiner_hears_of_the_recording_before_anybody_hears_them() {
    let scene = Scene::new();
    let moderator = scene.moderator(Voice::Silent, 1);
    let guest = scene.joins("+15550101401", Voice::tone(440.0), 2);
    hears(&moderator, 440.0);
    // Until it is said to its end the room is softer for this caller.
    hears_prompt(&guest, 0, "remembered");
    guest.speak(Voice::Silent);
    pause(4_000);
    let (mark, others) = (press(&moderator, "*2"), guest.heard_so_far());
    hears_prompt(&moderator, mark, "recording-on");
    hears_prompt(&guest, others, "recording-on");
    assert_eq!(scene.room()["recording"], true);
    guest.speak(Voice::tone(440.0));
    hears(&moderator, 440.0);

    // The tone is spoken from the answer on.
    let listeners = [(&moderator, moderator.heard_so_far()), (&guest, guest.heard_so_far())];
    let late = dial(Plan { voice: Voice::tone(1_000.0), ..scene.typed("+15550101402") });
    scene.sees(3);
    hears(&late, 440.0);
    for (listener, _) in listeners {
        hears(listener, 1_000.0);
    }
    let heard = late.heard();
    let notice = prompt_in(&heard, "recording-on").expect("the late joiner hears of the recording");
    let end = notice + prompt("recording-on").len();
    let room = tone_begins(&heard, 440.0).expect("they hear the room in the end");
    assert!(room >= end - SECOND / 10, "the room is heard {} samples before the notice ends", end - room);
    // A listener's line goes on from before the call was dialled; the late joiner's begins with the answer.
    let answered = answered_at(&late);
    for (listener, mark) in listeners {
        let began = tone_begins(&listener.heard_since(mark), 1_000.0).expect("they are heard in the end");
        let told = answered + end;
        assert!(
            began + SECOND / 10 >= told,
            "heard {:.2} s after dialling, told by {:.2} s",
            began as f64 / SECOND as f64,
            told as f64 / SECOND as f64
        );
    }
    let record = hangs_up(&late, &scene.api);
    assert!(steps(&record).contains(&"announcing"), "{record}");

    let (mark, others) = (press(&moderator, "*2"), guest.heard_so_far());
    hears_prompt(&moderator, mark, "recording-off");
    guest.speak(Voice::Silent);
    hears_prompt(&guest, others, "recording-off");
    assert_eq!(scene.room()["recording"], false);
}

/// `*0`: a wrong host PIN changes nothing but the tries that are left, the right one makes a moderator.
#[test]
fn a_guest_becomes_moderator_with_the_host_pin_alone() {
    let scene = Scene::new();
    let guest = scene.joins("+15550101501", Voice::Silent, 1);
    hears_prompt(&guest, 0, "remembered");
    let right = &scene.host.host_pin;
    let last = right.bytes().last().expect("a host PIN has digits") - b'0';
    let wrong = format!("{}{}", &right[..right.len() - 1], (last + 1) % 10);

    let mark = press(&guest, "*0");
    hears_prompt(&guest, mark, "enter-host-pin");
    let mark = press(&guest, &format!("{wrong}#"));
    hears_prompt(&guest, mark, "do-not-match");
    assert_eq!(scene.sees(1)[0]["role"], "guest");
    // No moderator's key works.
    let mark = press(&guest, "*7");
    hears_prompt(&guest, mark, "unknown-key");
    assert_eq!(scene.room()["locked"], false);

    let mark = press(&guest, &format!("*0{right}#"));
    hears_prompt(&guest, mark, "you-are-moderator");
    assert_eq!(scene.sees(1)[0]["role"], "moderator");
    let mark = press(&guest, "*7");
    hears_prompt(&guest, mark, "locked-now");
    assert_eq!(scene.room()["locked"], true);

    // `*0` ends it for all now, when that is meant.
    let other = dial(scene.typed("+15550101502"));
    scene.lobby(1);
    let mark = press(&guest, "*0");
    hears_prompt(&guest, mark, "confirm-end");
    press(&guest, "1");
    for call in [&guest, &other] {
        let record = is_hung_up_on(call, &scene.api);
        assert_eq!(record["ending"], "meeting-ended", "{record}");
    }
    assert_eq!(scene.api.state_of(&scene.meeting), "closed");
}
