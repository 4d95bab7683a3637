//! What is kept for how long, and erasing a person.

use std::time::{Duration, Instant};

use doorline::bridge::guess::Attempt;
use doorline::bridge::view::{KnownCallers, MeetingKind};
use doorline::bridge::{Answer, CallRecord, Question};
use doorline::store::{
    CallFilter, Error, HookEvent, HookState, HostChange, Range, Retention, Settled, Subscription, Swept,
    Traces,
};
use doorline::types::{CallId, HostId, Pin};
use jiff::SignedDuration;

use super::{House, number, record};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub async fn what_is_kept_no_longer_is_swept_and_nothing_else() {
    let mut house = House::new().await;
    let host = house.host("Ada").await;
    let (over, proved) = (house.one_time(host.id, -300).await, house.one_time(host.id, -300).await);
    let later = house.meeting(host.id, MeetingKind::OneTime, 60 * 24 * 500).await;
    house.remember(host.id, "+447700900123", proved.id).await;
    for days in 0..4 {
        house.store.save_record(record(days, house.now + SignedDuration::from_hours(24 * days as i64)));
    }
    house.store.flush_records().await;

    let nothing = house.store.sweep(&Retention::default(), house.at(60 * 24 * 3_000)).await.unwrap();
    assert_eq!(nothing, Swept::default(), "without a setting all is kept");

    let retention = Retention {
        calls: Some(2 * DAY),
        notices: Some(90 * DAY),
        hooks: Some(30 * DAY),
        meetings: Some(2 * DAY),
        verified_unused: Some(90 * DAY),
        verified_in_all: Some(365 * DAY),
    };
    // Four days later two records are older than two days, and one meeting is over for long: the other
    // one's phone is still known.
    house.now += SignedDuration::from_hours(4 * 24);
    let swept = house.store.sweep(&retention, house.now).await.unwrap();
    assert_eq!(swept, Swept { calls: 2, meetings: 1, ..Swept::default() });
    assert!(house.store.meeting(over.id).await.unwrap().is_none());
    assert!(house.store.meeting(proved.id).await.unwrap().is_some());
    assert!(house.store.meeting(later.id).await.unwrap().is_some());
    assert!(house.store.meeting(host.standard_meeting).await.unwrap().is_some());
    assert!(house.store.call(CallId::numbered(3)).await.unwrap().is_some());
    assert_eq!(house.known("+447700900123").await.len(), 1);

    // On its last day the phone has expired and is not yet deleted: the clock may be wrong.
    let start = house.now - SignedDuration::from_hours(4 * 24);
    let expired =
        house.store.sweep(&retention, start + SignedDuration::from_hours(24 * 90 + 23)).await.unwrap();
    assert_eq!((expired.verified_numbers, expired.notices), (0, 1));
    let gone = house.store.sweep(&retention, start + SignedDuration::from_hours(24 * 91 + 1)).await.unwrap();
    assert_eq!(
        (gone.verified_numbers, gone.meetings),
        (1, 1),
        "and with it the meeting whose code it proved"
    );
}

pub async fn a_sweep_of_many_rows_lets_others_write_in_between() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    for call in 0..1_203 {
        house.store.save_record(CallRecord { number: None, ..record(call, house.now) });
    }
    house.store.flush_records().await;
    let retention = Retention { calls: Some(DAY), ..Retention::default() };
    let later = house.at(60 * 24 * 3);
    // It takes three lots with pauses between them; a caller who is remembered meanwhile waits for one.
    let remembered = async {
        let began = Instant::now();
        assert_eq!(house.remember(host.id, "+447700900123", meeting.id).await, Answer::Done);
        began.elapsed()
    };
    let (swept, waited) = tokio::join!(house.store.sweep(&retention, later), remembered);
    assert_eq!(swept.unwrap().calls, 1_203);
    println!("remembered in {waited:?} beside a sweep of 1,203 rows");
    assert!(house.store.calls(&CallFilter::default(), Range::first(9)).await.unwrap().items.is_empty());
}

pub async fn a_person_is_erased_and_everybody_else_stays() {
    let house = House::new().await;
    let host = house.host_with("Ada", &["+447700900123", "+442079460001"]).await;
    let meeting = house.one_time(host.id, 0).await;
    let (theirs, others) = (number("+447700900123"), number("+447700900456"));
    house.remember(host.id, "+447700900123", meeting.id).await;
    house.remember(host.id, "+447700900456", meeting.id).await;
    for call in 1..=3 {
        house.store.save_record(record(call, house.now));
    }
    house.store.save_record(CallRecord { number: Some(others.clone()), ..record(4, house.now) });
    // A wrong PIN, counted against the number.
    let by = Attempt { number: Some(theirs.clone()), trunk: "lab".to_owned() };
    house.ask(Question::Host { pin: Pin::parse("000000000").unwrap(), by }).await;

    let there =
        Traces { verified_numbers: 1, calls: 3, notices: 1, host_numbers: 1, told: 0, guess_counters: 1 };
    assert_eq!(house.store.traces_of(&theirs).await.unwrap(), there);
    assert_eq!(house.store.erase(&theirs).await.unwrap(), there);
    let left = Traces { guess_counters: 1, ..Traces::default() };
    assert_eq!(house.store.traces_of(&theirs).await.unwrap(), left);
    assert_eq!(house.store.erase(&theirs).await.unwrap(), left, "twice is once");

    assert!(house.known("+447700900123").await.is_empty());
    let record = house.store.call(CallId::numbered(2)).await.unwrap().expect("the record stays");
    assert_eq!((record.number, record.host), (None, Some(HostId::numbered(0))));
    let host = house.store.host(host.id).await.unwrap().unwrap();
    assert_eq!(host.numbers, [number("+442079460001")]);
    let other = Traces { verified_numbers: 1, calls: 1, notices: 1, ..Traces::default() };
    assert_eq!(house.store.traces_of(&others).await.unwrap(), other);
}

pub async fn nobody_is_erased_while_records_wait_to_be_written() {
    let house = House::new().await;
    house.break_in("ALTER TABLE call_records RENAME TO gone").await;
    house.store.save_record(record(1, house.now));
    house.store.flush_records().await;
    let theirs = number("+447700900123");
    let refused = house.store.erase(&theirs).await;
    assert!(matches!(refused, Err(Error::RecordsAside)), "{refused:?}");
    house.break_in("ALTER TABLE gone RENAME TO call_records").await;
    assert_eq!(house.store.erase(&theirs).await.unwrap().calls, 1, "the record that was put aside too");
    assert!(!house.spilled().exists());
}

fn hooks(house: &House) {
    let all = vec![
        HookEvent::CallEnded,
        HookEvent::MeetingOpened,
        HookEvent::MeetingClosed,
        HookEvent::NumberRemembered,
    ];
    house.store.attend_hooks(vec![
        Subscription { hook: "crm".to_owned(), events: all },
        Subscription { hook: "calls".to_owned(), events: vec![HookEvent::CallEnded] },
    ]);
}

/// Waits for what is queued behind the caller's back.
async fn due(house: &House, hook: &str, count: usize) -> Vec<doorline::store::HookDelivery> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let due = house.store.due_hooks(hook, house.at(1), 99).await.unwrap();
        if due.len() >= count {
            return due;
        }
        assert!(Instant::now() < until, "{} events, expected {count}", due.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn what_came_of_a_request_goes_by_itself_after_a_day() {
    let mut house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.meeting(host.id, MeetingKind::OneTime, 60).await;
    let once = house.store.once("ada", "key", b"new code");
    let code = async |house: &House, minutes| {
        house.store.new_code_once(meeting.id, house.at(minutes), Some(&once)).await.unwrap().code
    };
    let first = code(&house, 0).await;
    let kept = house.store.sweep(&Retention::default(), house.at(60 * 24 - 1)).await.unwrap();
    assert_eq!(kept, Swept::default());
    assert!(code(&house, 60 * 24 - 1).await == first, "asked again it is not done again");
    let gone = house.store.sweep(&Retention::default(), house.at(60 * 24 + 1)).await.unwrap();
    assert_eq!(gone, Swept { outcomes: 1, ..Swept::default() });
    assert!(code(&house, 60 * 24 + 1).await != first, "after a day it is another request");
    // And so it is where no sweep came by in between.
    house.now += SignedDuration::from_hours(24 * 3);
    let third = code(&house, 0).await;
    assert!(code(&house, 1).await == third);
}

pub async fn an_event_is_queued_once_for_each_hook_that_wants_it_and_settled() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    house.remember(host.id, "+447700900456", meeting.id).await;
    assert!(house.store.due_hooks("crm", house.at(1), 99).await.unwrap().is_empty(), "nobody attends");
    hooks(&house);
    assert_eq!(house.open(host.id, meeting.id, None).await, Answer::Done);
    assert_eq!(house.remember(host.id, "+447700900123", meeting.id).await, Answer::Done);
    assert_eq!(house.ask(Question::Close { meeting: meeting.id }).await, Answer::Done);
    assert_eq!(
        house.ask(Question::Close { meeting: meeting.id }).await,
        Answer::Done,
        "it is closed already"
    );
    for _ in 0..2 {
        // A record that is replayed twice.
        house.store.save_record(record(1, house.now));
    }
    house.store.flush_records().await;

    let crm = due(&house, "crm", 4).await;
    let mut kinds: Vec<HookEvent> = crm.iter().map(|one| one.kind).collect();
    kinds.sort_unstable();
    let all = [
        HookEvent::CallEnded,
        HookEvent::MeetingOpened,
        HookEvent::MeetingClosed,
        HookEvent::NumberRemembered,
    ];
    assert_eq!(kinds, all);
    let calls = due(&house, "calls", 1).await;
    let ended = crm.iter().find(|one| one.kind == HookEvent::CallEnded).unwrap();
    assert_eq!((calls.len(), &calls[0].event, &calls[0].body), (1, &ended.event, &ended.body));
    for one in &crm {
        assert!(!one.body.contains("447700900123"), "a whole number");
        let body: serde_json::Value = serde_json::from_str(&one.body).unwrap();
        assert_eq!(body["id"], one.event.as_str());
    }

    let (first, second, third) = (crm[0].id, crm[1].id, crm[2].id);
    house.store.settle_hook(first, Settled::Sent, house.now).await.unwrap();
    house.store.settle_hook(second, Settled::Later(house.at(30), "answered 503"), house.now).await.unwrap();
    house.store.settle_hook(third, Settled::Failed("410: it is gone"), house.now).await.unwrap();
    let left: Vec<i64> =
        house.store.due_hooks("crm", house.at(1), 99).await.unwrap().iter().map(|one| one.id).collect();
    assert_eq!(left, [crm[3].id]);
    assert_eq!(house.store.due_hooks("crm", house.at(31), 99).await.unwrap().len(), 2, "its time has come");
    let dead =
        house.store.hook_deliveries(None, Some(HookState::Failed), Range::first(9)).await.unwrap().items;
    assert_eq!((dead.len(), dead[0].id, dead[0].last_error.as_deref()), (1, third, Some("410: it is gone")));
    assert!(house.store.revive_hook(third, house.now).await.unwrap());
    assert!(!house.store.revive_hook(third, house.now).await.unwrap(), "it is queued already");
    assert!(!house.store.revive_hook(first, house.now).await.unwrap(), "it was sent");
    let page = house.store.hook_deliveries(Some("crm"), None, Range::first(3)).await.unwrap();
    let rest = Range { after: page.next, limit: 3 };
    let rest = house.store.hook_deliveries(Some("crm"), None, rest).await.unwrap();
    assert_eq!((page.items.len(), rest.items.len(), rest.next), (3, 1, None));

    let retention = Retention { hooks: Some(DAY), ..Retention::default() };
    let swept = house.store.sweep(&retention, house.at(60 * 25)).await.unwrap();
    assert_eq!(swept.hooks, 1, "what is still to be told stays");
}

pub async fn a_person_who_is_erased_is_in_no_event_for_a_webhook() {
    let house = House::new().await;
    hooks(&house);
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    house.remember(host.id, "+447700900123", meeting.id).await;
    house.store.save_record(record(1, house.now));
    house.store.save_record(CallRecord { number: Some(number("+447700900456")), ..record(2, house.now) });
    house.store.flush_records().await;
    due(&house, "crm", 3).await;
    assert_eq!(house.store.erase(&number("+447700900123")).await.unwrap().told, 3, "one call is told to two");
    assert_eq!(due(&house, "crm", 1).await.len(), 1);
}

pub async fn a_known_caller_is_answered_while_the_database_is_away_and_no_longer_than_that() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    for phone in ["+447700900123", "+447700900456", "+447700900789"] {
        house.remember(host.id, phone, meeting.id).await;
        assert_eq!(house.known(phone).await.len(), 1);
    }
    // A phone that was forgotten, and a host that asks for more: what was known before is worth nothing.
    house.ask(Question::Forget { host: None, number: number("+447700900456") }).await;
    let change = HostChange { known_callers: Some(KnownCallers::AlwaysCode), ..HostChange::default() };
    house.store.change_host(host.id, &change).await.unwrap();
    assert_eq!(house.known("+447700900123").await.len(), 1);
    house.break_in("ALTER TABLE verified_numbers RENAME TO gone").await;
    let asked = |phone: &'static str| house.ask(Question::Caller { number: number(phone) });
    let Answer::Known(known) = asked("+447700900123").await else { panic!("a known caller is not known") };
    assert_eq!(known[0].host.known_callers, KnownCallers::AlwaysCode);
    assert_eq!(asked("+447700900456").await, Answer::Unavailable, "forgotten before the database went");
    assert_eq!(asked("+447700900111").await, Answer::Unavailable, "never known");
    house.break_in("ALTER TABLE gone RENAME TO verified_numbers").await;
    house.store.revoke_all(host.id, None).await.unwrap();
    house.break_in("ALTER TABLE verified_numbers RENAME TO gone").await;
    assert_eq!(asked("+447700900123").await, Answer::Unavailable, "revoked");
    house.break_in("ALTER TABLE gone RENAME TO verified_numbers").await;

    // Read ahead: a caller who has not called since the start.
    house.remember(host.id, "+447700900123", meeting.id).await;
    let house = house.reopened().await;
    assert_eq!(house.store.keep_known(house.now).await.unwrap(), 1);
    house.break_in("ALTER TABLE verified_numbers RENAME TO gone").await;
    let asked = house.ask(Question::Caller { number: number("+447700900123") }).await;
    assert!(matches!(asked, Answer::Known(known) if known.len() == 1));
}
