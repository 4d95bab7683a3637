//! What systemd is told of the service (sd_notify(3)): ready, reloading, stopping, alive.
//!
//! Without `NOTIFY_SOCKET` in the environment nobody wants to know, and nothing is sent.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tracing::warn;

pub(super) struct Systemd {
    socket: Option<UnixDatagram>,
    /// Without a sign of life for so long, systemd restarts the service.
    watchdog: Option<Duration>,
}

impl Systemd {
    pub(super) fn from_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| match connect(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                warn!(%error, "NOTIFY_SOCKET cannot be used");
                None
            }
        });
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        // It may be meant for the process that started us.
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|us| ours && *us > 0).map(Duration::from_micros);
        Self { socket, watchdog }
    }

    /// How often a sign of life is due: twice within the limit (sd_watchdog_enabled(3)).
    pub(super) fn sign_of_life_every(&self) -> Option<Duration> {
        self.socket.as_ref().and(self.watchdog).map(|limit| limit / 2)
    }

    pub(super) fn ready(&self) {
        self.tell("READY=1\nSTATUS=taking calls");
    }

    /// [`Systemd::ready`] ends it.
    pub(super) fn reloading(&self) {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes one timespec. This clock always exists.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    pub(super) fn draining(&self, calls: usize) {
        self.tell(&format!("STOPPING=1\nSTATUS=draining, {calls} calls are live"));
    }

    pub(super) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, state: &str) {
        // systemd that does not listen is its own fault; calls go on.
        let _ = self.socket.as_ref().map(|socket| socket.send(state.as_bytes()));
    }
}

fn connect(name: &OsStr) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(name)?,
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}
