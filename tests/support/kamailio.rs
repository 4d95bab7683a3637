//! The real Kamailio (Debian's), with a configuration of `sip-config/kamailio`.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::eventually;

/// One that runs. It ends with this value, and all its processes.
pub struct Kamailio {
    folder: tempfile::TempDir,
    address: SocketAddr,
    tls: SocketAddr,
    child: Child,
}

impl Kamailio {
    /// Starts `sip-config/kamailio/{name}.cfg` at a free port of `address`, with these variables in its
    /// environment, and waits until it answers. With `TLS_CERTIFICATE` among them it listens on TLS too.
    ///
    /// # Panics
    /// When it does not; its log is printed.
    pub fn start(name: &str, address: [u8; 4], environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let [address, tls] = [0; 2].map(|any| {
            let socket = UdpSocket::bind((IpAddr::from(address), any));
            socket.and_then(|socket| socket.local_addr()).expect("a port is free")
        });
        let has_tls = environment.iter().any(|(name, _)| *name == "TLS_CERTIFICATE");
        let with_tls = ["-A".to_owned(), "WITH_TLS".to_owned(), "-l".to_owned(), format!("tls:{tls}")];
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sip-config/kamailio/{name}.cfg"));
        let log = File::create(folder.path().join("log")).expect("a file can be made");
        let child = Command::new("kamailio")
            .arg("-f")
            .arg(file)
            .args(["-DD", "-E", "-m", "32", "-M", "8", "-n", "2"])
            .args(["-l", &format!("udp:{address}"), "-l", &format!("tcp:{address}")])
            .args(with_tls.iter().filter(|_| has_tls))
            .arg("-Y")
            .arg(folder.path())
            .arg("-P")
            .arg(folder.path().join("pid"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be cloned"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("kamailio is installed (Debian: kamailio)");
        let this = Self { folder, address, tls, child };
        let probe = UdpSocket::bind((IpAddr::from([127, 0, 0, 1]), 0)).expect("a port is free");
        probe.set_read_timeout(Some(Duration::from_millis(100))).expect("sockets have time limits");
        let us = probe.local_addr().expect("a bound socket has an address");
        let options = format!(
            "OPTIONS sip:{address} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bKready;rport\r\n\
             From: <sip:probe@{us}>;tag=p\r\nTo: <sip:{address}>\r\nCall-ID: ready@{us}\r\nCSeq: 1 OPTIONS\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        eventually(&format!("Kamailio answers\n{}", this.log()), Duration::from_secs(20), || {
            probe.send_to(options.as_bytes(), address).ok()?;
            probe.recv_from(&mut [0; 2_000]).ok()
        });
        this
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for TLS, if it does.
    pub fn tls(&self) -> SocketAddr {
        self.tls
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Stops every process, so that it answers no more, or (`false`) lets them go on.
    pub fn freeze(&self, frozen: bool) {
        self.signal(if frozen { libc::SIGSTOP } else { libc::SIGCONT });
    }

    fn signal(&self, signal: libc::c_int) {
        let group = libc::pid_t::try_from(self.child.id()).expect("a process id fits");
        // SAFETY: kill(2) takes numbers alone; the group is our child's own.
        unsafe { libc::kill(-group, signal) };
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- Kamailio's log ---\n{}", self.log());
        }
    }
}
