//! `doorline doctor`: would the service start on this machine, and run well? One line per check, and
//! what to do where something is wrong.
//!
//! Nothing is changed: sockets are bound and let go, the database is read alone, and the call that it
//! makes to itself has a database of its own. Run it as the service's user, while the service is
//! stopped: a running one holds its ports.

mod reach;
mod self_call;

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::config::{self, Settings};
use crate::prompt::Pack;
use crate::signalling::tls::certificate::{Certificate, Validity};
use crate::sip::Transport;
use crate::sip::trunk::Believe;
use crate::store::{self, Examined};
use crate::types::Language;
use crate::{media, signalling};

#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Do not call itself, which takes a few seconds
    #[arg(long)]
    no_call: bool,
    /// Print one JSON object: whether all is good, and what was found (health, what, text)
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    /// It starts, but some calls will suffer.
    Warn,
    /// It does not start, or no call succeeds.
    Fail,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    health: Health,
    what: &'static str,
    /// What was found, and after a fault what to do.
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.health {
            Health::Ok => "ok",
            Health::Warn => "warn",
            Health::Fail => "fail",
        };
        write!(f, "{word:4}  {:10}  {}", self.what, self.text)
    }
}

fn ok(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { health: Health::Ok, what, text: text.into() }
}

fn warn(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { health: Health::Warn, what, text: text.into() }
}

fn fail(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { health: Health::Fail, what, text: text.into() }
}

/// Exit code 1 if a check fails.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let findings = match config::load(&arguments.config) {
        Err(faults) => faults.iter().map(|fault| fail("config", fault.to_string())).collect(),
        Ok(settings) => {
            let mut findings = vec![ok("config", format!("{} is good", arguments.config.display()))];
            findings.extend(examine(&settings)?);
            if !arguments.no_call {
                findings.push(self_call::self_call(&settings));
            }
            findings
        }
    };
    let failed = findings.iter().any(|finding| finding.health == Health::Fail);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{:#}", json!({"good": !failed, "findings": findings}))?;
    } else {
        for finding in &findings {
            writeln!(out, "{finding}")?;
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn examine(settings: &Settings) -> anyhow::Result<Vec<Finding>> {
    let mut findings = trunks(settings);
    findings.extend(reach::reachable(settings)?);
    findings.extend(settings.signalling.listen.iter().map(sip));
    findings.extend(
        settings.signalling.tls.as_ref().map(|tls| certificate(tls.certificate(), SystemTime::now())),
    );
    findings.extend(addresses(settings));
    findings.push(bindable("http", Transport::Tcp, settings.http.listen));
    findings.extend(rtp(&settings.media, settings.bridge.calls_max));
    findings.push(folder(&settings.data_dir));
    findings.push(database(settings)?);
    findings.push(prompts(settings));
    findings.push(descriptors(settings.bridge.calls_max));
    findings.push(buffers(|name| std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()));
    findings.push(clock(Timestamp::now()));
    Ok(findings)
}

fn trunks(settings: &Settings) -> Vec<Finding> {
    if settings.trunks.is_empty() {
        return vec![warn("trunk", "there is none, so nobody can call: put a file into the trunks folder")];
    }
    let judge = |trunk: &crate::sip::trunk::Trunk| {
        let name = &trunk.name;
        let all = ["0.0.0.0", "255.255.255.254"].map(|text| text.parse::<IpAddr>().expect("an address"));
        let everybody = trunk.allow.iter().any(|block| all.iter().all(|source| block.contains(*source)));
        if let Some(first) = trunk.tls_names.first() {
            let more = trunk.tls_names.len() - 1;
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            return ok("trunk", format!("{name}: over TLS from who proves to be {first}{more}"));
        }
        if trunk.registration.is_some() && trunk.allow.is_empty() {
            return ok("trunk", format!("{name}: calls come from where it is registered"));
        }
        if everybody && trunk.guard.is_some() {
            return ok("trunk", format!("{name} takes calls from any address that prove its password"));
        }
        match (trunk.allow.is_empty(), everybody, trunk.believe) {
            (true, ..) => warn(
                "trunk",
                format!("{name} allows nobody: write the carrier's signalling addresses into allow"),
            ),
            (_, true, Believe::From | Believe::Pai) => fail(
                "trunk",
                format!("{name} believes numbers from any address, so anybody can be anybody: narrow allow"),
            ),
            (_, true, Believe::None) => warn("trunk", format!("{name} takes calls from any address")),
            _ => ok("trunk", format!("{name}: {} sources", trunk.allow.len())),
        }
    };
    settings.trunks.iter().map(judge).collect()
}

fn sip(listen: &signalling::Listen) -> Finding {
    bindable("sip", listen.transport, listen.address)
}

/// Binds it and lets it go.
fn bindable(what: &'static str, transport: Transport, address: SocketAddr) -> Finding {
    let bound = match transport {
        Transport::Udp => UdpSocket::bind(address).map(drop),
        Transport::Tcp | Transport::Tls => TcpListener::bind(address).map(drop),
    };
    let shown = format!("{}:{address}", transport.name());
    match bound {
        Ok(()) => ok(what, format!("{shown} can be bound")),
        Err(error) => {
            let advice = match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    "another program has it, or the service runs: see ss -lunpt, and stop it or take another port"
                }
                std::io::ErrorKind::AddrNotAvailable => "this machine has no such address: see ip address",
                std::io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need CAP_NET_BIND_SERVICE: the systemd unit gives it"
                }
                _ => "take another address or port",
            };
            fail(what, format!("{shown}: {error}; {advice}"))
        }
    }
}

/// A certificate with less than this is renewed now, not later.
const RENEW: Duration = Duration::from_secs(21 * 24 * 3600);

/// Whether peers will believe our certificate, by its dates.
fn certificate(certificate: &Certificate, now: SystemTime) -> Finding {
    let name = certificate.shown();
    let date =
        |time: SystemTime| Timestamp::try_from(time).map_or_else(|_| "?".to_owned(), |at| at.to_string());
    let (from, until) = (date(certificate.not_before), date(certificate.not_after));
    match certificate.validity(now) {
        Validity::NotYet => fail(
            "tls",
            format!(
                "the certificate of {name} holds from {from} on: no peer believes it yet; check the clock, or take the one before"
            ),
        ),
        Validity::Expired => fail(
            "tls",
            format!("the certificate of {name} expired at {until}: no peer believes it; renew it and reload"),
        ),
        Validity::Left(left) => {
            let days = left.as_secs() / (24 * 3600);
            let text = format!("the certificate of {name} holds until {until}, {days} days");
            if left < RENEW { warn("tls", format!("{text}: renew it and reload")) } else { ok("tls", text) }
        }
    }
}

/// What we tell peers to send to.
fn addresses(settings: &Settings) -> Vec<Finding> {
    let external = &settings.signalling.external_address;
    let media = &settings.media;
    let mut findings: Vec<Finding> =
        media.addresses().map(|inside| address(external.of(inside).unwrap_or(inside))).collect();
    let listens_v6 = settings.signalling.listen.iter().any(|listen| listen.address.is_ipv6());
    if listens_v6 && media.addresses().all(|ip| ip.is_ipv4()) {
        findings.push(warn(
            "address",
            "SIP listens on IPv6, but calls with sound over IPv6 get 488: set rtp.address_v6".to_owned(),
        ));
    }
    findings
}

fn address(told: IpAddr) -> Finding {
    let is_private = match told {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    let key = if told.is_ipv4() { "sip.external_address" } else { "sip.external_address_v6" };
    match told {
        ip if ip.is_loopback() => warn("address", format!("{ip}: only this machine can call")),
        ip if is_private => warn(
            "address",
            format!(
                "{ip} is private: carriers on the Internet cannot send sound to it; behind NAT set {key}"
            ),
        ),
        ip => ok("address", format!("peers are told {ip}")),
    }
}

/// Most port pairs that are tried.
const PORTS_TRIED: usize = 1_000;

fn rtp(media: &media::Settings, calls_max: usize) -> Vec<Finding> {
    let mut findings: Vec<Finding> = media.addresses().map(|ip| ports_at(media, ip)).collect();
    let room = media.ports.clone().filter(|port| port % 2 == 0).count();
    // A pair rests for some seconds after a call.
    findings.push(if room < calls_max + calls_max / 10 {
        warn(
            "rtp",
            format!("{room} port pairs for {calls_max} calls: ports rest after a call, leave a tenth more"),
        )
    } else {
        ok("rtp", format!("{room} port pairs for up to {calls_max} calls"))
    });
    findings
}

/// Whether ports for sound can be had at an address of ours.
fn ports_at(media: &media::Settings, ip: IpAddr) -> Finding {
    let pairs: Vec<u16> = media.ports.clone().filter(|port| port % 2 == 0).collect();
    let step = pairs.len().div_ceil(PORTS_TRIED).max(1);
    let bind = |port: u16| UdpSocket::bind(SocketAddr::new(ip, port));
    // One at a time: there may be more of them than we may open files.
    let tried = pairs.iter().step_by(step).map(|port| bind(*port).and_then(|_| bind(port + 1)).is_ok());
    let tried: Vec<bool> = tried.collect();
    let taken = tried.iter().filter(|free| !**free).count();
    let all = tried.len();
    match taken {
        0 => ok("rtp", format!("{} ports tried at {ip}: all free", all * 2)),
        taken if taken == all => {
            let error = bind(pairs.first().copied().unwrap_or_default()).err();
            let why = error.map_or_else(String::new, |error| format!(": {error}"));
            fail("rtp", format!("none of {all} port pairs at {ip} can be bound{why}"))
        }
        taken => {
            warn("rtp", format!("{taken} of {all} port pairs are taken by other programs: see ss -lunp"))
        }
    }
}

/// Whether we may write where the data lies or will lie.
fn folder(data_dir: &Path) -> Finding {
    let there = data_dir.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let Ok(path) = std::ffi::CString::new(there.as_os_str().as_bytes()) else {
        return fail("data", format!("{}: no path", data_dir.display()));
    };
    // SAFETY: reads a string that ends with a zero.
    let writable = unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) } == 0;
    let shown = data_dir.display();
    match (writable, there == data_dir) {
        (true, true) => ok("data", format!("{shown} can be written")),
        (true, false) => ok("data", format!("{shown} will be made at the first start")),
        (false, _) => fail(
            "data",
            format!(
                "{} cannot be written: run this as the service's user, or give it the folder",
                there.display()
            ),
        ),
    }
}

fn database(settings: &Settings) -> anyhow::Result<Finding> {
    let examined = super::serve::runtime()?.block_on(store::examine(&settings.store));
    let key = &settings.store.key_file;
    let mode = std::fs::metadata(key).map(|about| about.permissions().mode() & 0o777).ok();
    Ok(match (examined, mode) {
        (Err(error), _) => fail("database", format!("{error}; restore it from the backup if it is damaged")),
        (Ok(Examined::Damaged(what)), _) => {
            fail("database", format!("damaged: {what}; restore it from the backup"))
        }
        (Ok(Examined::Absent), _) => ok("database", "there is none yet: the first start makes it"),
        (Ok(Examined::Good), None) => fail(
            "database",
            format!("its key {} is missing: restore it, nothing else reads it", key.display()),
        ),
        (Ok(Examined::Good), Some(mode)) if mode & 0o077 != 0 => fail(
            "database",
            format!("others can read its key (mode {mode:04o}): chmod 600 {}", key.display()),
        ),
        (Ok(Examined::Good), Some(_)) => ok("database", "it opens and has no damage"),
    })
}

fn prompts(settings: &Settings) -> Finding {
    let mut languages: Vec<Language> =
        settings.access_numbers.iter().map(|number| number.language.clone()).collect();
    languages.push(Language::english());
    languages.sort_unstable();
    languages.dedup();
    for language in &languages {
        if let Err(error) = Pack::find(settings.prompts.as_deref(), language) {
            return fail("prompts", error.to_string());
        }
    }
    let names: Vec<String> = languages.iter().map(Language::to_string).collect();
    ok("prompts", format!("complete: {}", names.join(", ")))
}

/// Two sockets a call, and some for everything else.
fn descriptors(calls_max: usize) -> Finding {
    let wanted = calls_max as u64 * 2 + 512;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one rlimit. This resource always exists.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    let there = limit.rlim_cur;
    if there >= wanted {
        ok("files", format!("{there} open files are allowed, {calls_max} calls take {wanted}"))
    } else {
        let text = format!(
            "{there} open files are allowed, {calls_max} calls take {wanted}: raise ulimit -n, or LimitNOFILE in \
             the unit, or lower limits.calls_max"
        );
        warn("files", text)
    }
}

/// Smallest buffer that holds a burst of calls, in bytes. SIP's sockets ask for four times as much.
const BUFFER_MIN: u64 = 1 << 20;

/// `read` gives a file of `/proc/sys/net/core`.
fn buffers(read: impl Fn(&str) -> Option<String>) -> Finding {
    let size = |name: &str| read(name).and_then(|text| text.trim().parse::<u64>().ok());
    match (size("rmem_max"), size("wmem_max")) {
        (Some(receive), Some(send)) if receive.min(send) >= BUFFER_MIN => {
            ok("buffers", format!("UDP sockets may have {receive} bytes in, {send} out"))
        }
        (Some(receive), Some(send)) => warn(
            "buffers",
            format!(
                "UDP sockets may have {receive} bytes in, {send} out: bursts get lost; sysctl -w \
                 net.core.rmem_max=4194304 net.core.wmem_max=4194304"
            ),
        ),
        _ => warn("buffers", "their limits cannot be read here (/proc/sys/net/core)"),
    }
}

fn clock(now: Timestamp) -> Finding {
    let built: Timestamp = "2025-01-01T00:00:00Z".parse().expect("a date");
    if now < built {
        return fail(
            "clock",
            format!("it says {now}, which is past: meetings would not open; set the clock"),
        );
    }
    // SAFETY: all zero is a valid timex; with modes 0 it is only read and filled in.
    let state = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut timex)
    };
    if state == libc::TIME_ERROR {
        return warn("clock", "nothing keeps it on time: install chrony, or meetings open early or late");
    }
    ok("clock", format!("it says {now}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_a_failure_with_advice() {
        let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap();
        let finding = bindable("sip", Transport::Udp, address);
        assert_eq!(finding.health, Health::Fail);
        assert!(finding.text.contains("another program has it"), "{finding}");
        drop(holder);
        assert_eq!(bindable("sip", Transport::Udp, address).health, Health::Ok);
    }

    #[test]
    fn small_buffers_and_an_old_clock_are_told() {
        let kernel = |size: &'static str| move |_: &str| Some(size.to_owned());
        assert_eq!(buffers(kernel("4194304\n")).health, Health::Ok);
        assert_eq!(buffers(kernel("212992\n")).health, Health::Warn);
        assert_eq!(buffers(|_| None).health, Health::Warn);
        assert_eq!(clock(Timestamp::UNIX_EPOCH).health, Health::Fail);
    }

    #[test]
    fn a_certificate_is_judged_by_the_days_that_it_has_left() {
        let day = |n: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(n * 24 * 3600);
        let ours = Certificate {
            names: vec!["sip.example.org".parse().unwrap()],
            not_before: day(100),
            not_after: day(190),
        };
        let cases = [
            (99, Health::Fail),
            (100, Health::Ok),
            (169, Health::Ok),
            (170, Health::Warn),
            (191, Health::Fail),
        ];
        for (today, health) in cases {
            let finding = certificate(&ours, day(today));
            assert_eq!(finding.health, health, "day {today}: {finding}");
            assert!(finding.text.contains("sip.example.org"), "{finding}");
        }
    }

    #[test]
    fn too_few_ports_and_files_are_told() {
        let media = media::Settings {
            address: IpAddr::from([127, 0, 0, 1]),
            address_v6: None,
            ports: 10_000..=10_199,
            threads: None,
            busy_max: 100,
            rate_max: media::Rate::Wide,
        };
        let room = |calls| rtp(&media, calls)[1].health;
        assert_eq!((room(90), room(100)), (Health::Ok, Health::Warn));
        assert_eq!(descriptors(1).health, Health::Ok);
        assert_eq!(descriptors(usize::MAX / 4).health, Health::Warn);
    }
}
