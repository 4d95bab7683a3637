//! The store on SQLite, with real files: the cases of both databases, and what only a file can do.

#[path = "store/cases.rs"]
mod cases;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cases::{House, PIN_LENGTH, number, record};
use doorline::bridge::view::MeetingState;
use doorline::bridge::{Answer, Question};
use doorline::store::{Error, NewHost, Settings, Store};
use tempfile::TempDir;

pub struct Database {
    folder: TempDir,
}

impl Database {
    pub async fn fresh() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn settings(&self) -> Settings {
        settings(self.folder.path())
    }

    pub fn spilled(&self) -> PathBuf {
        self.folder.path().join("doorline.db.spilled")
    }

    pub async fn tell(&self, sql: &str) -> Result<(), sqlx::Error> {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.file());
        let pool = sqlx::SqlitePool::connect_with(options).await?;
        let told = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await;
        pool.close().await;
        told.map(|_| ())
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("doorline.db")
    }
}

fn settings(folder: &Path) -> Settings {
    Settings {
        url: format!("sqlite:{}", folder.join("doorline.db").display()),
        password_file: None,
        key_file: folder.join("key"),
    }
}

macro_rules! test {
    ($($case:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            cases::$case().await;
        })*
    };
}

for_each_case!(test);

#[tokio::test]
async fn a_remembered_phone_survives_a_crash() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    assert_eq!(house.remember(host.id, "+447700900123", meeting.id).await, Answer::Done);
    // A copy of the files as they lie there now is what a killed process leaves.
    let copy = tempfile::tempdir().unwrap();
    for name in ["doorline.db", "doorline.db-wal", "key"] {
        std::fs::copy(house.database.folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let store = Store::open(&settings(copy.path())).await.unwrap();
    let found = store.answer(Question::Caller { number: number("+447700900123") }, house.now).await;
    assert!(matches!(found, Answer::Known(known) if known.len() == 1 && known[0].host.id == host.id));
}

#[tokio::test]
async fn a_locked_database_answers_within_two_seconds_and_opens_nothing_later() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let meeting = house.one_time(host.id, 0).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(house.database.file());
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let held = pool.begin_with("BEGIN EXCLUSIVE").await.unwrap();
    let began = Instant::now();
    // Two wait for the lock one after the other: the second is out of time before its turn is over.
    let (open, remember) = tokio::join!(
        house.remember(host.id, "+447700900123", meeting.id),
        house.open(host.id, meeting.id, None),
    );
    assert_eq!((open, remember), (Answer::Unavailable, Answer::Unavailable));
    assert!(began.elapsed() < Duration::from_millis(2_500), "{:?}", began.elapsed());
    held.rollback().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(house.state(meeting.id).await, MeetingState::Scheduled, "taken back");
    assert_eq!(house.open(host.id, meeting.id, None).await, Answer::Done, "and works again");
}

#[tokio::test]
async fn the_files_tell_no_pin_code_number_or_token() {
    let house = House::new().await;
    let new = NewHost {
        name: "Ada".to_owned(),
        email: "ada@example.com".to_owned(),
        numbers: vec![number("+442079460001")],
        ..NewHost::default()
    };
    let (host, host_pin) = house.store.add_host(&new, PIN_LENGTH, house.now).await.unwrap();
    let mut secrets = vec![
        host.pin.reveal().to_owned(),
        host_pin.reveal().to_owned(),
        "442079460001".to_owned(),
        "447700900123".to_owned(),
    ];
    let renewed = house.store.new_pin(host.id, PIN_LENGTH, house.now).await.unwrap().unwrap();
    secrets.push(renewed.pin.reveal().to_owned());
    let meeting = house.one_time(host.id, 0).await;
    house.remember(host.id, "+447700900123", meeting.id).await;
    let (_, token) = house.store.add_token(host.id, "outlook", house.now).await.unwrap();
    secrets.push(token.reveal().to_owned());
    house.store.save_record(record(1, house.now));
    house.store.close().await;

    let mut searched = 0;
    for entry in std::fs::read_dir(house.database.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        searched += bytes.len();
        // Six digits may stand in a UUID by chance; as text of their own they may not.
        for secret in &secrets {
            let found = bytes.windows(secret.len()).enumerate().any(|(at, window)| {
                let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
                let alone = !digit(at.wrapping_sub(1)) && !digit(at + secret.len());
                window == secret.as_bytes() && alone
            });
            assert!(!found, "{} holds a secret of {} characters", path.display(), secret.len());
        }
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap()) & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    assert!(searched > 50_000, "only {searched} bytes were searched");

    // The code has four digits, which any file may hold by chance: read its columns instead.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(house.database.file());
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let code = meeting.code.unwrap();
    let columns: (Vec<u8>, Vec<u8>) =
        sqlx::query_as("SELECT code_mac, code_sealed FROM meetings WHERE kind = 'one-time'")
            .fetch_one(&pool)
            .await
            .unwrap();
    for bytes in [&columns.0, &columns.1] {
        assert!(bytes.len() >= 32);
        assert!(!bytes.windows(4).any(|window| window == code.reveal().as_bytes()));
    }
}

#[tokio::test]
async fn a_database_opens_with_its_own_key_alone() {
    let house = House::new().await;
    house.store.close().await;
    let folder = house.database.folder.path();
    let key = std::fs::read(folder.join("key")).unwrap();

    std::fs::remove_file(folder.join("key")).unwrap();
    let error = Store::open(&settings(folder)).await.unwrap_err();
    assert!(matches!(error, Error::KeyMissing(_)), "{error}");
    assert!(!folder.join("key").exists(), "no new key is made for an old database");

    let stranger = House::new().await;
    std::fs::copy(stranger.database.folder.path().join("key"), folder.join("key")).unwrap();
    let error = Store::open(&settings(folder)).await.unwrap_err();
    assert!(matches!(error, Error::WrongKey(_)), "{error}");

    std::fs::write(folder.join("key"), &key).unwrap();
    Store::open(&settings(folder)).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_damaged_or_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("doorline.db"), "this is a letter, not a database".repeat(400))
        .unwrap();
    let error = Store::open(&settings(folder.path())).await.unwrap_err();
    assert!(matches!(error, Error::Database(_) | Error::Damaged { .. }), "{error:?}");

    for url in ["mysql://user:secret@db/doorline", "sqlite:", "sqlite::memory:", "doorline.db"] {
        let settings = Settings { url: url.to_owned(), ..settings(folder.path()) };
        let error = Store::open(&settings).await.unwrap_err().to_string();
        assert!(error.contains("expected \"sqlite:PATH\"") && !error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn an_odd_path_is_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("a folder/100% café #1");
    let store = Store::open(&settings(&odd)).await.unwrap();
    store.ping().await.unwrap();
    assert!(odd.join("doorline.db").exists());
}

#[tokio::test]
async fn a_backup_made_while_the_store_is_used_opens_as_it_was() {
    let house = House::new().await;
    let host = house.host("Ada").await;
    let copy = tempfile::tempdir().unwrap();
    let backup = copy.path().join("doorline.db");
    doorline::store::back_up(&house.database.settings(), &backup).await.unwrap();
    house.store.remove_host(host.id, house.now).await.unwrap();
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&backup).unwrap()) & 0o777;
    assert_eq!(mode, 0o600);
    let twice = doorline::store::back_up(&house.database.settings(), &backup).await.unwrap_err();
    assert!(twice.to_string().contains("is there already"), "{twice}");
    std::fs::copy(house.database.folder.path().join("key"), copy.path().join("key")).unwrap();
    let store = Store::open(&settings(copy.path())).await.unwrap();
    assert_eq!(store.host(host.id).await.unwrap(), Some(host));
}
