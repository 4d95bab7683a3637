//! The machine of one registration, answer by answer.

use super::*;
use crate::types::Password;

const HALF: &str = "7fffffffffffffff";

fn account() -> Account {
    Account {
        registrar: "sip:carrier.example".parse().unwrap(),
        transport: None,
        address: "sip:4420@carrier.example".parse().unwrap(),
        login: Login { user: "4420".to_owned(), password: Password::new("word"), realm: None },
        expires: Duration::from_secs(600),
        outbound_proxy: None,
        contact_user: "door".to_owned(),
    }
}

fn flows(count: u8) -> Vec<Flow> {
    (1..=count)
        .map(|n| Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            peer: format!("198.51.100.{n}:5060").parse().unwrap(),
        })
        .collect()
}

/// A script: `> …` happens, the other lines are what the registration wants or how it stands.
struct Stage {
    registration: Registration,
    begin: Instant,
    now: Instant,
    last: Option<Request>,
    told: Vec<String>,
}

fn check_with(account: Account, script: &str) {
    let now = Instant::now();
    let registration = Registration::new(account, now, HALF);
    let mut stage = Stage { registration, begin: now, now, last: None, told: Vec::new() };
    let lines: Vec<&str> = script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut real = Vec::new();
    for line in &lines {
        if let Some(happening) = line.strip_prefix("> ") {
            real.push((*line).to_owned());
            stage.happen(happening);
            real.append(&mut stage.told);
        }
    }
    assert!(real == lines, "really:\n{}\n\nscript:\n{}\n", real.join("\n"), lines.join("\n"));
}

fn check(script: &str) {
    check_with(account(), script);
}

impl Stage {
    fn happen(&mut self, happening: &str) {
        let words: Vec<&str> = happening.split(' ').collect();
        let (now, registration) = (self.now, &mut self.registration);
        let want = match words.as_slice() {
            ["begin"] => registration.due(now, HALF),
            ["wait", seconds] => return self.wait(seconds.trim_end_matches('s').parse().unwrap()),
            ["found", count] => registration.looked_up(now, Ok(flows(count.parse().unwrap())), HALF),
            ["not", "found"] => registration.looked_up(now, Err("no such name".to_owned()), HALF),
            ["silence"] => registration.unanswered(now, "no answer", HALF),
            ["closed"] => {
                registration.connection_lost(now, &flows(1)[0], HALF);
                None
            }
            ["leave"] => registration.leave(now, HALF),
            ["state"] => {
                let state = registration.state(now);
                let seconds = |at: Option<Instant>| at.map(|at| (at - now).as_secs());
                self.told.push(format!(
                    "registered for {:?}, next try in {:?}, {:?}",
                    seconds(state.registered_until),
                    seconds(state.next_try),
                    state.failure.map(|failure| (failure.status, failure.why))
                ));
                None
            }
            [status, ..] => {
                let mut response = Response::to(self.last.as_ref().unwrap(), status.parse().unwrap());
                for header in happening.split('[').skip(1) {
                    let (name, value) = header.split(']').next().unwrap().split_once(": ").unwrap();
                    if name == "Contact" {
                        response.contact.push(NameAddr::parse(value).unwrap());
                    } else {
                        response.headers.push(name, value);
                    }
                }
                registration.answered(now, &response, HALF)
            }
            [] => None,
        };
        self.tell("", want);
        if self.registration.is_gone() {
            self.told.push("gone".to_owned());
        }
    }

    fn wait(&mut self, seconds: u64) {
        let (begin, end) = (self.now, self.now + Duration::from_secs(seconds));
        while let Some(at) = self.registration.deadline().filter(|at| *at <= end) {
            self.now = at;
            let want = self.registration.due(at, HALF);
            self.tell(&format!("{}s ", (at - begin).as_secs()), want);
            if self.registration.is_gone() {
                self.told.push("gone".to_owned());
            }
        }
        self.now = end;
        assert!(self.begin <= self.now);
    }

    fn tell(&mut self, moment: &str, want: Option<Want>) {
        self.told.extend(want.map(|want| match want {
            Want::LookUp(uri) => format!("{moment}look up {uri}"),
            Want::Send(request, flow) => {
                let text = request.headers.get("Authorization");
                let credentials = text.map(|text| {
                    let given = crate::sip::digest::Credentials::parse(text).unwrap();
                    assert_eq!(given.response, given.expected("word", "REGISTER", b""));
                    format!(" with {}", given.nonce)
                });
                let line = format!(
                    "{moment}REGISTER {} {} to {}{}",
                    request.uri,
                    request.headers.get("Expires").unwrap(),
                    flow.peer.ip(),
                    credentials.unwrap_or_default()
                );
                self.last = Some(*request);
                line
            }
        }));
    }
}

#[test]
fn we_register_prove_who_we_are_and_come_again_in_time() {
    check(
        "
        > begin
        look up sip:carrier.example
        > found 2
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 401 [WWW-Authenticate: Digest realm=\"carrier\", nonce=\"one\", qop=\"auth\", algorithm=SHA-256]
        REGISTER sip:carrier.example 600 to 198.51.100.1 with one
        > 200 [Contact: <sip:other@192.0.2.9>;expires=9999] [Contact: <sip:door@192.0.2.1>;expires=300]
        > state
        registered for Some(300), next try in None, None
        > wait 263s
        262s look up sip:carrier.example
        > found 2
        REGISTER sip:carrier.example 600 to 198.51.100.1 with one
        > 401 [WWW-Authenticate: Digest realm=\"carrier\", nonce=\"two\", qop=\"auth\", algorithm=SHA-256]
        REGISTER sip:carrier.example 600 to 198.51.100.1 with two
        > 200 [Expires: 600]
        > state
        registered for Some(600), next try in None, None
        > leave
        REGISTER sip:carrier.example 0 to 198.51.100.1 with two
        > 401 [WWW-Authenticate: Digest realm=\"carrier\", nonce=\"three\", stale=true]
        REGISTER sip:carrier.example 0 to 198.51.100.1 with three
        > 200
        gone
        ",
    );
}

#[test]
fn a_registrar_says_how_long_it_wants() {
    check(
        "
        > begin
        look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 423 [Min-Expires: 1800]
        REGISTER sip:carrier.example 1800 to 198.51.100.1
        > 200
        > state
        registered for Some(1800), next try in None, None
        ",
    );
    check(
        "
        > begin
        look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 423 [Min-Expires: 99999999]
        > state
        registered for None, next try in Some(22), Some((Some(423), \"Interval Too Brief\"))
        ",
    );
}

#[test]
fn a_server_that_fails_is_followed_by_the_next_one() {
    check(
        "
        > begin
        look up sip:carrier.example
        > found 3
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > silence
        REGISTER sip:carrier.example 600 to 198.51.100.2
        > 503 [Retry-After: 60]
        REGISTER sip:carrier.example 600 to 198.51.100.3
        > 200
        > state
        registered for Some(600), next try in None, None
        > wait 525s
        524s look up sip:carrier.example
        > found 3
        REGISTER sip:carrier.example 600 to 198.51.100.3
        > 200
        ",
    );
}

#[test]
fn pauses_after_failures_double_up_to_half_an_hour() {
    check(
        "
        > begin
        look up sip:carrier.example
        > not found
        > state
        registered for None, next try in Some(22), Some((None, \"no such name\"))
        > wait 23s
        22s look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 403
        > state
        registered for None, next try in Some(44), Some((Some(403), \"Forbidden\"))
        > wait 45s
        44s look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 302
        > wait 90s
        89s look up sip:carrier.example
        > not found
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 404
        > wait 180s
        179s look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 500
        > wait 360s
        359s look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 500
        > wait 720s
        719s look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 500
        > state
        registered for None, next try in Some(1349), Some((Some(500), \"Server Internal Error\"))
        > wait 1350s
        1349s look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 503 [Retry-After: 1500 (maintenance);duration=60]
        > state
        registered for None, next try in Some(1500), Some((Some(503), \"Service Unavailable\"))
        ",
    );
}

#[test]
fn a_wrong_password_is_tried_once_and_then_seldom() {
    check(
        "
        > begin
        look up sip:carrier.example
        > found 2
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 401 [WWW-Authenticate: Digest realm=\"carrier\", nonce=\"one\"]
        REGISTER sip:carrier.example 600 to 198.51.100.1 with one
        > 401 [WWW-Authenticate: Digest realm=\"carrier\", nonce=\"two\"]
        > state
        registered for None, next try in Some(22), Some((Some(401), \"user or password refused\"))
        ",
    );
    let account = account();
    let login = Login { realm: Some("carrier".to_owned()), ..account.login.clone() };
    check_with(
        Account { login, ..account },
        "
        > begin
        look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 401 [WWW-Authenticate: Digest realm=\"evil\", nonce=\"one\"]
        > state
        registered for None, next try in Some(22), Some((Some(401), \"a challenge for realm \\\"evil\\\", expected the realm of this trunk\"))
        ",
    );
}

#[test]
fn an_older_registration_lasts_while_a_refresh_fails() {
    check(
        "
        > begin
        look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 200
        > wait 525s
        524s look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > silence
        > state
        registered for Some(75), next try in Some(22), Some((None, \"no answer\"))
        > wait 23s
        22s look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > wait 60s
        > state
        registered for None, next try in None, Some((None, \"no answer\"))
        ",
    );
}

#[test]
fn a_lost_connection_is_registered_over_again() {
    check(
        "
        > begin
        look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > 200
        > closed
        > state
        registered for None, next try in Some(1), Some((None, \"the connection was closed\"))
        > wait 2s
        1s look up sip:carrier.example
        ",
    );
}

#[test]
fn whoever_leaves_without_being_known_just_goes() {
    check(
        "
        > begin
        look up sip:carrier.example
        > not found
        > leave
        gone
        ",
    );
    check(
        "
        > begin
        look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        > leave
        REGISTER sip:carrier.example 0 to 198.51.100.1
        > wait 5s
        4s gone
        "
        .replace("4s gone", "gone")
        .as_str(),
    );
}

#[test]
fn a_registrar_that_never_has_enough_is_left_alone() {
    let challenge = "> 401 [WWW-Authenticate: Digest realm=\"carrier\", nonce=\"one\", stale=true]";
    let again = "REGISTER sip:carrier.example 600 to 198.51.100.1 with one";
    check(&format!(
        "
        > begin
        look up sip:carrier.example
        > found 1
        REGISTER sip:carrier.example 600 to 198.51.100.1
        {challenge}\n{again}\n{challenge}\n{again}\n{challenge}\n{again}\n{challenge}\n{again}\n{challenge}
        > state
        registered for None, next try in Some(22), Some((Some(401), \"Unauthorized\"))
        "
    ));
}

#[test]
fn calls_go_through_the_outbound_proxy() {
    let proxy = Some("sip:edge.carrier.example;transport=tcp".parse().unwrap());
    let account = Account { outbound_proxy: proxy, ..account() };
    let now = Instant::now();
    let mut registration = Registration::new(account, now, HALF);
    let Some(Want::LookUp(uri)) = registration.due(now, HALF) else { panic!("nothing to look up") };
    assert_eq!(uri.to_string(), "sip:edge.carrier.example;transport=tcp");
    let Some(Want::Send(request, _)) = registration.looked_up(now, Ok(flows(1)), HALF) else {
        panic!("nothing sent")
    };
    assert_eq!(request.route[0].to_string(), "<sip:edge.carrier.example;transport=tcp;lr>");
    assert_eq!(request.uri.to_string(), "sip:carrier.example");
}
