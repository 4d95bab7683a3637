//! Invitations and notices on their way through a real mail server.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use doorline::bridge::view::MeetingKind;
use doorline::bridge::{Answer, Question};
use doorline::mail::{self, Mailer, Security};
use doorline::server::invitations::Invitations;
use doorline::server::notices::Notices;
use doorline::store::{
    self, Delivery, DeliveryState, Error, Host, HostChange, Meeting, MeetingChange, NewHost, NewMeeting,
    Range, Refusal, Store,
};
use doorline::types::{PhoneNumber, Trust};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::invitation::number;
use crate::post::{self, SmtpServer};
use crate::support::doorline::{Doorline, Options};

const USER: &str = "doorline";
const PASSWORD: &str = "correct horse battery staple";

/// A store, a host, and a mail server.
struct Post {
    folder: TempDir,
    store: Store,
    host: Host,
    server: SmtpServer,
}

/// The sending task.
struct Sender {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Sender {
    async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        tokio::time::timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap();
    }
}

async fn open(folder: &Path) -> Store {
    let url = format!("sqlite:{}", folder.join("doorline.db").display());
    Store::open(&store::Settings { url, password_file: None, key_file: folder.join("doorline.key") })
        .await
        .unwrap()
}

/// With its certificate and a file with the password in `folder`.
fn mail_server(folder: &Path) -> SmtpServer {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let password = folder.join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    SmtpServer::start(&certificate, &key, USER, PASSWORD)
}

impl Post {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = mail_server(folder.path());
        let store = open(folder.path()).await;
        let new = NewHost {
            name: "Ada, Counteß of L".to_owned(),
            email: "ada@example.com".to_owned(),
            ..NewHost::default()
        };
        let (host, _) = store.add_host(&new, 9, Timestamp::now()).await.unwrap();
        Self { folder, store, host, server }
    }

    fn settings(&self) -> mail::Settings {
        mail::Settings {
            host: "localhost".to_owned(),
            port: self.server.port,
            security: Security::StartTls,
            login: Some((USER.to_owned(), self.folder.path().join("password"))),
            from: "doorline@example.net".to_owned(),
            ca_file: Some(self.folder.path().join("certificate.pem")),
        }
    }

    fn send(&self) -> Sender {
        self.send_with(&self.settings())
    }

    fn send_with(&self, settings: &mail::Settings) -> Sender {
        let mailer = Mailer::new(settings).unwrap();
        let outbox = Invitations::new(
            self.store.clone(),
            Arc::new(|| vec![number("+442079460000", Some("GB"))]),
            mailer.from(),
        );
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(mail::run(outbox, mailer, async move {
            let _ = stopped.await;
        }));
        Sender { stop: Some(stop), task }
    }

    /// What hosts are told.
    fn send_notices(&self) -> Sender {
        let mailer = Mailer::new(&self.settings()).unwrap();
        self.store.attend_outbox();
        let outbox = Notices::new(self.store.clone(), mailer.from());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(mail::run(outbox, mailer, async move {
            let _ = stopped.await;
        }));
        Sender { stop: Some(stop), task }
    }

    async fn remember(&self, number: &str, meeting: &Meeting) {
        let number: PhoneNumber = number.parse().unwrap();
        let now = Timestamp::now();
        self.store.remember(self.host.id, &number, meeting.id, Trust::Network, "lab", now).await.unwrap();
    }

    async fn meeting(&self, guests: &[&str]) -> Meeting {
        let now = Timestamp::now();
        let new = NewMeeting {
            kind: MeetingKind::OneTime,
            title: "Budget".to_owned(),
            starts_at: now + SignedDuration::from_hours(1),
            ends_at: now + SignedDuration::from_hours(2),
            time_zone: Some("Europe/London".to_owned()),
            recurrence: "FREQ=WEEKLY;COUNT=3".parse().ok(),
            invitees: guests.iter().map(|guest| (*guest).to_owned()).collect(),
            known_callers: None,
            wait_for_moderator: false,
        };
        self.store.add_meeting(self.host.id, &new, now).await.unwrap()
    }

    async fn delivery(&self, meeting: &Meeting, guest: &str) -> Delivery {
        let all = self.store.deliveries(meeting.id).await.unwrap();
        all.into_iter().find(|one| one.recipient == guest).unwrap_or_else(|| panic!("nothing for {guest}"))
    }

    /// Waits until the newest letter to the guest is in that state.
    async fn reaches(&self, meeting: &Meeting, guest: &str, state: DeliveryState) -> Delivery {
        for _ in 0..200 {
            let delivery = self.delivery(meeting, guest).await;
            if delivery.state == state {
                return delivery;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{guest}: {:?}, expected {state:?}", self.delivery(meeting, guest).await);
    }

    fn silent(&self) {
        let said = self.server.next(Duration::from_millis(800));
        assert_eq!(said, None, "nothing more was to be sent");
    }
}

fn guests(letters: &[Value]) -> Vec<&str> {
    let mut guests: Vec<&str> = letters.iter().map(|letter| letter["to"][0].as_str().unwrap()).collect();
    guests.sort_unstable();
    guests
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_goes_encrypted_and_logged_in_to_each_guest_alone() {
    let post = Post::new().await;
    let sender = post.send();
    let meeting = post.meeting(&["bob@example.com", "eve@example.com"]).await;
    let letters = post.server.take(2);
    assert_eq!(guests(&letters), ["bob@example.com", "eve@example.com"]);
    let letter = letters.iter().find(|letter| letter["to"][0] == "bob@example.com").unwrap();
    assert_eq!(
        (&letter["encrypted"], &letter["envelope_from"]),
        (&json!(true), &json!("doorline@example.net"))
    );
    assert_ne!(letter["user"], json!(false));
    let headers = &letter["headers"];
    assert_eq!(headers["Subject"], "Budget");
    assert!(headers["From"].as_str().unwrap().contains("Ada, Counteß of L"), "{}", headers["From"]);
    assert!(headers["Reply-To"].as_str().unwrap().contains("<ada@example.com>"));
    assert_eq!(headers["To"], "bob@example.com");
    assert_eq!(headers["Auto-Submitted"], "auto-generated");
    assert_eq!(letter["calendar_method"], "REQUEST");
    let (pin, code) = (post.host.pin.reveal(), meeting.code.as_ref().unwrap().reveal());
    let tap = format!("tel:+442079460000,,{pin}#,,{code}#");
    assert!(letter["parts"]["text/plain"].as_str().unwrap().contains(&tap));
    assert!(letter["parts"]["text/html"].as_str().unwrap().contains(&tap.replace('#', "%23")));
    let ics = letter["parts"]["text/calendar"].as_str().unwrap();
    assert_eq!(
        ics.replace("\r\n", "\n"),
        letter["parts"]["application/ics"].as_str().unwrap().replace("\r\n", "\n")
    );
    assert!(ics.contains("bob@example.com") && !ics.contains("eve@example.com"));
    let read = &post::read_calendars(&[json!({"ics": ics, "until": "2100-01-01T00:00:00Z"})])[0];
    assert_eq!((&read["method"], read["occurrences"].as_array().unwrap().len()), (&json!("REQUEST"), 3));
    for guest in ["bob@example.com", "eve@example.com"] {
        let delivery = post.reaches(&meeting, guest, DeliveryState::Sent).await;
        assert_eq!((delivery.attempts, delivery.sequence, delivery.last_error), (1, 0, None));
    }
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_and_cancellations_follow_with_the_next_sequence() {
    let post = Post::new().await;
    let sender = post.send();
    let meeting = post.meeting(&["bob@example.com", "eve@example.com"]).await;
    post.server.take(2);
    let now = Timestamp::now();
    // Somebody who is no invitee is sent it, and stays in the picture.
    let invited = ["zoe@example.com".to_owned()];
    post.store.invite(meeting.id, Some(&invited), false, now).await.unwrap();
    assert_eq!(guests(&post.server.take(1)), ["zoe@example.com"]);

    let change = MeetingChange {
        title: Some("Budget 2".to_owned()),
        invitees: Some(vec!["bob@example.com".to_owned()]),
        ..MeetingChange::default()
    };
    post.store.change_meeting(meeting.id, &change, now).await.unwrap();
    let mut letters = post.server.take(3);
    letters.sort_by_key(|letter| letter["to"][0].to_string());
    assert_eq!(guests(&letters), ["bob@example.com", "eve@example.com", "zoe@example.com"]);
    let methods: Vec<&str> =
        letters.iter().map(|letter| letter["calendar_method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["REQUEST", "CANCEL", "REQUEST"]);
    assert_eq!(letters[0]["headers"]["Subject"], "Updated: Budget 2");
    assert!(letters[0]["parts"]["text/calendar"].as_str().unwrap().contains("SEQUENCE:1"));

    // What guests do not see, they are not told of.
    let change = MeetingChange { wait_for_moderator: Some(true), ..MeetingChange::default() };
    post.store.change_meeting(meeting.id, &change, now).await.unwrap();
    post.silent();

    post.store.new_pin(post.host.id, 9, now).await.unwrap();
    assert_eq!(guests(&post.server.take(2)), ["bob@example.com", "zoe@example.com"]);
    post.store.new_code(meeting.id, now).await.unwrap();
    assert_eq!(guests(&post.server.take(2)), ["bob@example.com", "zoe@example.com"]);
    post.store.cancel_meeting(meeting.id, now).await.unwrap();
    let letters = post.server.take(2);
    assert_eq!(guests(&letters), ["bob@example.com", "zoe@example.com"]);
    for letter in &letters {
        assert_eq!(letter["calendar_method"], "CANCEL");
        assert!(!letter.to_string().contains(post.host.pin.reveal()));
    }
    post.store.cancel_meeting(meeting.id, now).await.unwrap();
    post.silent();
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_puts_off_is_tried_again_and_what_it_refuses_is_shown() {
    let post = Post::new().await;
    let sender = post.send();
    let meeting = post.meeting(&["busy@example.com", "never@example.com"]).await;
    let said = post.server.take(2);
    assert!(said.iter().any(|line| line["deferred"] == "busy@example.com"), "{said:?}");
    assert!(said.iter().any(|line| line["refused"] == "never@example.com"), "{said:?}");
    let refused = post.reaches(&meeting, "never@example.com", DeliveryState::Failed).await;
    assert_eq!(refused.attempts, 1);
    assert!(refused.last_error.as_ref().unwrap().contains("no such guest"), "{refused:?}");
    let mut waiting = post.delivery(&meeting, "busy@example.com").await;
    for _ in 0..100 {
        if waiting.attempts == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        waiting = post.delivery(&meeting, "busy@example.com").await;
    }
    assert_eq!((waiting.state, waiting.attempts), (DeliveryState::Queued, 1));
    assert!(waiting.last_error.as_ref().unwrap().contains("come back later"), "{waiting:?}");
    let pause = waiting.next_attempt_at.unwrap().duration_since(waiting.queued_at);
    assert!((25..=60).contains(&pause.as_secs()), "{pause:?}");
    sender.stop().await;

    // Its time comes: an hour ahead nothing has changed but the clock.
    let later = Timestamp::now() + SignedDuration::from_hours(1);
    let due = post.store.due_invitations(later, 9).await.unwrap();
    assert_eq!(
        due.iter().map(|due| (due.recipient.as_str(), due.attempts)).collect::<Vec<_>>(),
        [("busy@example.com", 1)]
    );
    // Asked for again, what failed is tried once more; what is queued is not doubled.
    post.store.invite(meeting.id, None, false, Timestamp::now()).await.unwrap();
    let sender = post.send();
    assert_eq!(post.server.take(1)[0]["refused"], "never@example.com");
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_reaches_a_guest_once_however_often_it_is_asked_for_and_restarted() {
    let mut post = Post::new().await;
    let sender = post.send();
    let meeting = post.meeting(&["bob@example.com"]).await;
    let first = post.server.take(1);
    post.reaches(&meeting, "bob@example.com", DeliveryState::Sent).await;
    let again = ["BOB@example.com".to_owned()];
    for to in [None, Some(&again[..])] {
        post.store.invite(meeting.id, to, false, Timestamp::now()).await.unwrap();
    }
    post.silent();
    // The process is gone from one moment to the next, and comes back.
    sender.task.abort();
    let _ = sender.task.await;
    post.store.close().await;
    post.store = open(post.folder.path()).await;
    let sender = post.send();
    post.silent();
    // Only a new version is sent, when the host wants it sent again.
    post.store.invite(meeting.id, None, true, Timestamp::now()).await.unwrap();
    let second = post.server.take(1);
    assert!(second[0]["parts"]["text/calendar"].as_str().unwrap().contains("SEQUENCE:1"));
    assert_ne!(first[0]["headers"]["Message-ID"], second[0]["headers"]["Message-ID"]);
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_between_the_server_and_its_own_note_sends_the_very_same_letter() {
    let mut post = Post::new().await;
    let sender = post.send();
    let meeting = post.meeting(&["late@example.com"]).await;
    let first = post.server.take(1);
    // The server has it and has not answered.
    sender.task.abort();
    let _ = sender.task.await;
    assert_eq!(post.delivery(&meeting, "late@example.com").await.state, DeliveryState::Queued);
    post.store.close().await;
    post.store = open(post.folder.path()).await;
    let sender = post.send();
    let second = post.server.take(1);
    // By these the guest's server and calendar know that it is one.
    assert_eq!(first[0]["headers"]["Message-ID"], second[0]["headers"]["Message-ID"]);
    assert_eq!(first[0]["parts"], second[0]["parts"]);
    sender.task.abort();
    let _ = sender.task.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_overtakes_one_that_still_waits() {
    let post = Post::new().await;
    // The store queues as soon as somebody says that mail is sent; nobody sends yet.
    post.store.attend_outbox();
    let meeting = post.meeting(&["bob@example.com"]).await;
    let change = MeetingChange { title: Some("Newer".to_owned()), ..MeetingChange::default() };
    post.store.change_meeting(meeting.id, &change, Timestamp::now()).await.unwrap();
    let sender = post.send();
    let letters = post.server.take(1);
    assert_eq!(letters[0]["headers"]["Subject"], "Updated: Newer");
    post.silent();
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_waits_when_the_server_is_not_to_be_trusted_or_not_there() {
    let post = Post::new().await;
    let right = post.settings();
    let wrong_password = post.folder.path().join("wrong");
    std::fs::write(&wrong_password, "wrong\n").unwrap();
    let cases = [
        ("a certificate that nobody vouches for", mail::Settings { ca_file: None, ..right.clone() }),
        ("a certificate for another name", mail::Settings { host: "127.0.0.1".to_owned(), ..right.clone() }),
        (
            "a password that is wrong",
            mail::Settings { login: Some((USER.to_owned(), wrong_password)), ..right.clone() },
        ),
        ("no TLS where it is asked for", mail::Settings { security: Security::Tls, ..right.clone() }),
        ("nobody there", mail::Settings { port: 1, ..right.clone() }),
    ];
    for (at, (name, settings)) in cases.into_iter().enumerate() {
        let sender = post.send_with(&settings);
        let guest = format!("guest{at}@example.com");
        let meeting = post.meeting(&[&guest]).await;
        let mut delivery = post.delivery(&meeting, &guest).await;
        for _ in 0..200 {
            if delivery.attempts > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            delivery = post.delivery(&meeting, &guest).await;
        }
        assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Queued, 1), "{name}: {delivery:?}");
        assert!(!format!("{delivery:?}").contains("wrong\n") && !format!("{delivery:?}").contains(PASSWORD));
        sender.stop().await;
    }
    post.silent();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_who_wants_it_is_told_by_mail_of_phones_that_go_straight_in() {
    let mut post = Post::new().await;
    post.store.attend_outbox();
    let meeting = post.meeting(&[]).await;
    // Not asked for: a notice, and no letter.
    post.remember("+442079460001", &meeting).await;
    let change = |mail: bool, language: &str| HostChange {
        notice_mail: Some(mail),
        language: Some(language.parse().ok()),
        ..HostChange::default()
    };
    post.store.change_host(post.host.id, &change(true, "en-GB")).await.unwrap();
    let sender = post.send_notices();
    post.silent();
    post.remember("+442079460002", &meeting).await;
    let letter = &post.server.take(1)[0];
    assert_eq!(guests(std::slice::from_ref(letter)), ["ada@example.com"]);
    assert_eq!(letter["headers"]["Subject"], "A new phone is remembered");
    assert_eq!(letter["headers"]["Auto-Submitted"], "auto-generated");
    let text = letter["parts"]["text/plain"].as_str().unwrap();
    assert!(
        text.contains("+4420…0002") && text.contains("\"Budget\"") && text.contains("(Europe/London)"),
        "{text}"
    );
    let html = letter["parts"]["text/html"].as_str().unwrap();
    assert!(html.contains("&quot;Budget&quot;"), "{html}");
    assert!(!letter.to_string().contains("79460002"), "the number is masked");
    // The same phone once more is no news.
    post.remember("+442079460002", &meeting).await;
    post.silent();
    sender.stop().await;

    // Written while nobody sends, also through the end of a process.
    post.store.change_host(post.host.id, &change(true, "pl-PL")).await.unwrap();
    let second = post.meeting(&[]).await;
    let known = post.store.verified_numbers(post.host.id, Range { after: None, limit: 50 }).await.unwrap();
    let known = known.items.iter().find(|one| one.number.reveal().ends_with("0002")).unwrap();
    let now = Timestamp::now();
    let used = Question::Used { verified: known.id, date: now, without_code: Some(second.id) };
    assert_eq!(post.store.answer(used, now).await, Answer::Done);
    post.store.close().await;
    post.store = open(post.folder.path()).await;
    let sender = post.send_notices();
    let letter = &post.server.take(1)[0];
    assert_eq!(letter["headers"]["Subject"], "Telefon dołączył bez kodu");
    assert!(letter["parts"]["text/plain"].as_str().unwrap().contains("+4420…0002"));
    post.store.change_host(post.host.id, &change(false, "en-GB")).await.unwrap();
    post.remember("+442079460003", &second).await;
    post.silent();
    sender.stop().await;
    let notices = post.store.notices(post.host.id, Range { after: None, limit: 50 }).await.unwrap();
    assert_eq!(notices.items.len(), 4, "all are in the list");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mail_nothing_is_queued_and_asking_for_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let new = NewHost { name: "Ada".to_owned(), email: "ada@example.com".to_owned(), ..NewHost::default() };
    let now = Timestamp::now();
    let (host, _) = store.add_host(&new, 9, now).await.unwrap();
    let asked = store.invite(host.standard_meeting, None, false, now).await;
    assert!(matches!(asked, Err(Error::Refused(Refusal::NoMail))), "{asked:?}");
    assert_eq!(store.deliveries(host.standard_meeting).await.unwrap(), []);
}

#[test]
fn the_whole_service_sends_each_version_once_through_kills_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let server = mail_server(folder.path());
    let config = format!(
        "[mail]\nhost = \"localhost\"\nport = {}\nusername = \"{USER}\"\npassword_file = {:?}\n\
         ca_file = {:?}\nfrom = \"doorline@example.net\"\n",
        server.port,
        folder.path().join("password"),
        folder.path().join("certificate.pem"),
    );
    let mut doorline = Doorline::start(Options { config, ..Options::default() });
    let host = doorline.api().post("/hosts", &json!({"name": "Ada", "email": "ada@example.com"})).body;
    let now = Timestamp::now();
    let meeting = doorline.api().post(
        &format!("/hosts/{}/meetings", host["id"].as_str().unwrap()),
        &json!({
            "kind": "one-time", "title": "Budget", "time_zone": "Europe/London", "recurrence": "FREQ=WEEKLY",
            "starts_at": (now + SignedDuration::from_hours(1)).to_string(),
            "ends_at": (now + SignedDuration::from_hours(2)).to_string(),
            "invitees": ["bob@example.com", "eve@example.com"],
        }),
    );
    let meeting = meeting.body;
    let path = format!("/meetings/{}", meeting["id"].as_str().unwrap());
    assert_eq!(guests(&server.take(2)), ["bob@example.com", "eve@example.com"]);
    let sent = |doorline: &Doorline| {
        for _ in 0..200 {
            let shown = doorline.api().get(&path).body["deliveries"].clone();
            if shown.as_array().unwrap().iter().all(|one| one["state"] == "sent") {
                return shown;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("not sent: {}", doorline.api().get(&path).body["deliveries"]);
    };
    let before = sent(&doorline);
    for _ in 0..3 {
        doorline.kill();
        doorline.start_again();
        doorline.api().post(&format!("{path}/invitations"), &json!({}));
    }
    assert_eq!(server.next(Duration::from_secs(1)), None, "no version goes to a guest twice");
    assert_eq!(sent(&doorline), before);
    // Queued when the kill comes, sent after it.
    let order = json!({"to": ["zoe@example.com"]});
    let answer = doorline.api().post(&format!("{path}/invitations"), &order).body;
    doorline.kill();
    doorline.start_again();
    assert_eq!(answer["deliveries"].as_array().unwrap().len(), 3);
    assert_eq!(guests(&server.take(1)), ["zoe@example.com"]);
    sent(&doorline);
    let log = doorline.log();
    for secret in ["pin", "code"].map(|name| meeting[name].as_str().unwrap()) {
        // Four digits of a time or a port are no code.
        let alone = log.split(|c: char| !c.is_ascii_digit()).any(|digits| digits == secret);
        assert!(!alone, "a secret is in the log");
    }
    assert!(!log.contains(PASSWORD) && log.contains("invitation sent"));
}

#[test]
fn mail_without_tls_goes_to_this_machine_alone() {
    let settings = |host: &str| mail::Settings {
        host: host.to_owned(),
        port: 25,
        security: Security::None,
        login: None,
        from: "doorline@example.net".to_owned(),
        ca_file: None,
    };
    for (host, good) in [
        ("127.0.0.1", true),
        ("::1", true),
        ("localhost", true),
        ("mail.example.com", false),
        ("192.0.2.1", false),
    ] {
        assert_eq!(Mailer::new(&settings(host)).is_ok(), good, "{host}");
    }
    let nobody = mail::Settings { from: "nobody".to_owned(), ..settings("127.0.0.1") };
    assert!(Mailer::new(&nobody).is_err());
}
