//! The real program, started on loopback with a configuration, ports and data folder of its own.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::ports::Ports;
use super::untold::{self, Kind, Looked};
use super::{ACCESS_NUMBER, Api, LAB, STRANGER};

/// How long it may take to be ready, and to stop when told to.
const READY: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(10);

/// What a test wants of its service.
#[derive(Clone)]
pub struct Options {
    /// The filter of the log (`RUST_LOG`); empty: as the configuration says.
    pub log: &'static str,
    /// More lines for the end of the configuration file.
    pub config: String,
    /// More lines for the lab trunk's file, before its tables.
    pub lab_trunk: String,
    /// More trunk files, by name without ending.
    pub trunks: Vec<(&'static str, String)>,
    /// More lines for its `[caller_id]`.
    pub lab_caller_id: String,
    /// Files beside the configuration: name and text.
    pub files: Vec<(&'static str, String)>,
    /// Answer one access number alone, or (`false`) every dialled one.
    pub one_access_number: bool,
    /// `[sip.tls]` as [`Authority::section`](super::certificates::Authority::section) writes it; then it
    /// listens on TLS too.
    pub tls: Option<String>,
    /// Calls over IPv6 at [::1], the lab's too.
    pub ipv6: Ipv6,
    /// So many calls at once.
    pub legs: usize,
    /// Its database.
    pub store: String,
    /// Ports for sound, where a block of the tests' own has too few.
    pub rtp: Option<RangeInclusive<u16>>,
    /// More of its environment.
    pub environment: Vec<(&'static str, String)>,
}

/// What a service does with IPv6.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ipv6 {
    Off,
    /// SIP is heard there, sound is not.
    Signalling,
    All,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log: "info",
            config: String::new(),
            lab_trunk: String::new(),
            trunks: Vec::new(),
            lab_caller_id: String::new(),
            files: Vec::new(),
            one_access_number: true,
            tls: None,
            ipv6: Ipv6::Off,
            legs: 50,
            store: "sqlite:doorline.db".to_owned(),
            rtp: None,
            environment: Vec::new(),
        }
    }
}

/// One running service. It ends with this value.
pub struct Doorline {
    folder: tempfile::TempDir,
    ports: Ports,
    token: String,
    options: Options,
    child: Option<Child>,
}

impl Doorline {
    /// Starts one and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready; its log is printed.
    pub fn start(options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let token = format!("dlo_{}", random_text());
        untold::keep(Kind::Token, &token);
        let ports = Ports::claim(options.legs);
        let mut this = Self { folder, ports, token, options, child: None };
        this.write_config();
        this.run();
        this
    }

    /// With nothing special.
    pub fn plain() -> Self {
        Self::start(Options::default())
    }

    /// Where it takes calls, the same for UDP and TCP.
    pub fn sip(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::from(LAB), self.ports.sip())
    }

    /// Where it takes calls over IPv6, if it does.
    pub fn sip_v6(&self) -> SocketAddr {
        SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, self.ports.sip()))
    }

    /// Where it takes calls over TLS, if it does.
    pub fn sip_tls(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::from(LAB), self.ports.tls())
    }

    /// The URI to dial: the access number at this service.
    pub fn uri(&self) -> String {
        self.uri_of(ACCESS_NUMBER)
    }

    pub fn uri_of(&self, number: &str) -> String {
        format!("sip:{number}@{}", self.sip())
    }

    pub fn api(&self) -> Api {
        self.api_with(&self.token)
    }

    /// With another token than the operator's.
    pub fn api_with(&self, token: &str) -> Api {
        Api::new(&format!("http://127.0.0.1:{}", self.ports.http()), token)
    }

    /// Where the API listens.
    pub fn http(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::from(LAB), self.ports.http())
    }

    pub fn operator_token(&self) -> &str {
        &self.token
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("doorline.toml")
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the service runs").id()
    }

    /// Everything it has printed so far, over all its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.is_some() && self.wait(Duration::ZERO).is_none()
    }

    /// Stops it with SIGTERM and waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        self.wait(STOP).unwrap_or_else(|| panic!("not stopped {STOP:?} after SIGTERM\n{}", self.log_tail()))
    }

    /// SIGTERM, and nothing more: it drains.
    pub fn tell_to_stop(&self) {
        self.signal(libc::SIGTERM);
    }

    /// `kill -9`: nothing of it gets a chance to tidy up.
    pub fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        self.wait(STOP).expect("a killed process ends");
    }

    /// Starts it again on the same data, ports and configuration.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it is still running");
        self.run();
    }

    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// The last lines of the log, for a failing test.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(60);
        format!("--- the service's log, last lines ---\n{}", lines[from..].join("\n"))
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log.txt")
    }

    fn write_config(&self) {
        let (sip, http) = (self.ports.sip(), self.ports.http());
        let rtp = self.options.rtp.clone().unwrap_or_else(|| self.ports.rtp());
        let mut config = format!(
            r#"data_dir = "{}"
trunks   = "trunks.d"

[sip]
listen = ["udp:127.0.0.1:{sip}", "tcp:127.0.0.1:{sip}"]

[rtp]
address = "127.0.0.1"
ports   = "{}-{}"

[http]
listen = "127.0.0.1:{http}"

[store]
url = "{}"
"#,
            self.data_dir().display(),
            rtp.start(),
            rtp.end(),
            self.options.store,
        );
        if self.options.one_access_number {
            write!(
                config,
                "\n[[access_number]]\nnumber   = \"{ACCESS_NUMBER}\"\nlanguage = \"en-GB\"\ncountry  = \"GB\"\n"
            )
            .expect("a string takes text");
        }
        if let Some(section) = &self.options.tls {
            let tcp = format!("\"tcp:127.0.0.1:{sip}\"");
            let and_tls = format!("{tcp}, \"tls:{}\"", self.sip_tls());
            config = config.replacen(&tcp, &and_tls, 1) + section;
        }
        if self.options.ipv6 != Ipv6::Off {
            let udp = format!("[\"udp:127.0.0.1:{sip}\"");
            let and_v6 = format!("{udp}, \"udp:[::1]:{sip}\", \"tcp:[::1]:{sip}\"");
            config = config.replacen(&udp, &and_v6, 1);
        }
        if self.options.ipv6 == Ipv6::All {
            config = config.replacen("[rtp]\n", "[rtp]\naddress_v6 = \"::1\"\n", 1);
        }
        config.push_str(&self.options.config);
        for (name, text) in &self.options.files {
            match name.starts_with("secrets/") {
                true => self.write_secret(name, text),
                false => self.write(name, text),
            }
        }
        put(&self.config_file(), &config);
        put(
            &self.folder.path().join("trunks.d/lab.toml"),
            &format!(
                "name  = \"lab\"\nallow = [\"{}\", \"127.0.5.0/24\", \"::1\"]\n{}\n[caller_id]\ntrust   = \"pai\"\ncountry = \"GB\"\n{}\n\
                 # Tests measure how loud callers are.\n[media]\nautomatic_gain = false\n",
                IpAddr::from(LAB),
                self.options.lab_trunk,
                self.options.lab_caller_id
            ),
        );
        put(
            &self.folder.path().join("trunks.d/stranger.toml"),
            &format!("name  = \"stranger\"\nallow = [\"{}\"]\n", IpAddr::from(STRANGER)),
        );
        for (name, text) in &self.options.trunks {
            put(&self.folder.path().join(format!("trunks.d/{name}.toml")), text);
        }
    }

    fn run(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("the log file can be opened");
        let errors = log.try_clone().expect("a file handle can be cloned");
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorline"));
        if self.options.log.is_empty() {
            command.env_remove("RUST_LOG");
        } else {
            command.env("RUST_LOG", self.options.log);
        }
        // A file that may not grow is an error for it, as on a full disk, and not a signal.
        // SAFETY: signal(2) may be called between fork and exec.
        unsafe {
            std::os::unix::process::CommandExt::pre_exec(&mut command, || {
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                Ok(())
            });
        }
        let child = command
            .args(["serve", "--config"])
            .arg(self.config_file())
            .current_dir(self.folder.path())
            .env("DOORLINE_OPERATOR_TOKEN", &self.token)
            .envs(self.options.environment.iter().map(|(name, value)| (name, value)))
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("the doorline binary starts");
        self.child = Some(child);
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let api = self.api();
        let end = Instant::now() + READY;
        while !api.is_ready() {
            if let Some(status) = self.wait(Duration::ZERO) {
                panic!("it ended before it was ready: {status}\n{}", self.log_tail());
            }
            assert!(Instant::now() < end, "not ready within {READY:?}\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGHUP: read the configuration again.
    pub fn hang_up(&self) {
        self.signal(libc::SIGHUP);
    }

    /// Writes a file beside the configuration.
    pub fn write(&self, name: &str, text: &str) {
        put(&self.folder.path().join(name), text);
    }

    /// The same for a file that nobody else may read.
    pub fn write_secret(&self, name: &str, text: &str) {
        self.write(name, text);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(self.folder.path().join(name), mode).expect("a file of ours can be protected");
    }

    /// The same program with another command, such as `doctor`, in the service's environment.
    pub fn other(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_doorline"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("DOORLINE_OPERATOR_TOKEN", &self.token)
            .env("DOORLINE_URL", format!("http://127.0.0.1:{}", self.ports.http()))
            .output()
            .expect("the doorline binary starts")
    }

    fn signal(&self, signal: libc::c_int) {
        let pid = libc::pid_t::try_from(self.pid()).expect("a process id fits");
        // SAFETY: kill(2) takes numbers alone; the child is ours and not yet reaped.
        unsafe { libc::kill(pid, signal) };
    }

    /// Its exit status, if it ends within `limit`.
    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.as_mut()?.try_wait().expect("a child can be waited for") {
                self.child = None;
                return Some(status);
            }
            if Instant::now() >= end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Doorline {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let mut looked = Looked::default();
        let mut found = Ok(());
        if !failed && self.child.is_some() && self.api().is_ready() {
            // It is stopped before it fails: a service of a test outlives no test.
            found = catch_unwind(AssertUnwindSafe(|| looked.through_service(&self.api())));
        }
        if self.child.is_some() {
            self.signal(libc::SIGTERM);
            // A test that failed in the middle of a call need not wait for the call's end.
            let limit = if failed { Duration::from_millis(500) } else { STOP };
            if self.wait(limit).is_none() {
                self.kill();
            }
        }
        if failed {
            eprintln!("{}", self.log_tail());
            return;
        }
        if let Err(found) = found {
            resume_unwind(found);
        }
        // Whatever a test was about: nothing that its service left behind tells a secret.
        looked.through("the log", self.log().as_bytes(), untold::ALL);
        looked.through_files(&self.data_dir(), untold::LONG);
        looked.print();
    }
}

fn put(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().expect("a file is in a folder")).expect("a folder can be made");
    fs::write(file, text).expect("a file can be written");
}

/// 32 letters that nobody guesses.
fn random_text() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system's random source works");
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes text");
        text
    })
}
