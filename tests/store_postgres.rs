//! The store on PostgreSQL: every case that SQLite passes, on a real server.

mod support;

#[path = "store/cases.rs"]
mod cases;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use doorline::store::Settings;
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
