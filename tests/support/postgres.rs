//! A PostgreSQL server of our own: a fresh cluster in a temporary folder, spoken to over a socket there.
//!
//! PostgreSQL does not run as root, so a root's tests run it as the user that Debian's package made.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use super::eventually;

pub struct Server {
    folder: TempDir,
    process: Mutex<Child>,
    /// More arguments of the server.
    more: Vec<String>,
}

impl Server {
    /// Made and started; accepts connections when this returns.
    pub fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// One that lets nobody in over TCP (127.0.0.1 and `port`) but by TLS, with this certificate and key.
    pub fn start_tls(port: u16, certificate: &str, key: &str) -> Self {
        Self::start_with(|data| {
            let put = |name: &str, text: &str| {
                let path = data.join(name);
                std::fs::write(&path, text).expect("a file can be written");
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                std::fs::set_permissions(&path, mode).expect("a file of ours can be protected");
                if let Some((uid, gid)) = user() {
                    std::os::unix::fs::chown(&path, Some(uid), Some(gid)).expect("root gives a file away");
                }
            };
            put("door.pem", certificate);
            put("door.key", key);
            put("pg_hba.conf", "local all all trust\nhostssl all all 127.0.0.1/32 trust\n");
            ["listen_addresses=127.0.0.1", "ssl=on", "ssl_cert_file=door.pem", "ssl_key_file=door.key"]
                .into_iter()
                .map(str::to_owned)
                .chain([format!("port={port}")])
                .flat_map(|setting| ["-c".to_owned(), setting])
                .collect()
        })
    }

    /// `prepare` is given the data folder, and gives more arguments of the server.
    fn start_with(prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        if let Some((uid, gid)) = user() {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid))
                .expect("root gives the folder away");
        }
        let made = command(folder.path(), "initdb")
            .args([
                "--username=doorline",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "-D",
            ])
            .arg(folder.path().join("data"))
            .status()
            .expect("initdb is there");
        assert!(made.success(), "initdb: {made}");
        let more = prepare(&folder.path().join("data"));
        let process = Mutex::new(run(folder.path(), &more));
        Self { folder, process, more }
    }

    /// After [`Server::stop`], on the same data; accepts connections when this returns.
    pub fn start_again(&self) {
        *self.process.lock().expect("nobody panics while holding the process") =
            run(self.folder.path(), &self.more);
    }

    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://doorline@{folder}/{database}")
    }

    pub async fn create(&self, database: &str) {
        // The socket is there a moment before the server takes anybody in.
        let mut tries = 0;
        let pool = loop {
            match sqlx::PgPool::connect(&self.url("postgres")).await {
                Ok(pool) => break pool,
                Err(error) => assert!(tries < 100, "{error}"),
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}")))
            .execute(&pool)
            .await
            .expect("a database is made");
        pool.close().await;
    }

    /// Stops it; whoever is connected is cut off.
    pub fn stop(&self) {
        let mut process = self.process.lock().expect("nobody panics while holding the process");
        let pid = i32::try_from(process.id()).expect("a process id is positive");
        // SAFETY: SIGINT ("fast shutdown") to our own child, which has not been waited for.
        unsafe { libc::kill(pid, libc::SIGINT) };
        let _ = process.wait();
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts it in that folder and waits for its socket.
fn run(folder: &Path, more: &[String]) -> Child {
    let process = command(folder, "postgres")
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200", "-k"])
        .arg(folder)
        .args(more)
        .spawn()
        .expect("postgres is there");
    eventually("PostgreSQL's socket", Duration::from_secs(60), || {
        let mut entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
        let socket = entries.find(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(".s.PGSQL.") && !name.ends_with(".lock")
        });
        std::os::unix::net::UnixStream::connect(socket?).ok()
    });
    process
}

fn command(folder: &Path, name: &str) -> Command {
    let mut command = Command::new(binary(name));
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some((uid, gid)) = user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// Who runs it: ourselves, or Debian's user if we are root.
fn user() -> Option<(u32, u32)> {
    // SAFETY: tells who we are.
    if unsafe { libc::geteuid() } != 0 {
        return None;
    }
    let accounts = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd is there");
    let line = accounts.lines().find(|line| line.starts_with("postgres:")).expect("Debian's postgres user");
    let mut fields = line.split(':').skip(2).map(|field| field.parse().expect("ids are numbers"));
    Some((fields.next().expect("a uid"), fields.next().expect("a gid")))
}

/// Debian keeps them out of the way, one folder per version: the newest.
fn binary(name: &str) -> PathBuf {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").expect("Debian's package postgresql is installed");
    let mut versions: Vec<PathBuf> = versions.flatten().map(|entry| entry.path()).collect();
    versions.sort();
    versions.pop().expect("a version of PostgreSQL").join("bin").join(name)
}
