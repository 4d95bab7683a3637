//! The store as the rest of the service sees it: the same cases for each database.
//!
//! Whoever includes this names a `Database`: a fresh one, its settings, and a way past the store.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use doorline::bridge::guess::{Attempt, Counter, Proved, Spent};
use doorline::bridge::input::{DigitSource, Quality};
use doorline::bridge::question::OpenedBy;
use doorline::bridge::record::{Act, Key, Step};
use doorline::bridge::snapshot::Entered;
use doorline::bridge::view::{KnownCallers, MeetingKind, MeetingState};
use doorline::bridge::{Answer, By, CallRecord, Ending, HostView, Question};
use doorline::store::{
    CallFilter, Error, Host, HostChange, Meeting, MeetingChange, MeetingFilter, NewHost, NewMeeting, Notice,
    NoticeKind, Notices, Range, Refusal, Store,
};
use doorline::types::{CallId, Code, HostId, HostPin, MeetingId, PhoneNumber, Pin, Trust, VerifiedId};
use jiff::{SignedDuration, Timestamp};

use crate::Database;

#[path = "guessing.rs"]
mod guessing;
#[path = "keeping.rs"]
mod keeping;

pub use guessing::*;
pub use keeping::*;

pub const PIN_LENGTH: usize = 9;
const OVERRUN: Duration = Duration::from_secs(30 * 60);

pub struct House {
    pub database: Database,
    pub store: Store,
    pub now: Timestamp,
}

impl House {
    pub async fn new() -> Self {
        let database = Database::fresh().await;
        let store = Store::open(&database.settings()).await.unwrap();
        Self { database, store, now: "2026-03-02T10:00:00Z".parse().unwrap() }
    }

    async fn host_and_pin(&self) -> (Host, HostPin) {
        let new = NewHost { name: "Ada".into(), email: "ada@example.com".into(), ..NewHost::default() };
        self.store.add_host(&new, PIN_LENGTH, self.now).await.unwrap()
    }

    async fn reopened(self) -> Self {
        self.store.close().await;
        let store = Store::open(&self.database.settings()).await.unwrap();
        Self { store, ..self }
    }

    fn spilled(&self) -> PathBuf {
        self.database.spilled()
    }

    pub async fn host(&self, name: &str) -> Host {
        self.host_with(name, &[]).await
    }

    pub async fn host_with(&self, name: &str, numbers: &[&str]) -> Host {
        let new = NewHost {
            name: name.to_owned(),
            email: format!("{name}@example.com"),
            numbers: numbers.iter().map(|number| number.parse().unwrap()).collect(),
            ..NewHost::default()
        };
        self.store.add_host(&new, PIN_LENGTH, self.now).await.unwrap().0
    }

    /// A meeting that begins in so many minutes and lasts an hour.
    pub async fn meeting(&self, host: HostId, kind: MeetingKind, in_minutes: i64) -> Meeting {
        let new = NewMeeting { kind, ..new_one_time(self.now, in_minutes) };
        self.store.add_meeting(host, &new, self.now).await.unwrap()
    }

    pub async fn one_time(&self, host: HostId, in_minutes: i64) -> Meeting {
        self.meeting(host, MeetingKind::OneTime, in_minutes).await
    }

    pub fn at(&self, in_minutes: i64) -> Timestamp {
        self.now + SignedDuration::from_mins(in_minutes)
    }

    pub async fn ask(&self, question: Question) -> Answer {
        self.store.answer(question, self.now).await
    }

    /// Whose PIN it is. Each caller comes over a trunk of its own: what wrong entries cost is told in
    /// guessing.rs.
    async fn host_of(&self, pin: &Pin) -> Option<HostView> {
        match self.ask(Question::Host { pin: pin.clone(), by: somebody() }).await {
            Answer::Pin { host, .. } => host.map(|host| *host),
            other => panic!("{other:?}"),
        }
    }

    async fn with_code(
        &self,
        host: Option<HostId>,
        meetings: &[MeetingId],
        code: &Code,
    ) -> Option<MeetingId> {
        let (meetings, code) = (meetings.to_vec(), code.clone());
        match self.ask(Question::Code { host, meetings, code, by: somebody() }).await {
            Answer::Code { proved, .. } => proved,
            other => panic!("{other:?}"),
        }
    }

    async fn is_host_pin(&self, host: HostId, pin: &HostPin) -> bool {
        match self.ask(Question::HostPin { host, pin: pin.clone(), by: somebody() }).await {
            Answer::HostPin { right, .. } => right,
            other => panic!("{other:?}"),
        }
    }

    pub async fn open(&self, host: HostId, meeting: MeetingId, closes: Option<MeetingId>) -> Answer {
        self.ask(Question::Open { host, meeting, closes, opened_by: OpenedBy::Caller }).await
    }

    pub async fn state(&self, meeting: MeetingId) -> MeetingState {
        self.store.meeting(meeting).await.unwrap().unwrap().state
    }

    pub async fn view(&self, host: HostId) -> HostView {
        match self.ask(Question::HostById { host }).await {
            Answer::Host(Some(view)) => view,
            other => panic!("{other:?}"),
        }
    }

    pub async fn remember(&self, host: HostId, number: &str, meeting: MeetingId) -> Answer {
        let (number, trunk) = (number.parse().unwrap(), "lab".to_owned());
        self.ask(Question::Remember { host, number, meeting, trust: Trust::Network, trunk }).await
    }

    pub async fn known(&self, number: &str) -> Vec<(HostId, Trust, String)> {
        match self.ask(Question::Caller { number: number.parse().unwrap() }).await {
            Answer::Known(known) => known.into_iter().map(|k| (k.host.id, k.trust, k.trunk)).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Tells SQL to the database past the store, as a fault would.
    async fn break_in(&self, sql: &'static str) {
        self.database.tell(sql).await.unwrap();
    }
}

/// A caller whose trunk has a name of its own.
fn somebody() -> Attempt {
    static CALLERS: AtomicU32 = AtomicU32::new(0);
    let caller = CALLERS.fetch_add(1, Ordering::Relaxed);
    Attempt { number: None, trunk: format!("trunk-{caller}") }
}

/// It begins in so many minutes and lasts an hour.
pub fn new_one_time(now: Timestamp, in_minutes: i64) -> NewMeeting {
    let at = |minutes| now + SignedDuration::from_mins(minutes);
    NewMeeting {
        kind: MeetingKind::OneTime,
        title: format!("in {in_minutes} minutes"),
        starts_at: at(in_minutes),
        ends_at: at(in_minutes + 60),
        time_zone: Some("Europe/London".to_owned()),
        recurrence: None,
        invitees: vec!["guest@example.com".to_owned()],
        known_callers: None,
        wait_for_moderator: false,
    }
}

pub fn number(text: &str) -> PhoneNumber {
    text.parse().unwrap()
}

/// Another code than the right one.
pub fn wrong(code: &Code) -> Code {
    Code::parse(if code.reveal() == "4271" { "4272" } else { "4271" }).unwrap()
}

pub fn record(call: u128, started_at: Timestamp) -> CallRecord {
    CallRecord {
        call: CallId::numbered(call),
        sip_call_id: format!("call-{call}@192.0.2.1"),
        trunk: "lab".to_owned(),
        access_number: Some("+442079460000".to_owned()),
        number: Some(number("+447700900123")),
        withheld: false,
        trust: Trust::Network,
        trust_reason: "network: P-Asserted-Identity on trunk lab".to_owned(),
        started_at,
        answered_at: Some(started_at + SignedDuration::from_secs(1)),
        joined_at: None,
        ended_at: started_at + SignedDuration::from_secs(60),
        host: Some(HostId::numbered(call % 2)),
        meeting: Some(MeetingId::numbered(9)),
        entered: Some(Entered::ProvedCode),
        ending: Ending::HungUp,
        explanation: "proved PIN and code".to_owned(),
        path: vec![Step { at: started_at, what: "asking-pin" }],
        keys: vec![Key {
            at: started_at,
            source: DigitSource::Rtp,
            lasted: Some(Duration::from_millis(120)),
            merged: 1,
        }],
        remembered: true,
        acts: vec![Act { at: started_at, what: "muted".to_owned(), by: By::Phone(CallId::numbered(99)) }],
        quality: Some(Quality { packets_received: 3_000, jitter_ms: 1.5, ..Quality::default() }),
        signalled: doorline::bridge::record::Signalled {
            redirected_by: Some("+4420…0001".to_owned()),
            peer_q850: Some(16),
            ..Default::default()
        },
    }
}

// -- hosts --

pub async fn a_host_is_found_by_its_pin_and_by_no_other() {
    let house = House::new().await;
    let host = house.host_with("Ada", &["+442079460001"]).await;
    assert_eq!(host.pin.reveal().len(), PIN_LENGTH);

    let view = house.host_of(&host.pin).await.expect("found by PIN");
    assert_eq!((view.id, view.name.as_str()), (host.id, "Ada"));
    assert_eq!(view.numbers, [number("+442079460001")]);
    assert_eq!(view.standard_meeting, host.standard_meeting);
    assert_eq!(view.meetings.len(), 1);
    assert_eq!(view.meetings[0].kind, MeetingKind::Standard);

    let other = if host.pin.reveal() == "123456789" { "987654321" } else { "123456789" };
    assert_eq!(house.host_of(&Pin::parse(other).unwrap()).await, None);
    assert_eq!(house.ask(Question::HostById { host: HostId::numbered(1) }).await, Answer::Host(None));
}

pub async fn a_host_pin_is_good_for_its_host_alone() {
    let house = House::new().await;
    let new = NewHost { name: "Ada".into(), email: "ada@example.com".into(), ..NewHost::default() };
    let (ada, pin) = house.store.add_host(&new, PIN_LENGTH, house.now).await.unwrap();
    let bob = house.host("Bob").await;
    let wrong = HostPin::parse(if pin.reveal() == "482615" { "482616" } else { "482615" }).unwrap();
    let cases = [
        ("right", ada.id, pin.clone(), true),
        ("wrong", ada.id, wrong, false),
        ("another host's", bob.id, pin.clone(), false),
        ("nobody's", HostId::numbered(1), pin.clone(), false),
    ];
    for (name, host, pin, expected) in cases {
        assert_eq!(house.is_host_pin(host, &pin).await, expected, "{name}");
    }
    let renewed = house.store.new_host_pin(ada.id).await.unwrap().unwrap();
    let old = house.is_host_pin(ada.id, &pin).await;
    assert_eq!(old, renewed == pin, "the old one is worth nothing");
    assert!(house.is_host_pin(ada.id, &renewed).await);
    assert!(house.store.new_host_pin(HostId::numbered(1)).await.unwrap().is_none());
}

pub async fn a_host_changes_what_it_says_and_nothing_else() {
    let house = House::new().await;
    let host = house.host_with("Ada", &["+442079460001"]).await;
    let change = HostChange {
        name: Some("Ada L".to_owned()),
        language: Some(Some("de-DE".parse().unwrap())),
        numbers: Some(vec![number("+442079460002"), number("+442079460003"), number("+442079460002")]),
        ..HostChange::default()
    };
    let changed = house.store.change_host(host.id, &change).await.unwrap().unwrap();
    assert_eq!(changed.name, "Ada L");
    assert_eq!(changed.language.as_ref().unwrap().as_str(), "de-DE");
    assert_eq!(changed.numbers, [number("+442079460002"), number("+442079460003")]);
    assert_eq!(
        (changed.email, changed.pin, changed.known_callers),
        (host.email, host.pin, host.known_callers)
    );

    let change = HostChange {
        language: Some(None),
        known_callers: Some(KnownCallers::AlwaysCode),
        ..HostChange::default()
    };
    let changed = house.store.change_host(host.id, &change).await.unwrap().unwrap();
    assert_eq!((changed.language, changed.known_callers), (None, KnownCallers::AlwaysCode));
    assert_eq!(changed.numbers.len(), 2);
    assert_eq!(house.store.change_host(HostId::numbered(1), &change).await.unwrap(), None);
}

pub async fn a_new_pin_forgets_every_phone_and_the_old_pin_names_nobody() {
    let house = House::new().await;
    let (ada, bob) = (house.host("Ada").await, house.host("Bob").await);
    for host in [&ada, &bob] {
        let meeting = house.one_time(host.id, 0).await;
        assert_eq!(house.remember(host.id, "+447700900123", meeting.id).await, Answer::Done);
    }
    let renewed = house.store.new_pin(ada.id, PIN_LENGTH, house.now).await.unwrap().unwrap();
    assert_ne!(renewed.pin, ada.pin);
    assert_eq!(house.host_of(&ada.pin).await, None);
    assert_eq!(house.host_of(&renewed.pin).await.map(|view| view.id), Some(ada.id));
    assert_eq!(house.known("+447700900123").await, [(bob.id, Trust::Network, "lab".to_owned())]);
    assert!(house.store.new_pin(HostId::numbered(1), PIN_LENGTH, house.now).await.unwrap().is_none());
}

pub async fn no_pin_is_given_twice_nor_begins_with_another() {
    let house = House::new().await;
    let mut pins = Vec::new();
    let mut new = NewHost { name: "Ada".into(), email: "ada@example.com".into(), ..NewHost::default() };
    // Four and five digits side by side, as after a change of the setting: many draws collide.
    for index in 0..240 {
        new.name = format!("host {index}");
        let (host, _) = house.store.add_host(&new, 4 + index % 2, house.now).await.unwrap();
        pins.push(host.pin.reveal().to_owned());
    }
    for (index, pin) in pins.iter().enumerate() {
        for (other_index, other) in pins.iter().enumerate() {
            assert!(index == other_index || !other.starts_with(pin), "one PIN begins with another");
        }
    }
}

pub async fn a_removed_host_leaves_nothing_behind_but_its_call_records() {
    let house = House::new().await;
    let host = house.host_with("Ada", &["+442079460001"]).await;
    let meeting = house.one_time(host.id, 0).await;
    house.remember(host.id, "+447700900123", meeting.id).await;
    let (_, token) = house.store.add_token(host.id, "outlook", house.now).await.unwrap();
    house.store.save_record(CallRecord { host: Some(host.id), ..record(1, house.now) });
    house.store.flush_records().await;

    assert!(house.store.remove_host(host.id, house.now).await.unwrap());
    assert!(!house.store.remove_host(host.id, house.now).await.unwrap());
    assert_eq!(house.store.host(host.id).await.unwrap(), None);
    assert_eq!(house.store.meeting(meeting.id).await.unwrap(), None);
    assert_eq!(house.store.host_of_token(&token).await.unwrap(), None);
    assert_eq!(house.known("+447700900123").await, []);
    assert_eq!(house.host_of(&host.pin).await, None);
    assert!(house.store.call(CallId::numbered(1)).await.unwrap().is_some());
}

pub async fn a_token_opens_its_host_until_it_is_revoked() {
    let house = House::new().await;
    let (ada, bob) = (house.host("Ada").await, house.host("Bob").await);
    let (facts, token) = house.store.add_token(ada.id, "outlook", house.now).await.unwrap();
    assert_eq!(house.store.host_of_token(&token).await.unwrap(), Some(ada.id));
    assert_eq!(
        house.store.tokens(ada.id, Range::first(9)).await.unwrap().items,
        std::slice::from_ref(&facts)
    );
    assert_eq!(house.store.tokens(bob.id, Range::first(9)).await.unwrap().items, []);
    let forged = doorline::types::Token::new("dlh_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(house.store.host_of_token(&forged).await.unwrap(), None);

    assert!(!house.store.revoke_token(facts.id, Some(bob.id)).await.unwrap(), "not Bob's to revoke");
    assert!(house.store.revoke_token(facts.id, Some(ada.id)).await.unwrap());
    assert_eq!(house.store.host_of_token(&token).await.unwrap(), None);
    let refused = house.store.add_token(HostId::numbered(1), "x", house.now).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::NoSuchHost))));
}

// -- meetings --

pub async fn a_code_is_good_for_its_meeting_alone() {
    let house = House::new().await;
    let (ada, bob) = (house.host("Ada").await, house.host("Bob").await);
    let (first, second) = (house.one_time(ada.id, 0).await, house.one_time(ada.id, 60).await);
    let bobs = house.one_time(bob.id, 0).await;
    let (code, other) = (first.code.clone().unwrap(), second.code.clone().unwrap());
    assert_ne!(code, other, "a host's codes differ");
    let both = vec![second.id, first.id];
    let cases = [
        ("right", Some(ada.id), both.clone(), code.clone(), Some(first.id)),
        ("the other's", Some(ada.id), both.clone(), other.clone(), Some(second.id)),
        ("of a meeting not asked for", Some(ada.id), vec![first.id], other, None),
        ("wrong", Some(ada.id), vec![first.id], wrong(&code), None),
        ("another host's meeting", Some(ada.id), vec![bobs.id], bobs.code.unwrap(), None),
        ("no host", None, vec![], code.clone(), None),
        ("no host, but a meeting", None, vec![first.id], code.clone(), None),
        ("no meetings", Some(ada.id), vec![], code.clone(), None),
        ("a standard meeting", Some(ada.id), vec![ada.standard_meeting], code.clone(), None),
    ];
    for (name, host, meetings, code, expected) in cases {
        assert_eq!(house.with_code(host, &meetings, &code).await, expected, "{name}");
    }
    house.store.cancel_meeting(first.id, house.now).await.unwrap();
    assert_eq!(house.with_code(Some(ada.id), &both, &code).await, None, "cancelled");
}

pub async fn a_new_code_replaces_the_old_one_and_repeats_none_of_the_last_twenty() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    let mut codes = vec![meeting.code.unwrap()];
    for round in 1..=60 {
        let changed = house.store.new_code(meeting.id, house.now).await.unwrap();
        assert_eq!(changed.sequence, round);
        let code = changed.code.unwrap();
        let last_twenty = &codes[codes.len().saturating_sub(20)..];
        assert!(!last_twenty.contains(&code), "round {round} repeats a code");
        let old = codes.last().unwrap().clone();
        assert_eq!(house.with_code(Some(host.id), &[meeting.id], &old).await, None);
        assert_eq!(house.with_code(Some(host.id), &[meeting.id], &code).await, Some(meeting.id));
        codes.push(code);
    }
    let refused = house.store.new_code(host.standard_meeting, house.now).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::NoCode))));
}

pub async fn a_recurring_meeting_is_seen_as_the_occurrence_that_matters() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    // Mondays at 10:00 in London, from the house's now on; summer time begins on 29 March 2026.
    let new = NewMeeting {
        kind: MeetingKind::OneTime,
        title: "Weekly".to_owned(),
        starts_at: house.now,
        ends_at: house.at(60),
        time_zone: Some("Europe/London".to_owned()),
        recurrence: "FREQ=WEEKLY;COUNT=6".parse().ok(),
        invitees: Vec::new(),
        known_callers: None,
        wait_for_moderator: false,
    };
    let meeting = house.store.add_meeting(host.id, &new, house.now).await.unwrap();
    assert_eq!(meeting.recurrence, new.recurrence);
    let seen = async |now: Timestamp| {
        let view = house.store.host_view(host.id, None, now).await.unwrap().unwrap();
        let one = view.meetings.iter().find(|one| one.id == meeting.id).cloned();
        one.map(|one| (one.starts_at.unwrap().to_string(), one.state))
    };
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let cases = [
        ("2026-03-02T10:30:00Z", "2026-03-02T10:00:00Z"),
        ("2026-03-02T11:31:00Z", "2026-03-09T10:00:00Z"),
        ("2026-03-23T10:30:00Z", "2026-03-23T10:00:00Z"),
        ("2026-03-30T09:10:00Z", "2026-03-30T09:00:00Z"),
        ("2026-04-06T09:59:00Z", "2026-04-06T09:00:00Z"),
    ];
    for (now, starts_at) in cases {
        assert_eq!(seen(at(now)).await, Some((starts_at.to_owned(), MeetingState::Scheduled)), "at {now}");
    }
    assert_eq!(seen(at("2026-04-08T10:00:00Z")).await, None, "the last one is over");

    // Closed today, it is closed today and scheduled for next week; the same code is good.
    assert_eq!(house.open(host.id, meeting.id, None).await, Answer::Done);
    house.store.close_meeting(meeting.id, house.at(20)).await.unwrap();
    assert_eq!(house.state(meeting.id).await, MeetingState::Scheduled);
    let today = seen(house.at(25)).await.unwrap();
    assert_eq!(today, ("2026-03-02T10:00:00Z".to_owned(), MeetingState::Closed));
    let next = seen(at("2026-03-09T09:50:00Z")).await.unwrap();
    assert_eq!(next, ("2026-03-09T10:00:00Z".to_owned(), MeetingState::Scheduled));
    assert_eq!(house.store.meeting(meeting.id).await.unwrap().unwrap().code, meeting.code);

    // After a crash in its last occurrence it is still that one's.
    let last = at("2026-04-06T09:30:00Z");
    let question =
        Question::Open { host: host.id, meeting: meeting.id, closes: None, opened_by: OpenedBy::Caller };
    assert_eq!(house.store.answer(question, last).await, Answer::Done);
    house.store.after_crash(last, OVERRUN).await.unwrap();
    assert_eq!(house.state(meeting.id).await, MeetingState::Scheduled);

    // A rule that the first day does not fit, or without a zone, is refused.
    let refused = [
        NewMeeting { recurrence: "FREQ=WEEKLY;BYDAY=TU".parse().ok(), ..new.clone() },
        NewMeeting { time_zone: None, ..new.clone() },
    ];
    for new in refused {
        let answer = house.store.add_meeting(host.id, &new, house.now).await;
        assert!(matches!(answer, Err(Error::Refused(Refusal::NotItsDay))), "{answer:?}");
    }
    let once = MeetingChange { recurrence: Some(None), ..MeetingChange::default() };
    let once = house.store.change_meeting(meeting.id, &once, house.now).await.unwrap();
    assert_eq!((once.recurrence, once.sequence), (None, 1));
}

pub async fn a_meeting_changes_what_is_said_and_its_invitation_is_a_newer_one() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    let change = MeetingChange {
        title: Some("Budget".to_owned()),
        ends_at: Some(house.at(90)),
        known_callers: Some(Some(KnownCallers::CodeOnce)),
        wait_for_moderator: Some(true),
        ..MeetingChange::default()
    };
    let changed = house.store.change_meeting(meeting.id, &change, house.at(1)).await.unwrap();
    assert_eq!((changed.title.as_str(), changed.sequence), ("Budget", 1));
    assert_eq!((changed.starts_at, changed.ends_at), (meeting.starts_at, Some(house.at(90))));
    assert_eq!(changed.known_callers, Some(KnownCallers::CodeOnce));
    assert!(changed.wait_for_moderator);
    assert_eq!((&changed.code, &changed.invitees), (&meeting.code, &meeting.invitees));

    let refuse = |change: MeetingChange| {
        let (store, now) = (house.store.clone(), house.now);
        async move {
            match store.change_meeting(meeting.id, &change, now).await {
                Err(Error::Refused(refusal)) => refusal,
                other => panic!("{other:?}"),
            }
        }
    };
    let backwards = MeetingChange { ends_at: meeting.starts_at, ..MeetingChange::default() };
    assert_eq!(refuse(backwards).await, Refusal::EndsBeforeItStarts);
    house.store.cancel_meeting(meeting.id, house.now).await.unwrap();
    assert_eq!(refuse(MeetingChange::default()).await, Refusal::Cancelled);

    let moved = MeetingChange { starts_at: Some(house.now), ..MeetingChange::default() };
    let refused = house.store.change_meeting(host.standard_meeting, &moved, house.now).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::Standing))));
}

pub async fn a_closed_meeting_that_is_moved_into_the_future_is_scheduled_again() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    house.open(host.id, meeting.id, None).await;
    assert_eq!(house.ask(Question::Close { meeting: meeting.id }).await, Answer::Done);
    assert_eq!(house.state(meeting.id).await, MeetingState::Closed);
    let retitled = MeetingChange { title: Some("x".to_owned()), ..MeetingChange::default() };
    house.store.change_meeting(meeting.id, &retitled, house.now).await.unwrap();
    assert_eq!(house.state(meeting.id).await, MeetingState::Closed);
    let moved = MeetingChange {
        starts_at: Some(house.at(600)),
        ends_at: Some(house.at(660)),
        ..MeetingChange::default()
    };
    house.store.change_meeting(meeting.id, &moved, house.now).await.unwrap();
    assert_eq!(house.state(meeting.id).await, MeetingState::Scheduled);
}

pub async fn opening_a_second_meeting_closes_the_first_or_changes_nothing() {
    let house = House::new().await;
    let (ada, bob) = (house.host("Ada").await, house.host("Bob").await);
    let (first, second) = (house.one_time(ada.id, 0).await, house.one_time(ada.id, 0).await);
    assert_eq!(house.open(ada.id, first.id, None).await, Answer::Done);
    let open = house.store.meeting(first.id).await.unwrap().unwrap();
    assert_eq!((open.state, open.opened_by), (MeetingState::Open, Some(OpenedBy::Caller)));
    assert_eq!(open.opened_at, Some(house.now));

    // Nobody said that the first closes: the database does not let the second open.
    assert_eq!(house.open(ada.id, second.id, None).await, Answer::Unavailable);
    assert_eq!(house.state(first.id).await, MeetingState::Open);
    assert_eq!(house.state(second.id).await, MeetingState::Scheduled);

    assert_eq!(house.open(ada.id, second.id, Some(first.id)).await, Answer::Done);
    assert_eq!(house.state(first.id).await, MeetingState::Closed);
    assert_eq!(house.state(second.id).await, MeetingState::Open);

    // A cancelled one does not open, and then the other does not close either.
    let third = house.one_time(ada.id, 0).await;
    house.store.cancel_meeting(third.id, house.now).await.unwrap();
    assert_eq!(house.open(ada.id, third.id, Some(second.id)).await, Answer::Unavailable);
    assert_eq!(house.state(second.id).await, MeetingState::Open);

    // Another host's meeting is not Ada's to open or to close.
    let bobs = house.one_time(bob.id, 0).await;
    assert_eq!(house.open(ada.id, bobs.id, Some(second.id)).await, Answer::Unavailable);
    assert_eq!(house.open(bob.id, bobs.id, Some(second.id)).await, Answer::Unavailable);
    assert_eq!(house.open(bob.id, bobs.id, None).await, Answer::Done);

    // The standing meeting opens and closes as often as one likes.
    for _ in 0..2 {
        let answer = house.open(ada.id, ada.standard_meeting, Some(second.id)).await;
        assert_eq!(answer, Answer::Done);
        assert_eq!(house.open(ada.id, second.id, Some(ada.standard_meeting)).await, Answer::Done);
        assert_eq!(house.state(ada.standard_meeting).await, MeetingState::Scheduled);
    }
}

pub async fn of_two_meetings_opened_at_once_one_wins() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    for round in 0..20 {
        let (a, b) = (house.one_time(host.id, 0).await, house.one_time(host.id, 0).await);
        let (first, second) = tokio::join!(house.open(host.id, a.id, None), house.open(host.id, b.id, None));
        let mut answers = [first, second];
        answers.sort_by_key(|answer| *answer == Answer::Unavailable);
        assert_eq!(answers, [Answer::Done, Answer::Unavailable], "round {round}");
        let open = house.store.meetings(host.id, open_ones(), Range::first(9)).await.unwrap();
        assert_eq!(open.items.len(), 1, "round {round}");
        house.store.close_meeting(open.items[0].id, house.now).await.unwrap();
    }
}

pub async fn the_database_itself_refuses_a_second_live_meeting() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let (a, b) = (house.one_time(host.id, 0).await, house.one_time(host.id, 0).await);
    house.open(host.id, a.id, None).await;
    let second = format!("UPDATE meetings SET state = 'open' WHERE id = '{}'", b.id);
    let fault = house.database.tell(&second).await.unwrap_err();
    assert!(fault.as_database_error().unwrap().is_unique_violation(), "{fault}");
}

pub async fn a_cancelled_meeting_stays_cancelled() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    house.open(host.id, meeting.id, None).await;
    let cancelled = house.store.cancel_meeting(meeting.id, house.now).await.unwrap();
    assert_eq!((cancelled.state, cancelled.sequence), (MeetingState::Cancelled, 1));
    assert_eq!(cancelled.closed_at, Some(house.now));
    // The bridge closes it a moment later: no change.
    assert_eq!(house.ask(Question::Close { meeting: meeting.id }).await, Answer::Done);
    assert_eq!(house.state(meeting.id).await, MeetingState::Cancelled);
    assert_eq!(house.store.cancel_meeting(meeting.id, house.now).await.unwrap().sequence, 1);
    let refused = house.store.cancel_meeting(host.standard_meeting, house.now).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::Standing))));
    let refused = house.store.cancel_meeting(MeetingId::numbered(1), house.now).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::NoSuchMeeting))));
}

pub async fn after_a_crash_no_meeting_is_open_and_those_not_over_can_be_opened() {
    let house = House::new().await;
    let cases = [
        ("in the middle", MeetingKind::OneTime, -30, MeetingState::Scheduled),
        ("in its overrun", MeetingKind::OneTime, -89, MeetingState::Scheduled),
        ("over", MeetingKind::OneTime, -90, MeetingState::Closed),
        ("standard, in the middle", MeetingKind::Standard, -30, MeetingState::Scheduled),
        ("standard, over", MeetingKind::Standard, -600, MeetingState::Closed),
    ];
    let mut opened = Vec::new();
    for (name, kind, in_minutes, expected) in cases {
        let host = house.host(name).await;
        let meeting = house.meeting(host.id, kind, in_minutes).await;
        house.open(host.id, meeting.id, None).await;
        opened.push((name, meeting.id, expected));
    }
    let host = house.host("standing").await;
    house.open(host.id, host.standard_meeting, None).await;
    opened.push(("standing", host.standard_meeting, MeetingState::Scheduled));

    let house = house.reopened().await;
    assert_eq!(house.store.after_crash(house.now, OVERRUN).await.unwrap(), 6);
    for (name, meeting, expected) in opened {
        assert_eq!(house.state(meeting).await, expected, "{name}");
    }
    assert_eq!(house.store.after_crash(house.now, OVERRUN).await.unwrap(), 0);
}

pub async fn the_bridge_is_shown_the_meetings_that_matter_now() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let tomorrow = house.one_time(host.id, 23 * 60).await;
    let soon = house.one_time(host.id, 10).await;
    let next_week = house.one_time(host.id, 7 * 24 * 60).await;
    let long_ago = house.one_time(host.id, -7 * 24 * 60).await;
    let just_closed = house.one_time(host.id, -50).await;
    house.open(host.id, just_closed.id, None).await;
    house.store.close_meeting(just_closed.id, house.at(-5)).await.unwrap();
    let cancelled = house.one_time(host.id, 5).await;
    house.store.cancel_meeting(cancelled.id, house.at(-300)).await.unwrap();

    let ids = |view: &HostView| view.meetings.iter().map(|meeting| meeting.id).collect::<Vec<_>>();
    let view = house.view(host.id).await;
    assert_eq!(ids(&view), [host.standard_meeting, just_closed.id, cancelled.id, soon.id, tomorrow.id]);
    assert_eq!(view.meetings[1].state, MeetingState::Closed);
    assert_eq!(view.meetings[1].closed_at, Some(house.at(-5)));
    assert_eq!(view.meetings[2].state, MeetingState::Cancelled);
    assert_eq!(view.meetings[3].opened_by, None);

    let view = house.store.host_view(host.id, Some(next_week.id), house.now).await.unwrap().unwrap();
    assert!(ids(&view).contains(&next_week.id), "the one that the moderator opens is always shown");
    assert!(!ids(&view).contains(&long_ago.id));
    house.open(host.id, long_ago.id, None).await;
    assert!(ids(&house.view(host.id).await).contains(&long_ago.id), "an open one is always shown");
}

// -- verified numbers --

pub async fn proving_again_renews_what_is_remembered() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let (first, second) = (house.one_time(host.id, 0).await, house.one_time(host.id, 0).await);
    house.remember(host.id, "+447700900123", first.id).await;
    let question = Question::Remember {
        host: host.id,
        number: number("+447700900123"),
        meeting: second.id,
        trust: Trust::Signed,
        trunk: "carrier".to_owned(),
    };
    assert_eq!(house.store.answer(question, house.at(10)).await, Answer::Done);
    let all = house.store.verified_numbers(host.id, Range::first(9)).await.unwrap();
    let [one] = all.items.as_slice() else { panic!("{all:?}") };
    assert_eq!((one.meeting, one.trust, one.trunk.as_str()), (second.id, Trust::Signed, "carrier"));
    assert_eq!((one.verified_at, one.last_used_at), (house.at(10), house.at(10)));
    assert_eq!(one.number.reveal(), "+447700900123", "its host sees the whole number");

    let used = |date| Question::Used { verified: one.id, date, without_code: None };
    assert_eq!(house.ask(used(house.at(60))).await, Answer::Done);
    assert_eq!(house.ask(used(house.at(30))).await, Answer::Done);
    let all = house.store.verified_numbers(host.id, Range::first(9)).await.unwrap();
    assert_eq!(all.items[0].last_used_at, house.at(60), "a clock that steps back takes nothing away");
}

pub async fn nothing_is_remembered_for_a_host_or_meeting_that_is_gone() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    let answer = house.remember(host.id, "+447700900123", MeetingId::numbered(1)).await;
    assert_eq!(answer, Answer::Unavailable);
    house.store.remove_host(host.id, house.now).await.unwrap();
    assert_eq!(house.remember(host.id, "+447700900123", meeting.id).await, Answer::Unavailable);
    assert_eq!(house.known("+447700900123").await, []);
}

pub async fn a_crowd_is_remembered_within_the_time_of_one_and_a_bad_row_fails_alone() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    let asked = (0..1_000).map(|caller| {
        // Every tenth names a meeting that does not exist.
        let meeting = if caller % 10 == 9 { MeetingId::numbered(1) } else { meeting.id };
        let question = Question::Remember {
            host: host.id,
            number: number(&format!("+4477009{caller:05}")),
            meeting,
            trust: Trust::Network,
            trunk: "lab".to_owned(),
        };
        let (store, now) = (house.store.clone(), house.now);
        tokio::spawn(async move { (caller, store.answer(question, now).await) })
    });
    for asked in asked.collect::<Vec<_>>() {
        let (caller, answer) = asked.await.unwrap();
        let expected = if caller % 10 == 9 { Answer::Unavailable } else { Answer::Done };
        assert_eq!(answer, expected, "caller {caller}");
        let known = house.known(&format!("+4477009{caller:05}")).await.len();
        assert_eq!(known, usize::from(expected == Answer::Done), "caller {caller}");
    }
}

pub async fn a_phone_is_forgotten_for_one_host_or_for_all() {
    let house = House::new().await;
    let mut hosts = Vec::new();
    for name in ["Ada", "Bob", "Cyd"] {
        let host = house.host(name).await;
        let meeting = house.one_time(host.id, 0).await;
        house.remember(host.id, "+447700900123", meeting.id).await;
        house.remember(host.id, "+447700900999", meeting.id).await;
        hosts.push(host.id);
    }
    assert_eq!(house.known("+447700900123").await.len(), 3);
    let forget = |host| Question::Forget { host, number: number("+447700900123") };
    assert_eq!(house.ask(forget(Some(hosts[0]))).await, Answer::Done);
    assert_eq!(house.known("+447700900123").await.len(), 2);
    assert_eq!(house.ask(forget(None)).await, Answer::Done);
    assert_eq!(house.known("+447700900123").await, []);
    assert_eq!(house.known("+447700900999").await.len(), 3, "other phones stay");

    let of_bob = house.store.verified_numbers(hosts[1], Range::first(9)).await.unwrap();
    let id = of_bob.items[0].id;
    assert!(!house.store.revoke(id, Some(hosts[0])).await.unwrap(), "not Ada's to revoke");
    assert!(house.store.revoke(id, Some(hosts[1])).await.unwrap());
    assert!(!house.store.revoke(id, None).await.unwrap());
    assert!(!house.store.revoke(VerifiedId::numbered(1), None).await.unwrap());
    assert_eq!(house.store.revoke_all(hosts[2], None).await.unwrap(), 1);
    assert_eq!(house.known("+447700900999").await.len(), 1);
}

pub async fn a_host_is_told_of_new_phones_and_of_those_that_come_without_a_code() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let (first, second) = (house.one_time(host.id, 0).await, house.one_time(host.id, 1).await);
    let told = async || {
        let page = house.store.notices(host.id, Range::first(9)).await.unwrap();
        let line = |one: &Notice| (one.kind, one.number.reveal().to_owned(), one.meeting, one.noticed_at);
        page.items.iter().map(line).collect::<Vec<_>>()
    };
    let phone = "+447700900123".to_owned();
    house.remember(host.id, &phone, first.id).await;
    let remembered = (NoticeKind::Remembered, phone.clone(), first.id, house.now);
    assert_eq!(told().await, std::slice::from_ref(&remembered));
    // Proved again: not a new phone.
    house.remember(host.id, &phone, first.id).await;
    assert_eq!(told().await, std::slice::from_ref(&remembered));

    let one = house.store.verified_numbers(host.id, Range::first(9)).await.unwrap().items[0].id;
    let comes = |meeting, date| Question::Used { verified: one, date, without_code: Some(meeting) };
    // Into the meeting whose code it proved: nothing to tell. Into another: once, with the last time.
    house.ask(comes(first.id, house.at(5))).await;
    house.ask(comes(second.id, house.at(10))).await;
    house.ask(comes(second.id, house.at(20))).await;
    let came = (NoticeKind::CameWithoutCode, phone.clone(), second.id, house.at(20));
    assert_eq!(told().await, [came, remembered]);

    // A forgotten phone leaves nothing; a host who wants none is told nothing.
    house.ask(Question::Forget { host: Some(host.id), number: number(&phone) }).await;
    assert_eq!(told().await, []);
    let off = HostChange { notices: Some(Notices::Off), ..HostChange::default() };
    assert_eq!(house.store.change_host(host.id, &off).await.unwrap().unwrap().notices, Notices::Off);
    house.remember(host.id, &phone, first.id).await;
    assert_eq!(told().await, []);
    let list = HostChange { notices: Some(Notices::List), ..HostChange::default() };
    house.store.change_host(host.id, &list).await.unwrap();
    house.remember(host.id, "+447700900124", first.id).await;
    assert_eq!(told().await.len(), 1);

    // What nobody looked at goes after 90 days, when the next one comes.
    let later = house.now + SignedDuration::from_hours(24 * 91);
    let question = Question::Remember {
        host: host.id,
        number: number("+447700900125"),
        meeting: second.id,
        trust: Trust::Network,
        trunk: "lab".to_owned(),
    };
    assert_eq!(house.store.answer(question, later).await, Answer::Done);
    let last = told().await;
    assert_eq!((last.len(), last[0].1.as_str()), (1, "+447700900125"));
    assert_eq!(house.store.dismiss_notices(host.id).await.unwrap(), 1);
    assert_eq!(told().await, []);
    // Those that proved one meeting's code are forgotten together.
    assert_eq!(house.store.revoke_all(host.id, Some(first.id)).await.unwrap(), 2);
    assert_eq!(house.store.revoke_all(host.id, None).await.unwrap(), 1);
}

pub async fn after_a_year_a_phone_is_known_no_more() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    house.remember(host.id, "+447700900123", meeting.id).await;
    for (days, expected) in [(364, 1), (366, 0)] {
        let later = house.now + SignedDuration::from_hours(24 * days);
        let answer = house.store.answer(Question::Caller { number: number("+447700900123") }, later).await;
        assert!(matches!(answer, Answer::Known(known) if known.len() == expected), "after {days} days");
    }
}

// -- lists --

pub async fn pages_show_every_row_once_even_when_rows_are_added_meanwhile() {
    let house = House::new().await;
    let mut hosts = Vec::new();
    for index in 0..7 {
        hosts.push(house.host(&format!("host {index}")).await.id);
    }
    let mut seen = Vec::new();
    let mut range = Range::first(3);
    loop {
        let page = house.store.hosts(range).await.unwrap();
        assert!(page.items.len() <= 3);
        seen.extend(page.items.iter().map(|host| host.id));
        match page.next {
            Some(next) => range.after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, hosts);

    let host = hosts[0];
    for in_minutes in 0..5 {
        house.one_time(host, in_minutes).await;
    }
    let first = house.store.meetings(host, MeetingFilter::default(), Range::first(4)).await.unwrap();
    house.one_time(host, 99).await;
    let rest = Range { after: first.next, limit: 4 };
    let second = house.store.meetings(host, MeetingFilter::default(), rest).await.unwrap();
    let titles = |page: &doorline::store::Page<Meeting>| -> Vec<String> {
        page.items.iter().map(|meeting| meeting.title.clone()).collect()
    };
    assert_eq!(titles(&first), ["in 4 minutes", "in 3 minutes", "in 2 minutes", "in 1 minutes"]);
    assert_eq!(titles(&second), ["in 0 minutes", "host 0"], "the standing meeting is the oldest");
    assert_eq!(second.next, None);
    let scheduled = house.store.meetings(host, open_ones(), Range::first(9)).await.unwrap();
    assert_eq!(scheduled.items, []);
}

// -- call records --

pub async fn a_call_record_is_read_back_as_it_was_written() {
    let house = House::new().await;
    let written = record(7, house.now);
    house.store.save_record(written.clone());
    house.store.flush_records().await;
    let read = house.store.call(written.call).await.unwrap().unwrap();
    assert_eq!(read.sip_call_id, written.sip_call_id);
    assert_eq!(read.signalled, written.signalled);
    assert_eq!(read.number, written.number);
    assert_eq!((read.host, read.meeting), (written.host, written.meeting));
    assert_eq!((read.started_at, read.ended_at), (written.started_at, written.ended_at));
    assert_eq!((read.answered_at, read.joined_at), (written.answered_at, written.joined_at));
    assert_eq!((read.entered, read.ending), (written.entered, written.ending));
    assert_eq!((read.trust, read.withheld, read.remembered), (Trust::Network, false, true));
    assert_eq!((read.path.len(), read.path[0].what.as_str()), (1, "asking-pin"));
    let act = (read.acts[0].what.as_str(), read.acts[0].by);
    assert_eq!(act, ("muted", By::Phone(CallId::numbered(99))));
    assert_eq!((read.keys.len(), read.keys[0].source), (1, DigitSource::Rtp));
    assert_eq!((read.keys[0].length_ms, read.keys[0].merged), (Some(120), 1));
    assert_eq!(read.quality, written.quality);
    assert_eq!(house.store.call(CallId::numbered(8)).await.unwrap(), None);
}

pub async fn figures_that_are_no_numbers_do_not_lose_a_record() {
    let house = House::new().await;
    let quality = Quality { jitter_ms: f32::NAN, peer_lost: Some(f32::INFINITY), ..Quality::default() };
    house.store.save_record(CallRecord { quality: Some(quality), ..record(1, house.now) });
    house.store.flush_records().await;
    let read = house.store.call(CallId::numbered(1)).await.unwrap().unwrap();
    assert_eq!(read.quality, Some(Quality::default()));
}

pub async fn calls_are_filtered_and_paged_from_the_latest_on() {
    let house = House::new().await;
    for index in 1..=10 {
        // Pairs begin at the same time.
        let mut record = record(index, house.at(index as i64 / 2));
        if index == 4 {
            record.number = None;
            record.trunk = "other".to_owned();
            record.ending = Ending::NothingEntered;
        }
        house.store.save_record(record);
    }
    house.store.flush_records().await;
    let ids = async |filter: CallFilter| -> Vec<u128> {
        let mut seen = Vec::new();
        let mut range = Range::first(3);
        loop {
            let page = house.store.calls(&filter, range).await.unwrap();
            seen.extend(page.items.iter().map(|call| call.call.0.as_u128()));
            match page.next {
                Some(next) => range.after = Some(next),
                None => return seen,
            }
        }
    };
    let all = CallFilter::default();
    assert_eq!(ids(all.clone()).await, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    let host = CallFilter { host: Some(HostId::numbered(1)), ..all.clone() };
    assert_eq!(ids(host).await, [9, 7, 5, 3, 1]);
    let trunk = CallFilter { trunk: Some("other".to_owned()), ..all.clone() };
    assert_eq!(ids(trunk).await, [4]);
    let ending = CallFilter { ending: Some(Ending::NothingEntered), ..all.clone() };
    assert_eq!(ids(ending).await, [4]);
    let caller = CallFilter { number: Some(number("+447700900123")), ..all.clone() };
    assert_eq!(ids(caller).await.len(), 9);
    let meeting = CallFilter { meeting: Some(MeetingId::numbered(8)), ..all.clone() };
    assert_eq!(ids(meeting).await, [0; 0]);
    let window = CallFilter { from: Some(house.at(2)), until: Some(house.at(4)), ..all };
    assert_eq!(ids(window).await, [7, 6, 5, 4]);
}

pub async fn records_spill_while_the_database_is_broken_and_are_replayed() {
    let house = House::new().await;
    house.break_in("ALTER TABLE call_records RENAME TO gone").await;
    for index in 1..=3 {
        house.store.save_record(record(index, house.now));
    }
    house.store.flush_records().await;
    let spilled = std::fs::read_to_string(house.spilled()).unwrap();
    assert_eq!(spilled.lines().count(), 3);
    assert!(!spilled.contains("447700900123"), "a number is readable in the spill file");

    house.break_in("ALTER TABLE gone RENAME TO call_records").await;
    // A line that a crash cut off does not keep the others from being replayed.
    std::fs::write(house.spilled(), format!("{spilled}{{\"id\":")).unwrap();
    let house = house.reopened().await;
    let page = house.store.calls(&CallFilter::default(), Range::first(9)).await.unwrap();
    assert_eq!(page.items.len(), 3);
    assert_eq!(page.items[0].number, Some(number("+447700900123")));
    assert!(!house.spilled().exists());
    let unreadable = house.spilled().with_extension("spilled.unreadable");
    assert_eq!(std::fs::read_to_string(unreadable).unwrap(), "{\"id\":");
}

pub async fn spilled_records_are_replayed_without_a_restart() {
    let house = House::new().await;
    house.break_in("ALTER TABLE call_records RENAME TO gone").await;
    house.store.save_record(record(1, house.now));
    house.store.flush_records().await;
    assert!(house.spilled().exists());
    house.break_in("ALTER TABLE gone RENAME TO call_records").await;
    let until = Instant::now() + Duration::from_secs(20);
    while house.store.call(CallId::numbered(1)).await.unwrap().is_none() {
        assert!(Instant::now() < until, "not replayed within 20 s");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

// -- faults and secrets --

pub async fn a_broken_database_is_unavailable_and_never_a_wrong_answer() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    house.store.close().await;
    let phone = number("+447700900123");
    let questions = [
        Question::Caller { number: phone.clone() },
        Question::Host { pin: host.pin, by: somebody() },
        Question::HostById { host: host.id },
        Question::Code {
            host: Some(host.id),
            meetings: vec![meeting.id],
            code: meeting.code.unwrap(),
            by: somebody(),
        },
        Question::HostPin { host: host.id, pin: HostPin::parse("482615").unwrap(), by: somebody() },
        Question::GiveBack {
            wrong: vec![Spent { counters: vec![Counter::CodesOf(host.id)], at: 0 }],
            proved: Proved::Pin,
        },
        Question::Open { host: host.id, meeting: meeting.id, closes: None, opened_by: OpenedBy::Caller },
        Question::Close { meeting: meeting.id },
        Question::Remember {
            host: host.id,
            number: phone.clone(),
            meeting: meeting.id,
            trust: Trust::Network,
            trunk: "lab".to_owned(),
        },
        Question::Used { verified: VerifiedId::numbered(1), date: house.now, without_code: None },
        Question::Forget { host: None, number: phone },
    ];
    for question in questions {
        let asked = format!("{question:?}");
        assert_eq!(house.ask(question).await, Answer::Unavailable, "{asked}");
    }
    assert!(house.store.ping().await.is_err());
}

/// Hands the names of all cases to a macro.
#[macro_export]
macro_rules! for_each_case {
    ($macro:ident) => {
        $macro! {
            a_host_is_found_by_its_pin_and_by_no_other
            a_host_pin_is_good_for_its_host_alone
            a_host_changes_what_it_says_and_nothing_else
            a_new_pin_forgets_every_phone_and_the_old_pin_names_nobody
            no_pin_is_given_twice_nor_begins_with_another
            a_removed_host_leaves_nothing_behind_but_its_call_records
            a_token_opens_its_host_until_it_is_revoked
            a_code_is_good_for_its_meeting_alone
            a_new_code_replaces_the_old_one_and_repeats_none_of_the_last_twenty
            the_database_counts_as_the_pure_ladder_does
            a_hundred_calls_at_once_share_no_last_try
            hundreds_who_come_at_once_with_the_right_code_use_nothing_up
            a_restart_gives_no_try_back
            rows_that_have_no_effect_any_more_are_pruned
            a_recurring_meeting_is_seen_as_the_occurrence_that_matters
            a_meeting_changes_what_is_said_and_its_invitation_is_a_newer_one
            a_closed_meeting_that_is_moved_into_the_future_is_scheduled_again
            opening_a_second_meeting_closes_the_first_or_changes_nothing
            of_two_meetings_opened_at_once_one_wins
            the_database_itself_refuses_a_second_live_meeting
            a_cancelled_meeting_stays_cancelled
            after_a_crash_no_meeting_is_open_and_those_not_over_can_be_opened
            the_bridge_is_shown_the_meetings_that_matter_now
            proving_again_renews_what_is_remembered
            nothing_is_remembered_for_a_host_or_meeting_that_is_gone
            a_crowd_is_remembered_within_the_time_of_one_and_a_bad_row_fails_alone
            a_phone_is_forgotten_for_one_host_or_for_all
            a_host_is_told_of_new_phones_and_of_those_that_come_without_a_code
            after_a_year_a_phone_is_known_no_more
            pages_show_every_row_once_even_when_rows_are_added_meanwhile
            a_call_record_is_read_back_as_it_was_written
            figures_that_are_no_numbers_do_not_lose_a_record
            calls_are_filtered_and_paged_from_the_latest_on
            records_spill_while_the_database_is_broken_and_are_replayed
            spilled_records_are_replayed_without_a_restart
            what_is_kept_no_longer_is_swept_and_nothing_else
            a_sweep_of_many_rows_lets_others_write_in_between
            a_person_is_erased_and_everybody_else_stays
            nobody_is_erased_while_records_wait_to_be_written
            an_event_is_queued_once_for_each_hook_that_wants_it_and_settled
            what_came_of_a_request_goes_by_itself_after_a_day
            a_person_who_is_erased_is_in_no_event_for_a_webhook
            a_known_caller_is_answered_while_the_database_is_away_and_no_longer_than_that
            a_broken_database_is_unavailable_and_never_a_wrong_answer
        }
    };
}

fn open_ones() -> MeetingFilter {
    MeetingFilter { state: Some(MeetingState::Open), ..MeetingFilter::default() }
}
