//! The store on PostgreSQL: every case that SQLite passes, on a real server.

mod support;

#[path = "store/cases.rs"]
mod cases;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use cases::PIN_LENGTH;
use doorline::bridge::guess::Attempt;
use doorline::bridge::{Answer, Question};
use doorline::store::{CopyError, Error, NewHost, Settings, Store};
use support::postgres::Server;
use tempfile::TempDir;

static SERVER: OnceLock<Server> = OnceLock::new();

pub struct Database {
    /// Of the key and the spilled records.
    folder: TempDir,
    url: String,
}

impl Database {
    pub async fn fresh() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = SERVER.get().expect("the server was started first");
        let name = format!("doorline_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        server.create(&name).await;
        Self { folder: tempfile::tempdir().unwrap(), url: server.url(&name) }
    }

    pub fn settings(&self) -> Settings {
        Settings { url: self.url.clone(), password_file: None, key_file: self.folder.path().join("key") }
    }

    pub fn spilled(&self) -> PathBuf {
        self.folder.path().join("records.spilled")
    }

    pub async fn tell(&self, sql: &str) -> Result<(), sqlx::Error> {
        let pool = sqlx::PgPool::connect(&self.url).await?;
        let told = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await;
        pool.close().await;
        told.map(|_| ())
    }
}

/// One server for all cases, each with a database of its own: starting a server takes seconds.
#[test]
fn postgres_passes_every_case_that_sqlite_passes() {
    let _ = SERVER.set(Server::start());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut failed = Vec::new();
    let mut count = 0;
    macro_rules! run {
        ($($case:ident)*) => {
            $(
                count += 1;
                if runtime.block_on(runtime.spawn(cases::$case())).is_err() {
                    failed.push(stringify!($case));
                }
            )*
        };
    }
    for_each_case!(run);
    SERVER.get().expect("it was started").stop();
    println!("{count} cases");
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_moves_from_sqlite_to_postgres_with_all_it_knows() {
    let server = SERVER.get_or_init(Server::start);
    let old = tempfile::tempdir().unwrap();
    let from = Settings {
        url: format!("sqlite:{}", old.path().join("doorline.db").display()),
        password_file: None,
        key_file: old.path().join("key"),
    };
    let store = Store::open(&from).await.unwrap();
    let now = "2026-03-02T10:00:00Z".parse().unwrap();
    let new = NewHost { name: "Ada".into(), email: "ada@example.com".into(), ..NewHost::default() };
    let (host, host_pin) = store.add_host(&new, PIN_LENGTH, now).await.unwrap();
    let meeting = cases::new_one_time(now, 0);
    store.attend_outbox();
    let meeting = store.add_meeting(host.id, &meeting, now).await.unwrap();
    let number = cases::number("+447700900123");
    let trunk = "lab".to_owned();
    let remember = Question::Remember {
        host: host.id,
        number: number.clone(),
        meeting: meeting.id,
        trust: doorline::types::Trust::Network,
        trunk,
    };
    assert_eq!(store.answer(remember, now).await, Answer::Done);
    store.save_record(cases::record(1, now));
    let due = store.due_invitations(now, 9).await.unwrap().len();
    assert_eq!(due, 1);
    let known = store.answer(Question::Caller { number: number.clone() }, now).await;
    store.close().await;

    let to = Database::fresh().await;
    let mut seen = Vec::new();
    let copied = doorline::store::copy(&from, &to.settings(), |table, _| seen.push(table.to_owned())).await;
    assert!(copied.unwrap() >= 8, "{seen:?}");
    for table in ["meta", "hosts", "meetings", "drawn_codes", "verified_numbers", "call_records", "outbox"] {
        assert!(seen.iter().any(|name| name == table), "{table} was not copied: {seen:?}");
    }
    let store = Store::open(&to.settings()).await.unwrap();
    assert_eq!(store.host(host.id).await.unwrap(), Some(host.clone()));
    assert_eq!(store.meeting(meeting.id).await.unwrap(), Some(meeting.clone()));
    assert_eq!(store.answer(Question::Caller { number }, now).await, known);
    let by = Attempt { number: None, trunk: "lab".to_owned() };
    let pin = Question::HostPin { host: host.id, pin: host_pin, by };
    assert!(matches!(store.answer(pin, now).await, Answer::HostPin { right: true, .. }));
    assert!(store.call(doorline::types::CallId::numbered(1)).await.unwrap().is_some());
    // The next letter gets a number of its own.
    store.attend_outbox();
    assert_eq!(store.due_invitations(now, 9).await.unwrap().len(), due);
    store.invite(meeting.id, None, true, now).await.unwrap();
    assert_eq!(store.due_invitations(now, 9).await.unwrap().len(), 1, "the newer version took its place");
    store.close().await;

    // A server that was set up without a language makes such databases.
    to.tell("CREATE DATABASE plain ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        .await
        .unwrap();
    let plain = Settings { url: server.url("plain"), ..to.settings() };
    let error = Store::open(&plain).await.unwrap_err().to_string();
    assert!(error.starts_with("the database's encoding is SQL_ASCII, expected UTF8"), "{error}");

    let again = doorline::store::copy(&from, &to.settings(), |_, _| {}).await;
    assert!(matches!(again, Err(CopyError::NotEmpty(1))), "{again:?}");
    server.stop();
    // With the server gone nothing is answered, and nothing wrong.
    let error = Store::open(&to.settings()).await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_network_the_server_proves_its_name_or_is_not_spoken_to() {
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start_tls(port, &certificate.cert.pem(), &certificate.signing_key.serialize_pem());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let right = file("right.pem", certificate.cert.pem());
    let wrong = file("wrong.pem", stranger.cert.pem());
    let settings = |host: &str, query: &str| Settings {
        url: format!("postgres://doorline@{host}:{port}/postgres?{query}"),
        password_file: None,
        key_file: folder.path().join("key"),
    };
    let proved = settings("localhost", &format!("sslmode=verify-full&sslrootcert={right}"));
    let store = Store::open(&proved).await.unwrap();
    store.ping().await.unwrap();
    let pool = sqlx::PgPool::connect(&proved.url).await.unwrap();
    let version: String =
        sqlx::query_scalar("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl")
            .fetch_one(&pool)
            .await
            .expect("the connection is encrypted");
    pool.close().await;
    println!("{version}");
    store.close().await;
    for (what, host, query) in [
        ("another authority", "localhost", format!("sslmode=verify-full&sslrootcert={wrong}")),
        ("another name", "127.0.0.1", format!("sslmode=verify-full&sslrootcert={right}")),
        ("no TLS", "localhost", "sslmode=disable".to_owned()),
    ] {
        let refused = Store::open(&settings(host, &query)).await;
        assert!(matches!(refused, Err(Error::Database(_))), "{what}: {refused:?}");
    }
    server.stop();
}
