//! Runs one scenario of `sip-config/sipp/` with the real SIPp.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// One run, not yet begun.
pub struct Scenario<'a> {
    name: &'a str,
    to: SocketAddr,
    from: IpAddr,
    service: String,
    keywords: Vec<(String, String)>,
    login: Option<(String, String)>,
    tcp: bool,
    limit: Duration,
}

/// What came of it.
pub struct Outcome {
    pub passed: bool,
    /// The `Call-ID` of its call.
    pub call_id: String,
    /// SIPp's own words when it did not pass.
    pub errors: String,
}

impl<'a> Scenario<'a> {
    /// `name` is the file without its ending; `number` is who calls.
    pub fn new(name: &'a str, to: SocketAddr, number: &str) -> Self {
        Self {
            name,
            to,
            from: IpAddr::from(super::LAB),
            service: super::ACCESS_NUMBER.to_owned(),
            keywords: vec![("number".to_owned(), number.to_owned())],
            login: None,
            tcp: false,
            limit: Duration::from_secs(60),
        }
    }

    pub fn key(mut self, keyword: &str, value: &str) -> Self {
        self.keywords.push((keyword.to_owned(), value.to_owned()));
        self
    }

    pub fn dials(mut self, number: &str) -> Self {
        self.service = number.to_owned();
        self
    }

    /// Calls from another address than the lab's.
    pub fn from(mut self, address: [u8; 4]) -> Self {
        self.from = IpAddr::from(address);
        self
    }

    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The address that it calls from.
    pub fn calls_from(mut self, from: [u8; 4]) -> Self {
        self.from = IpAddr::from(from);
        self
    }

    /// User and password for a challenge.
    pub fn logs_in(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// From the same address that it calls: over IPv6.
    pub fn over_ipv6(mut self) -> Self {
        self.from = self.to.ip();
        self
    }

    pub fn over_tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// Runs it, at most its limit long.
    pub fn run(self) -> Outcome {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (sip, media) = (free_port(self.from), free_even_port(self.from, run));
        let call_id = format!("{}-{run}-{}@sipp", self.name, std::process::id());
        let from = match self.from {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let seconds = self.limit.as_secs().to_string();
        let mut sipp = Command::new("sipp");
        sipp.arg("-sf")
            .arg(file(self.name))
            .arg(self.to.to_string())
            .args(["-i", &from, "-p", &sip.to_string()])
            .args(["-mi", &from, "-mp", &media.to_string()])
            .args(["-s", &self.service, "-m", "1", "-nostdin", "-cid_str", &call_id])
            .args(["-timeout", &seconds, "-timeout_error"])
            .args(["-trace_err", "-error_file", "errors.log", "-trace_msg", "-message_file", "messages.log"])
            // A scenario that gets into a loop must not fill the disk.
            .args(["-ringbuffer_files", "1", "-ringbuffer_size", "200000"])
            .args(["-t", if self.tcp { "t1" } else { "u1" }])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for (keyword, value) in &self.keywords {
            sipp.args(["-key", keyword, value]);
        }
        if let Some((user, password)) = &self.login {
            sipp.args(["-au", user, "-ap", password]);
        }
        let mut child = sipp.spawn().expect("sipp is installed (Debian: sip-tester)");
        let end = Instant::now() + self.limit + Duration::from_secs(5);
        let status = loop {
            match child.try_wait().expect("a child can be waited for") {
                Some(status) => break Some(status),
                None if Instant::now() > end => {
                    child.kill().expect("our child can be ended");
                    child.wait().expect("a killed child ends");
                    break None;
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        let passed = status.is_some_and(|status| status.success());
        let errors = if passed {
            String::new()
        } else {
            format!(
                "{}: {status:?}\n{}\n--- messages ---\n{}",
                self.name,
                shortened(&read("errors.log")),
                shortened(&read("messages.log"))
            )
        };
        Outcome { passed, call_id, errors }
    }

    /// Runs it.
    ///
    /// # Panics
    /// When it does not pass.
    pub fn passes(self) -> Outcome {
        let outcome = self.run();
        assert!(outcome.passed, "{}", outcome.errors);
        outcome
    }
}

/// Every scenario that there is, by name.
pub fn all() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .expect("the scenarios are there")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".xml").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// At most 8,000 characters of a log: its beginning.
fn shortened(log: &str) -> String {
    log.chars().take(8_000).collect()
}

fn file(name: &str) -> PathBuf {
    folder().join(format!("{name}.xml"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-config/sipp")
}

fn free_port(address: IpAddr) -> u16 {
    let socket = UdpSocket::bind((address, 0)).expect("a port can be bound");
    socket.local_addr().expect("a bound socket has an address").port()
}

/// SIPp takes the port, the next for RTCP, and two more for video.
fn free_even_port(address: IpAddr, run: u32) -> u16 {
    let first = 40_000 + (std::process::id() % 500 * 20) as u16;
    (0..400)
        .map(|n| first + ((run + n) % 400 * 8) as u16)
        .find(|&port| (port..port + 4).all(|port| UdpSocket::bind((address, port)).is_ok()))
        .expect("four ports in a row are free")
}
