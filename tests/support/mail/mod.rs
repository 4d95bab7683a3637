//! Python's mail server and calendar reader, in an environment of their own under `target/`.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::untold::{self, Looked};

const PACKAGES: [&str; 3] = ["aiosmtpd==1.4.6", "icalendar==7.3.0", "recurring-ical-events==3.8.2"];

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/mail").join(name)
}

/// The interpreter with our packages; makes the environment when it is not there. Tests that run at
/// the same time wait for each other.
pub fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let folder = target.join("mail-venv");
    let python = folder.join("bin/python");
    std::fs::create_dir_all(&target).unwrap();
    let lock = File::create(target.join("mail-venv.lock")).unwrap();
    lock.lock().unwrap();
    let complete = || {
        let check = "import aiosmtpd, icalendar, recurring_ical_events";
        Command::new(&python)
            .args(["-c", check])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !complete() {
        let run = |command: &mut Command| {
            let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
        };
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--timeout", "30"])
            .args(PACKAGES));
        assert!(complete(), "packages are installed and cannot be imported");
    }
    python
}

/// What `read_calendar.py` finds in each object.
pub fn read_calendars(objects: &[Value]) -> Vec<Value> {
    let mut reader = Command::new(python())
        .arg(script("read_calendar.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = reader.stdin.take().unwrap();
    let text = serde_json::to_string(objects).unwrap();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = reader.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "the calendar reader failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A mail server that is there until it is dropped.
pub struct SmtpServer {
    process: Child,
    lines: Receiver<Value>,
    pub port: u16,
}

impl SmtpServer {
    pub fn start(certificate: &Path, key: &Path, user: &str, password: &str) -> Self {
        let mut process = Command::new(python())
            .arg(script("smtp_server.py"))
            .args([certificate, key])
            .args([user, password])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        let mut server = Self { process, lines, port: 0 };
        let port = server.next(Duration::from_secs(20)).expect("the mail server says its port");
        server.port = u16::try_from(port["port"].as_u64().unwrap()).unwrap();
        server
    }

    /// What it says next; `None` when it says nothing for so long.
    pub fn next(&self, within: Duration) -> Option<Value> {
        match self.lines.recv_timeout(within) {
            Ok(line) => {
                Looked::default().through("a mail", line.to_string().as_bytes(), untold::NOT_FOR_GUESTS);
                Some(line)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the mail server ended"),
        }
    }

    /// So many lines, within 20 s.
    pub fn take(&self, many: usize) -> Vec<Value> {
        let end = Instant::now() + Duration::from_secs(20);
        let mut lines = Vec::new();
        while lines.len() < many {
            match self.next(end.saturating_duration_since(Instant::now())) {
                Some(line) => lines.push(line),
                None => panic!("{} lines of {many}: {lines:?}", lines.len()),
            }
        }
        lines
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
