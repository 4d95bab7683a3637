//! Every route, asked with every kind of token: who may what, as one table.

use doorline::store::Link;

use super::*;
use crate::stream::Events;

/// Two hosts; Ada has two meetings, of which the first is live, with one participant and one who waits.
struct World {
    service: Service,
    ada: Made,
    bob: Made,
    /// What stands for the ids in paths.
    ids: Vec<(&'static str, String)>,
    /// To Ada's first meeting, to her second one, and those that are none any more.
    link: String,
    other_link: String,
    dead: Vec<(&'static str, String)>,
}

impl World {
    fn new() -> Self {
        let service = Service::start();
        let (ada, bob) = (service.host("Ada"), service.host("Bob"));
        let (first, second) = (service.meeting(&ada, "one-time"), service.meeting(&ada, "one-time"));
        let verified = service.remember(&ada, &first);
        service.save([record(3, Some(&ada))]);
        service.now_live(Snapshot {
            unwritten: 0,
            calls: vec![live_call(7, Some(&ada))],
            meetings: vec![live_meeting(&ada, id(&first), 7)],
            lobby: vec![in_lobby(&ada, id(&first), 9)],
            draining: false,
        });
        let token = service.get(&format!("/hosts/{}/tokens", ada.id)).items()[0]["id"].clone();
        let token = token.as_str().unwrap().to_owned();
        let link = service.link(&ada.token, &first, json!({}));
        let other_link = service.link(&ada.token, &second, json!({"expires_in": 3600}));
        // A link whose end has come cannot be asked for.
        let past = Timestamp::now() - SignedDuration::from_secs(1);
        let expired =
            service.runtime.block_on(service.store.moderator_link(id(&first), past, past, None)).unwrap().0;
        let revoked = service.link(&ada.token, &second, json!({}));
        let dead = vec![
            ("expired", expired.reveal().to_owned()),
            ("tampered", tampered(&link, 30)),
            ("of another meeting's id", tampered(&link, 10)),
            ("longer lived", tampered(&link, 40)),
            ("cut", link[..link.len() - 2].to_owned()),
            ("empty", "dlm_".to_owned()),
            ("a host's that is none", tampered(&ada.token, 20)),
            ("revoked", revoked),
        ];
        let ids = vec![
            ("{host}", ada.id.clone()),
            ("{meeting}", first["id"].as_str().unwrap().to_owned()),
            ("{verified}", verified),
            ("{token}", token),
            ("{call}", CallId::numbered(3).to_string()),
            ("{live}", CallId::numbered(7).to_string()),
            ("{waits}", CallId::numbered(9).to_string()),
        ];
        let revoke = format!("/meetings/{}/moderator-links", second["id"].as_str().unwrap());
        assert_eq!(service.ask("DELETE", &revoke, Some(&ada.token), None).status, 204);
        let other_link = {
            let _old = other_link;
            service.link(&ada.token, &second, json!({"expires_at": in_minutes(60)}))
        };
        service.commands();
        Self { service, ada, bob, ids, link, other_link, dead }
    }

    fn path(&self, template: &str) -> String {
        self.ids.iter().fold(template.to_owned(), |path, (name, id)| path.replace(name, id))
    }

    /// What the refused must leave as it is.
    fn looks(&self) -> (Value, Value) {
        (self.service.get(&self.path("/meetings/{meeting}")).json, self.service.get("/hosts").json)
    }

    fn status(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> u16 {
        if path == "/events" {
            return Events::open(self.service.address, token, "", None).status();
        }
        let answer = self.service.ask(method, path, Some(token), body);
        if answer.status >= 400 {
            answer.is_problem(answer.status, answer.json["field"].as_str());
        }
        if token == self.bob.token {
            let text = &answer.text;
            assert!(
                !text.contains("Ada") && !text.contains("Budget") && !text.contains(&self.ada.id),
                "{text}"
            );
        }
        answer.status
    }
}

impl Service {
    /// A moderator link to this meeting.
    fn link(&self, token: &str, meeting: &Value, wish: Value) -> String {
        let path = format!("/meetings/{}/moderator-links", meeting["id"].as_str().unwrap());
        let made = self.ask("POST", &path, Some(token), Some(&wish));
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["token"].as_str().unwrap().to_owned()
    }
}

/// With another character at that place.
fn tampered(token: &str, at: usize) -> String {
    let other = if &token[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

/// What each kind of token gets.
#[derive(Clone, Copy)]
struct Gets {
    operator: u16,
    owner: u16,
    other_host: u16,
    link: u16,
    /// A link to another meeting of the same host.
    other_link: u16,
}

/// The host's own things, which no link reaches.
const fn own(status: u16) -> Gets {
    Gets { operator: status, owner: status, other_host: 404, link: 403, other_link: 403 }
}

/// What moderators do.
const fn moderates(status: u16) -> Gets {
    Gets { link: status, other_link: 404, ..own(status) }
}

/// Everyone gets their own part; no link.
const fn part(status: u16) -> Gets {
    Gets { other_host: status, ..own(status) }
}

const fn operators(status: u16) -> Gets {
    Gets { operator: status, owner: 403, other_host: 403, link: 403, other_link: 403 }
}

fn table() -> Vec<(&'static str, &'static str, Option<Value>, Gets)> {
    let host = json!({"name": "Eve", "email": "e@example.com"});
    let name = json!({"name": "x"});
    vec![
        ("GET", "/hosts", None, part(200)),
        ("POST", "/hosts", Some(host), operators(201)),
        ("GET", "/hosts/{host}", None, own(200)),
        ("PATCH", "/hosts/{host}", Some(name.clone()), own(200)),
        ("DELETE", "/hosts/{host}", None, operators(204)),
        ("POST", "/hosts/{host}/new-pin", None, own(200)),
        ("POST", "/hosts/{host}/new-host-pin", None, own(200)),
        ("GET", "/hosts/{host}/tokens", None, own(200)),
        ("POST", "/hosts/{host}/tokens", Some(name), Gets { owner: 403, ..own(201) }),
        ("DELETE", "/tokens/{token}", None, own(204)),
        ("GET", "/hosts/{host}/meetings", None, own(200)),
        ("POST", "/hosts/{host}/meetings", Some(new_meeting("one-time")), own(201)),
        ("GET", "/meetings/{meeting}", None, own(200)),
        ("PATCH", "/meetings/{meeting}", Some(json!({"title": "Mine"})), own(200)),
        ("DELETE", "/meetings/{meeting}", None, own(204)),
        ("POST", "/meetings/{meeting}/new-code", None, own(200)),
        // This service has no mail.
        ("POST", "/meetings/{meeting}/invitations", None, own(409)),
        ("POST", "/meetings/{meeting}/moderator-links", None, own(201)),
        ("DELETE", "/meetings/{meeting}/moderator-links", None, own(204)),
        ("GET", "/hosts/{host}/verified-numbers", None, own(200)),
        ("DELETE", "/hosts/{host}/verified-numbers", None, own(204)),
        ("DELETE", "/verified-numbers/{verified}", None, own(204)),
        ("GET", "/hosts/{host}/notices", None, own(200)),
        ("DELETE", "/hosts/{host}/notices", None, own(204)),
        ("GET", "/live", None, part(200)),
        ("GET", "/events", None, Gets { link: 200, other_link: 200, ..part(200) }),
        ("POST", "/meetings/{meeting}/open", None, Gets { link: 204, ..moderates(200) }),
        ("POST", "/meetings/{meeting}/close", None, Gets { link: 204, ..moderates(200) }),
        ("GET", "/meetings/{meeting}/roster", None, moderates(200)),
        ("POST", "/meetings/{meeting}/lock", None, moderates(204)),
        ("POST", "/meetings/{meeting}/unlock", None, moderates(204)),
        ("POST", "/meetings/{meeting}/mute-all", None, moderates(204)),
        ("POST", "/meetings/{meeting}/unmute-all", None, moderates(204)),
        ("POST", "/meetings/{meeting}/record", None, moderates(204)),
        ("POST", "/meetings/{meeting}/stop-recording", None, moderates(204)),
        ("POST", "/participants/{waits}/admit", None, moderates(204)),
        ("POST", "/participants/{waits}/refuse", None, moderates(204)),
        ("POST", "/participants/{live}/mute", None, moderates(204)),
        ("POST", "/participants/{live}/unmute", None, moderates(204)),
        ("POST", "/participants/{live}/promote", None, moderates(204)),
        ("POST", "/participants/{live}/lower-hand", None, moderates(204)),
        ("POST", "/participants/{live}/remove", None, moderates(204)),
        ("POST", "/participants/{live}/remove-and-forget", None, moderates(204)),
        ("GET", "/calls", None, part(200)),
        ("GET", "/calls/{call}", None, own(200)),
        ("GET", "/calls/{call}/ladder", None, operators(200)),
        ("GET", "/calls/{call}/sip.pcap", None, operators(200)),
        ("GET", "/webhook-deliveries", None, operators(200)),
        ("POST", "/webhook-deliveries/1/retry", None, operators(404)),
        ("POST", "/erasures", Some(json!({"number": "+447700900199", "dry_run": true})), operators(200)),
        ("GET", "/trunks", None, operators(200)),
        ("GET", "/trunks/lab/test?from=192.0.2.7", None, operators(200)),
        ("POST", "/trunks/carrier/probe", None, operators(200)),
        ("POST", "/reload", None, operators(200)),
    ]
}

#[test]
fn every_token_gets_what_this_table_says_of_every_route() {
    let mut world = World::new();
    let mut faults = Vec::new();
    for (method, template, body, gets) in table() {
        // The tokens that must change nothing come first, those that may do most at last. What they did is
        // undone by a new world.
        let tokens = [
            ("another host", world.bob.token.clone(), gets.other_host),
            ("a link to another meeting", world.other_link.clone(), gets.other_link),
            ("a link", world.link.clone(), gets.link),
            ("its host", world.ada.token.clone(), gets.owner),
        ];
        let path = world.path(template);
        let before = world.looks();
        for (whose, token) in &world.dead {
            let status = world.status(method, &path, token, body.as_ref());
            if status != 401 {
                faults.push(format!("{method} {template}, {whose}: {status}, expected 401"));
            }
        }
        for (whose, token, expected) in tokens {
            world.service.commands();
            let status = world.status(method, &path, &token, body.as_ref());
            let told = world.service.commands();
            let changed = expected >= 400 && world.looks() != before;
            if status != expected || changed || (expected >= 400 && !told.is_empty()) {
                faults.push(format!("{method} {template}, {whose}: {status}, expected {expected}; {told:?}"));
            }
        }
        if method != "GET" && gets.owner < 400 {
            world = World::new();
        }
        let path = world.path(template);
        let status = world.status(method, &path, OPERATOR, body.as_ref());
        if status != gets.operator {
            faults.push(format!("{method} {template}, the operator: {status}, expected {}", gets.operator));
        }
        if method != "GET" {
            world = World::new();
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_has_every_route_of_the_document() {
    let tried: BTreeSet<String> = table()
        .iter()
        .map(|(method, path, ..)| {
            let path = path.split('?').next().unwrap();
            let parts = path.split('/').map(|part| match part {
                "lab" | "carrier" => "{name}",
                "1" => "{id}",
                part if part.starts_with('{') => "{id}",
                part => part,
            });
            format!("{method} /api/v1{}", parts.collect::<Vec<_>>().join("/"))
        })
        .collect();
    let document = serde_json::to_value(http::document()).unwrap();
    let mut told = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            // No token is asked for these.
            if operation["tags"][0] != "service" {
                told.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    assert_eq!(tried, told);
}

#[test]
fn a_link_is_good_for_its_meeting_until_its_end() {
    let world = World::new();
    let service = &world.service;
    let meeting = world.path("{meeting}");
    let roster = format!("/meetings/{meeting}/roster");
    let links = format!("/meetings/{meeting}/moderator-links");
    let ask = |wish: Value| service.ask("POST", &links, Some(&world.ada.token), Some(&wish));
    let made = ask(json!({"expires_in": 60}));
    let ends: Timestamp = made.json["expires_at"].as_str().unwrap().parse().unwrap();
    let left = ends.duration_since(Timestamp::now()).as_secs();
    assert!((50..=60).contains(&left), "{left} s: {}", made.text);
    assert_eq!(made.json["meeting_id"], meeting.as_str());

    let refused = [
        (json!({"expires_in": 5}), "expires_in"),
        (json!({"expires_in": 40_000_000}), "expires_in"),
        (json!({"expires_in": u64::MAX}), "expires_in"),
        (json!({"expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"expires_at": "tomorrow"}), "expires_at"),
        (json!({"expires_at": in_minutes(5), "expires_in": 300}), "expires_at"),
        (json!({"for": "ever"}), "for"),
    ];
    for (wish, field) in refused {
        ask(wish).is_problem(422, Some(field));
    }

    // Its roster and its events, and of these no whole number.
    let seen = service.ask("GET", &roster, Some(&world.link), None);
    assert_eq!(seen.items().len(), 1);
    assert!(!seen.text.contains("447700900123"), "{}", seen.text);
    let mut reader = Events::open(service.address, &world.link, "", None);
    let news = |meeting: MeetingId| doorline::bridge::News {
        host: world.ada.id.parse().unwrap(),
        meeting: Some(meeting),
        what: doorline::bridge::news::What::Locked(true),
    };
    service.feed.tell(&news(MeetingId::numbered(5)), Timestamp::now());
    service.feed.tell(&news(meeting.parse().unwrap()), Timestamp::now());
    assert_eq!(reader.event().data["meeting_id"], meeting.as_str(), "another meeting's is not told");

    // A link that its maker cannot take back is one that was cancelled with its meeting.
    let hash = |token: &str| {
        service.runtime.block_on(service.store.link_of_token(&Token::new(token), Timestamp::now()))
    };
    let link = Link { host: world.ada.id.parse().unwrap(), meeting: meeting.parse().unwrap() };
    assert_eq!(hash(&world.link).unwrap(), Some(link));
    let later = Timestamp::now() + SignedDuration::from_hours(25);
    let token = Token::new(world.link.as_str());
    let then = service.store.link_of_token(&token, later);
    assert_eq!(service.runtime.block_on(then).unwrap(), None, "a day is over");
    assert_eq!(
        service.ask("DELETE", &format!("/meetings/{meeting}"), Some(&world.ada.token), None).status,
        204
    );
    service.ask("GET", &roster, Some(&world.link), None).is_problem(401, None);
    ask(json!({})).is_problem(409, None);
}
