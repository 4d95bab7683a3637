//! A phone that is not ours: baresip (Debian's `baresip-core`), with its own stack, TLS and SRTP.
//!
//! Commands and events go over its `ctrl_tcp` module: JSON in netstrings. What it hears is written by its
//! `sndfile` module.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use doorline::cli::phone::tone::{self, Tone};
use doorline::cli::phone::wav;
use serde_json::{Value, json};

use super::hear::SECOND;
use super::{LAB, eventually};

const SOON: Duration = Duration::from_secs(10);

/// Longer than any call of a test.
const TONE_SECONDS: usize = 120;

/// What a phone is set up to do.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// Where it calls from.
    pub local: [u8; 4],
    /// Who calls, as its From says.
    pub number: &'a str,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'a str,
    /// The certificates that it believes; its own, with the key in the same file.
    pub ca_file: Option<PathBuf>,
    pub own_file: Option<PathBuf>,
    /// Nothing, or `srtp-mand`: SRTP on a secure profile, or no call.
    pub encryption: &'a str,
    /// As baresip names it: `PCMU/8000/1`, `PCMA/8000/1`, `G722/16000/1`, `opus/48000/2`.
    pub codec: &'a str,
    /// User and password for a challenge.
    pub login: (&'a str, &'a str),
    /// What it speaks, in Hz, at -20 dB.
    pub tone: f64,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            local: LAB,
            number: "+15550100001",
            transport: "udp",
            ca_file: None,
            own_file: None,
            encryption: "",
            codec: "PCMU/8000/1",
            login: ("nobody", "nothing"),
            tone: 440.0,
        }
    }
}

/// One phone that runs. It ends with this value.
pub struct Baresip {
    folder: tempfile::TempDir,
    child: Child,
    control: TcpStream,
    unread: Vec<u8>,
    events: Vec<Value>,
}

impl Baresip {
    /// Starts one at free ports of its address.
    ///
    /// # Panics
    /// When it cannot be controlled within ten seconds; its log is printed.
    pub fn start(setup: &Setup<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let local = IpAddr::from(setup.local);
        let control = SocketAddr::new(local, free_ports(local));
        put(folder.path(), "config", &config(setup, folder.path(), control));
        put(folder.path(), "accounts", &account(setup));
        let mut tone = Tone::new(setup.tone, -20.0);
        let spoken: Vec<i16> = (0..TONE_SECONDS * SECOND).map(|_| tone.next_sample()).collect();
        wav::write(&folder.path().join("tone.wav"), &spoken).expect("a file can be written");
        let log = File::create(folder.path().join("log")).expect("a file can be made");
        let child = Command::new("baresip")
            .arg("-f")
            .arg(folder.path())
            .arg("-s")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be cloned"))
            .stderr(log)
            .spawn()
            .expect("baresip is installed (Debian: baresip-core)");
        let control = eventually("baresip can be controlled", SOON, || TcpStream::connect(control).ok());
        control.set_read_timeout(Some(Duration::from_millis(20))).expect("sockets have time limits");
        Self { folder, child, control, unread: Vec::new(), events: Vec::new() }
    }

    /// One of its commands, as its menu names them.
    pub fn order(&mut self, command: &str, parameters: &str) {
        let text = json!({ "command": command, "params": parameters }).to_string();
        write!(self.control, "{}:{text},", text.len()).expect("baresip can be told");
    }

    pub fn dial(&mut self, uri: &str) {
        self.order("dial", uri);
    }

    /// Presses keys by RFC 4733, each for 100 ms.
    pub fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            self.order("sndcode", &key.to_string());
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// The first event of a type (`CALL_ESTABLISHED`, `CALL_CLOSED`) since the start.
    ///
    /// # Panics
    /// When there is none within the limit.
    pub fn wait_for(&mut self, kind: &str, limit: Duration) -> Value {
        let end = Instant::now() + limit;
        loop {
            if let Some(event) = self.events.iter().find(|event| event["type"] == kind) {
                return event.clone();
            }
            assert!(Instant::now() < end, "no {kind} within {limit:?}: {:?}\n{}", self.events, self.log());
            self.listen();
        }
    }

    /// Whether such an event has come so far.
    pub fn has(&mut self, kind: &str) -> bool {
        self.listen();
        self.events.iter().any(|event| event["type"] == kind)
    }

    /// What it has heard since the call began or was last changed, mono at the rate of our own phone.
    pub fn heard(&self) -> Vec<i16> {
        let files = fs::read_dir(self.folder.path()).expect("the folder is there");
        let mut files: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        files.retain(|file| file.to_string_lossy().ends_with("-dec.wav"));
        files.sort();
        // The sizes in its header are right only after the call; the samples are there before.
        let bytes = files.last().and_then(|file| fs::read(file).ok()).unwrap_or_default();
        let Some((header, sound)) = bytes.split_at_checked(44) else { return Vec::new() };
        let channels = usize::from(u16::from_le_bytes([header[22], header[23]]));
        let rate = u32::from_le_bytes([header[24], header[25], header[26], header[27]]) as usize;
        let group = channels * rate / tone::RATE as usize;
        let samples: Vec<i32> =
            sound.chunks_exact(2).map(|two| i32::from(i16::from_le_bytes([two[0], two[1]]))).collect();
        samples
            .chunks_exact(group)
            .map(|group| (group.iter().sum::<i32>() / group.len() as i32) as i16)
            .collect()
    }

    /// The level of a tone in the last second that it heard, in dB; silence before there is a second.
    pub fn level(&self, hz: f64) -> f64 {
        let heard = self.heard();
        heard.len().checked_sub(SECOND).map_or(f64::NEG_INFINITY, |from| tone::level(&heard[from..], hz))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn listen(&mut self) {
        let mut bytes = [0; 4_096];
        if let Ok(read) = self.control.read(&mut bytes) {
            self.unread.extend_from_slice(&bytes[..read]);
        }
        // LENGTH:JSON,
        while let Some(colon) = self.unread.iter().position(|&byte| byte == b':') {
            let length = std::str::from_utf8(&self.unread[..colon]).ok().and_then(|text| text.parse().ok());
            let length: usize = length.expect("a netstring begins with its length");
            let end = colon + 1 + length;
            if self.unread.len() <= end {
                return;
            }
            let message =
                serde_json::from_slice(&self.unread[colon + 1..end]).expect("JSON in the netstring");
            self.events.push(message);
            self.unread.drain(..=end);
        }
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- baresip's log ---\n{}", self.log());
        }
    }
}

fn config(setup: &Setup<'_>, folder: &Path, control: SocketAddr) -> String {
    let local = IpAddr::from(setup.local);
    let mut config = format!(
        "module_path /usr/lib/baresip/modules\nsip_listen {local}:{}\nnet_interface {local}\n\
         ctrl_tcp_listen {control}\naudio_source aufile,{}\naudio_txmode thread\nausrc_srate {}\n\
         ausrc_channels 1\njitter_buffer_delay 2-4\nsnd_path {}\n",
        free_ports(local),
        folder.join("tone.wav").display(),
        tone::RATE,
        folder.display(),
    );
    for (key, file) in [("sip_cafile", &setup.ca_file), ("sip_certificate", &setup.own_file)] {
        if let Some(file) = file {
            config += &format!("{key} {}\n", file.display());
        }
    }
    for module in ["opus", "g722", "g711", "sndfile", "aufile", "srtp"] {
        config += &format!("module {module}.so\n");
    }
    config + "module_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n"
}

fn account(setup: &Setup<'_>) -> String {
    let Setup { number, transport, codec, login: (user, password), .. } = setup;
    let encryption = match setup.encryption {
        "" => String::new(),
        encryption => format!(";mediaenc={encryption}"),
    };
    format!(
        "<sip:{number}@{};transport={transport}>;regint=0;ptime=20;audio_codecs={codec};auth_user={user};\
         auth_pass={password}{encryption}\n",
        IpAddr::from(setup.local)
    )
}

fn put(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("a file can be written");
}

/// A port that is free and so is the next, where it listens for TLS.
fn free_ports(local: IpAddr) -> u16 {
    let free = |port: u16| TcpListener::bind((local, port)).and_then(|listener| listener.local_addr()).ok();
    (0..100)
        .filter_map(|_| free(0).map(|address| address.port()))
        .find(|&port| port.checked_add(1).and_then(free).is_some())
        .expect("two ports in a row are free")
}
