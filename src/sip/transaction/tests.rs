//! Every timer of RFC 3261 table 4, as a table of what is sent when. No time passes.

use std::time::{Duration, Instant};

use super::*;

const REQUEST: &[u8] = b"request";
const LONGEST: Duration = Duration::from_secs(185);
const RESPONSE: &[u8] = b"response";

/// What a machine does on its own until it is gone: `500ms resend … 32s timed out`.
fn life(
    mut deadline: impl FnMut() -> Option<Instant>,
    mut elapse: impl FnMut(Instant) -> Due,
    start: Instant,
) -> String {
    let mut story = Vec::new();
    for _ in 0..50 {
        let Some(at) = deadline() else {
            story.push("waits".to_owned());
            break;
        };
        let due = elapse(at);
        let word = match &due {
            Due::Nothing => continue,
            Due::Resend(_) => "again",
            Due::Hurry => "hurry",
            Due::TimedOut => "timed out",
            Due::Over => "over",
        };
        story.push(format!("{}ms {word}", at.duration_since(start).as_millis()));
        if matches!(due, Due::TimedOut | Due::Over) {
            break;
        }
    }
    story.join(", ")
}

macro_rules! life {
    ($machine:expr, $start:expr) => {{
        let machine = std::cell::RefCell::new($machine);
        life(|| machine.borrow().deadline(), |now| machine.borrow_mut().elapse(now), $start)
    }};
}

#[test]
fn timers_run_as_in_table_4_of_rfc_3261() {
    let start = Instant::now();
    let timers = Timers::default();
    let invite_client = |reliable| InviteClient::new(start, REQUEST.into(), timers, reliable, LONGEST);
    let other_client = |reliable| NonInviteClient::new(start, REQUEST.into(), timers, reliable);
    let invite_server = |reliable| InviteServer::new(timers, reliable);
    let other_server = |reliable| NonInviteServer::new(start, timers, reliable);

    let cases: Vec<(&str, String, &str)> = vec![
        (
            "A doubles without a bound, B ends it",
            life!(invite_client(false), start),
            "500ms again, 1500ms again, 3500ms again, 7500ms again, 15500ms again, 31500ms again, 32000ms timed out",
        ),
        ("no A over streams", life!(invite_client(true), start), "32000ms timed out"),
        (
            "an answer below 200 stops A and B; then there is time to ring",
            {
                let mut machine = invite_client(false);
                assert_eq!(machine.hear(start, 180), Heard::New);
                life!(machine, start)
            },
            "185000ms timed out",
        ),
        (
            "after CANCEL a final answer has 64·T1 to come",
            {
                let mut machine = invite_client(false);
                machine.hear(start, 100);
                machine.cancelled(start);
                life!(machine, start)
            },
            "32000ms timed out",
        ),
        (
            "D keeps the ACK of a refusal ready",
            {
                let mut machine = invite_client(false);
                machine.hear(start, 486);
                machine.acknowledged(RESPONSE.into());
                assert_eq!(machine.hear(start, 486), Heard::AckAgain(RESPONSE.into()));
                life!(machine, start)
            },
            "32000ms over",
        ),
        (
            "D is zero over streams",
            {
                let mut machine = invite_client(true);
                machine.hear(start, 486);
                life!(machine, start)
            },
            "0ms over",
        ),
        (
            "M lets repeated and forked 2xx through",
            {
                let mut machine = invite_client(true);
                assert_eq!(machine.hear(start, 200), Heard::New);
                assert_eq!(machine.hear(start, 200), Heard::New);
                assert_eq!(machine.hear(start, 486), Heard::Again);
                life!(machine, start)
            },
            "32000ms over",
        ),
        (
            "E doubles up to T2, F ends it",
            life!(other_client(false), start),
            "500ms again, 1500ms again, 3500ms again, 7500ms again, 11500ms again, 15500ms again, 19500ms again, \
             23500ms again, 27500ms again, 31500ms again, 32000ms timed out",
        ),
        ("no E over streams", life!(other_client(true), start), "32000ms timed out"),
        (
            "E is T2 once the server is at work",
            {
                let mut machine = other_client(false);
                machine.hear(start, 100);
                life!(machine, start)
            },
            "4000ms again, 8000ms again, 12000ms again, 16000ms again, 20000ms again, 24000ms again, 28000ms again, \
             32000ms timed out",
        ),
        (
            "K swallows repeated answers for T4",
            {
                let mut machine = other_client(false);
                assert_eq!(machine.hear(start, 200), Heard::New);
                assert_eq!(machine.hear(start, 200), Heard::Again);
                life!(machine, start)
            },
            "5000ms over",
        ),
        (
            "K is zero over streams",
            {
                let mut machine = other_client(true);
                machine.hear(start, 200);
                life!(machine, start)
            },
            "0ms over",
        ),
        ("an INVITE may ring", life!(invite_server(false), start), "waits"),
        (
            "G doubles up to T2, H ends it",
            {
                let mut machine = invite_server(false);
                machine.refuse(start, RESPONSE.into());
                assert_eq!(machine.repeated(), Some(RESPONSE.into()));
                life!(machine, start)
            },
            "500ms again, 1500ms again, 3500ms again, 7500ms again, 11500ms again, 15500ms again, 19500ms again, \
             23500ms again, 27500ms again, 31500ms again, 32000ms timed out",
        ),
        (
            "no G over streams, H stays",
            {
                let mut machine = invite_server(true);
                machine.refuse(start, RESPONSE.into());
                life!(machine, start)
            },
            "32000ms timed out",
        ),
        (
            "I swallows repeated ACKs for T4",
            {
                let mut machine = invite_server(false);
                machine.refuse(start, RESPONSE.into());
                assert_eq!(machine.acknowledge(start), Ack::OfRefusal);
                assert_eq!(machine.acknowledge(start), Ack::Stray);
                assert_eq!(machine.repeated(), None);
                life!(machine, start)
            },
            "5000ms over",
        ),
        (
            "I is zero over streams",
            {
                let mut machine = invite_server(true);
                machine.refuse(start, RESPONSE.into());
                machine.acknowledge(start);
                life!(machine, start)
            },
            "0ms over",
        ),
        (
            "L swallows repeated INVITEs after a 2xx, ACKs go to the call",
            {
                let mut machine = invite_server(true);
                machine.accept(start);
                assert_eq!(machine.repeated(), None);
                assert_eq!(machine.acknowledge(start), Ack::OfSuccess);
                life!(machine, start)
            },
            "32000ms over",
        ),
        (
            "J keeps the answer ready",
            {
                let mut machine = other_server(false);
                machine.finish(start, RESPONSE.into());
                assert_eq!(machine.repeated(), Some(RESPONSE.into()));
                life!(machine, start)
            },
            "32000ms over",
        ),
        (
            "J is zero over streams",
            {
                let mut machine = other_server(true);
                machine.finish(start, RESPONSE.into());
                life!(machine, start)
            },
            "0ms over",
        ),
        (
            "100 to a non-INVITE not before E has reached T2, and no late 408 (RFC 4320)",
            life!(other_server(false), start),
            "3500ms hurry, 32000ms over",
        ),
    ];
    for (name, got, expected) in cases {
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn a_late_answer_changes_nothing_that_is_decided() {
    let start = Instant::now();
    let mut server = InviteServer::new(Timers::default(), false);
    server.progress(b"180".as_slice().into());
    assert_eq!(server.repeated(), Some(b"180".as_slice().into()));
    server.refuse(start, RESPONSE.into());
    server.accept(start);
    server.progress(b"180".as_slice().into());
    assert_eq!(server.repeated(), Some(RESPONSE.into()), "the refusal stands");

    let mut client = InviteClient::new(start, REQUEST.into(), Timers::default(), false, LONGEST);
    client.hear(start, 200);
    assert_eq!(client.hear(start + Duration::from_secs(1), 180), Heard::Again, "180 after 200");
}

#[test]
fn a_late_wake_up_sends_once() {
    let start = Instant::now();
    let mut client = NonInviteClient::new(start, REQUEST.into(), Timers::default(), false);
    let late = start + Duration::from_secs(20);
    assert_eq!(client.elapse(late), Due::Resend(REQUEST.into()));
    assert_eq!(client.elapse(late), Due::Nothing);
}
