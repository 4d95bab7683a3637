//! Server-sent events over a real connection, of what this test says has happened.

use std::sync::atomic::{AtomicUsize, Ordering};

use doorline::bridge::News;
use doorline::bridge::news::What;
use doorline::bridge::snapshot::Entered;

use super::*;
use crate::stream::{Came, Event, Events};

impl Service {
    fn reads(&self, token: &str, query: &str) -> Events {
        Events::open(self.address, token, query, None)
    }

    fn reads_after(&self, token: &str, id: u64) -> Events {
        Events::open(self.address, token, "", Some(&id.to_string()))
    }

    /// Something happens in this host's meeting.
    fn happens(&self, host: &Made, meeting: Option<MeetingId>, what: What) {
        let news = News { host: host.id.parse().unwrap(), meeting, what };
        self.feed.tell(&news, "2026-03-02T10:00:00Z".parse().unwrap());
    }
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[test]
fn each_reads_along_what_is_theirs() {
    let service = Service::start();
    let (ada, bob) = (service.host("Ada"), service.host("Bob"));
    let (budget, plans) = (service.meeting(&ada, "one-time"), service.meeting(&ada, "one-time"));
    let only_plans = format!("?meeting_id={}", plans["id"].as_str().unwrap());
    let mut operator = service.reads(OPERATOR, "");
    let mut host = service.reads(&ada.token, "");
    let mut other = service.reads(&bob.token, "");
    let mut of_one = service.reads(&ada.token, &only_plans);
    for reader in [&operator, &host, &other, &of_one] {
        assert_eq!(reader.status(), 200, "{}", reader.head);
        assert!(reader.head.contains("text/event-stream"), "{}", reader.head);
    }
    let call = CallId::numbered(7);
    let joined = live_meeting(&ada, id(&budget), 7).roster.remove(0);
    assert_eq!(joined.entered, Entered::Remembered);
    service.happens(&ada, Some(id(&budget)), What::Joined(joined));
    service.happens(&ada, Some(id(&budget)), What::Talking(call, true));
    service.happens(&ada, Some(id(&plans)), What::Locked(true));
    service.happens(&ada, None, What::LeftLobby(call));
    service.happens(&bob, None, What::Closed);

    assert_eq!(names(&operator.until("closed")), ["joined", "talk", "lock", "lobby-left", "closed"]);
    let events = host.until("lobby-left");
    assert_eq!(names(&events), ["joined", "talk", "lock", "lobby-left"]);
    assert_eq!(names(&of_one.until("lobby-left")), ["lock", "lobby-left"]);
    // Nothing of Ada's came before.
    assert_eq!(names(&other.until("closed")), ["closed"]);

    let data = &events[0].data;
    assert_eq!(data["type"], "joined");
    assert_eq!(data["at"], "2026-03-02T10:00:00Z");
    assert_eq!(data["host_id"], ada.id);
    assert_eq!(data["meeting_id"], budget["id"]);
    let participant = &data["participant"];
    assert_eq!(participant["entered"], "remembered");
    assert!(participant["number"].as_str().unwrap().ends_with("0123"), "{participant}");
    assert!(!data.to_string().contains("447700900123"), "the number is whole: {data}");
    assert_eq!(events[1].data["talking"], true);

    let foreign = service.reads(&bob.token, &only_plans);
    assert_eq!(foreign.status(), 404, "{}", foreign.head);
    assert_eq!(service.reads(&bob.token, "?meeting_id=x").status(), 400);
}

#[test]
fn who_comes_again_misses_nothing_or_hears_that_they_did() {
    let service = Service::start();
    let ada = service.host("Ada");
    let mut first = service.reads(&ada.token, "");
    // Where to go on is known before anything happens.
    assert_eq!(first.came(), Came::Comment);
    let before = first.seen.unwrap();
    for locked in [true, false] {
        service.happens(&ada, None, What::Locked(locked));
    }
    let events = [first.event(), first.event()];
    drop(first);
    service.happens(&ada, None, What::Closed);
    assert_eq!(names(&service.reads_after(&ada.token, before).until("closed")), ["lock", "lock", "closed"]);
    let mut again = service.reads_after(&ada.token, events[0].id);
    assert_eq!(again.event(), events[1]);
    assert_eq!(again.event().name, "closed");

    for gone in [before - 1, events[1].id + 1_000_000, 0] {
        let mut lost = service.reads_after(&ada.token, gone);
        assert_eq!(lost.event().name, "reset", "{gone}");
        service.happens(&ada, None, What::Locked(true));
        assert_eq!(lost.event().name, "lock", "{gone}");
    }
    let mut odd = Events::open(service.address, &ada.token, "", Some("yesterday"));
    assert_eq!(odd.event().name, "reset");
}

#[test]
fn a_slow_reader_is_cut_off_and_the_others_are_not_held_up() {
    let service = Service::start();
    let ada = service.host("Ada");
    let slow = service.reads(&ada.token, "");
    let mut quick = service.reads(&ada.token, "");
    // More than the kernel, the server and the ring hold for one reader.
    let title = "x".repeat(200);
    let opened = LiveMeeting { title, roster: Vec::new(), ..live_meeting(&ada, MeetingId::numbered(1), 1) };
    let total: usize = 100_000;
    let read = AtomicUsize::new(0);
    let told = std::thread::scope(|scope| {
        let reads = scope.spawn(|| {
            loop {
                match quick.came() {
                    Came::Event(event) if event.name == "closed" => {
                        return Some(read.load(Ordering::Relaxed));
                    }
                    Came::Event(_) => read.fetch_add(1, Ordering::Relaxed),
                    Came::Comment => 0,
                    Came::End => return None,
                };
            }
        });
        for told in 0_usize..total {
            service.happens(&ada, None, What::Opened(opened.clone()));
            // As fast as one reads who reads at all.
            while (told + 1).saturating_sub(read.load(Ordering::Relaxed)) > 4_000 && !reads.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        service.happens(&ada, None, What::Closed);
        reads.join().unwrap()
    });
    assert_eq!(told, Some(total), "who reads gets everything");
    let mut slow = slow;
    let mut last = None;
    loop {
        match slow.came() {
            Came::Event(event) => last = Some(event),
            Came::Comment => {}
            Came::End => break,
        }
    }
    let last = last.expect("something came before the end");
    assert_eq!(last.name, "opened", "it was cut off before the end");
    // It comes again, and hears that it has missed something.
    assert_eq!(service.reads_after(&ada.token, last.id).event().name, "reset");
}

#[test]
fn a_token_reads_along_so_often_and_a_place_that_is_left_is_free() {
    let service = Service::start();
    let (ada, bob) = (service.host("Ada"), service.host("Bob"));
    let mut readers: Vec<_> = (0..16).map(|_| service.reads(&ada.token, "")).collect();
    assert!(readers.iter().all(|reader| reader.status() == 200));
    let refused = service.ask("GET", "/events", Some(&ada.token), None);
    refused.is_problem(429, None);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(service.reads(&bob.token, "").status(), 200, "others are not kept out");
    readers.clear();
    let end = Instant::now() + Duration::from_secs(20);
    // The server notices when it next writes, or reads the end.
    while service.reads(&ada.token, "").status() != 200 {
        assert!(Instant::now() < end, "no place becomes free");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_quiet_line_shows_signs_of_life_until_the_token_is_revoked() {
    let service = Service::start();
    let ada = service.host("Ada");
    let (mut operator, mut host) = (service.reads(OPERATOR, ""), service.reads(&ada.token, ""));
    assert_eq!((operator.came(), host.came()), (Came::Comment, Came::Comment));
    let tokens = service.get(&format!("/hosts/{}/tokens", ada.id));
    let token = tokens.items()[0]["id"].as_str().unwrap();
    assert_eq!(service.ask("DELETE", &format!("/tokens/{token}"), Some(OPERATOR), None).status, 204);
    assert_eq!(host.came(), Came::End, "a revoked token reads no further");
    assert_eq!(operator.came(), Came::Comment);
}

#[test]
fn the_server_ends_when_it_is_told_though_somebody_reads_along() {
    let mut service = Service::start();
    let mut reader = service.reads(OPERATOR, "");
    assert_eq!(reader.came(), Came::Comment);
    service.stop.take().unwrap().send(()).unwrap();
    let task = service.task.take().unwrap();
    let ended = async { tokio::time::timeout(Duration::from_secs(10), task).await };
    service.runtime.block_on(ended).expect("it ends").unwrap();
    assert_eq!(reader.came(), Came::End);
}
