//! From raw sections to finished settings: bounds, addresses, files, and what must fit together.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::fault::{Fault, Faults};
use super::file::Document;
use super::raw::{
    self, AccessNumber, Guessing, Hep, Http, Limits, Log, Mail, Meetings, Otlp, Recording, Retention, Rtp,
    Sip, SipTls, Stir, Store, Top, Trace, Webhook,
};
use super::read::{choice, within};
use super::{Settings, addresses, keeping, outgoing, signatures, traces, transports, trunks, webhooks};
use crate::bridge::guess;
use crate::prompt::Pack;
use crate::signalling::Listen;
use crate::sip::Transport;
use crate::sip::bucket::Rate;
use crate::telemetry::LogFormat;
use crate::types::{Country, Language, PhoneNumber, Token, Trust};
use crate::{bridge, http, media, signalling, store};

/// Calls at once when neither the file nor its ports say less.
const CALLS_MAX: usize = 2_000;
/// Ports that one call takes: RTP and RTCP.
const PORTS_A_CALL: usize = 2;

pub fn settings(file: &Path, token: Option<Token>) -> Result<Settings, Vec<Fault>> {
    let faults = &mut Faults::of(file);
    let Some(mut document) = Document::open(raw::CONFIG, faults) else {
        return Err(std::mem::take(&mut faults.found));
    };
    let folder = std::path::absolute(file).ok().and_then(|file| Some(file.parent()?.to_owned()));
    let folder = folder.unwrap_or_default();

    document.lift("sip", "tls");
    let sip: Sip = document.section("sip", faults);
    let sip_tls: SipTls = document.section("sip.tls", faults);
    let rtp: Rtp = document.section("rtp", faults);
    let stir: Stir = document.section("stir", faults);
    let http: Http = document.section("http", faults);
    let store: Store = document.section("store", faults);
    let mail: Mail = document.section("mail", faults);
    let meetings: Meetings = document.section("meetings", faults);
    let guessing: Guessing = document.section("guessing", faults);
    let recording: Recording = document.section("recording", faults);
    let retention: Retention = document.section("retention", faults);
    let trace: Trace = document.section("trace", faults);
    let hep: Hep = document.section("hep", faults);
    let otlp: Otlp = document.section("otlp", faults);
    let limits: Limits = document.section("limits", faults);
    let log: Log = document.section("log", faults);
    let numbers: Vec<(String, AccessNumber)> = document.sections("access_number", faults);
    let hooks: Vec<(String, Webhook)> = document.sections("webhook", faults);
    let top: Top = document.top(faults);

    let data_dir = data_dir(&top.data_dir, &folder, faults);
    let prompts = prompts(top.prompts.as_deref(), &folder, faults);
    let calls_rate = calls_rate(&limits, faults);
    let signalling = signalling(&sip, &sip_tls, &folder, faults)
        .map(|signalling| signalling::Settings { calls_rate, ..signalling });
    let media = media(&rtp, faults);
    if let (Some(signalling), Some(media)) = (&signalling, &media) {
        addresses::reachable(signalling, media, faults);
    }
    let stir = signatures::stir(&stir, &folder, faults);
    let http = self::http(&http, &folder, token, faults);
    if let (Some(signalling), Some(http)) = (&signalling, &http)
        && signalling.listen.iter().any(|l| l.transport.is_reliable() && clash(l.address, http.listen))
    {
        faults.push("http.listen", format!("{} is taken by sip.listen, expected another port", http.listen));
    }
    let store = self::store(&store, &folder, &data_dir, faults);
    let mail = outgoing::mail(&mail, &folder, faults);
    let recording = self::recording(&recording, &data_dir, faults);
    let mut bridge = bridge(&meetings, &limits, media.as_ref(), bridge::Settings::default(), faults);
    bridge.guessing = self::guessing(&guessing, faults);
    let drain = faults.keep("limits.drain_seconds", within(limits.drain_seconds, 10..=86_400));
    let drain = Duration::from_secs(drain.unwrap_or_default() as u64);
    let retention = keeping::retention(&retention, &bridge, faults);
    let webhooks = webhooks::webhooks(&hooks, &folder, faults);
    let trace = traces::trace(&trace, &hep, &folder, faults);
    let otlp = traces::otlp(&otlp, faults);
    let access_numbers = access_numbers(&numbers, prompts.as_deref(), faults);
    let log_format = faults.keep("log.format", choice(&log.format, LOG_FORMATS)).unwrap_or_default();
    if let Err(error) = EnvFilter::try_new(&log.level) {
        faults.push("log.level", format!("{:?}: {error}, such as \"info\"", log.level));
    }
    let mut in_trunks = Vec::new();
    let ours = signalling.as_ref().zip(media.as_ref()).map(|(signalling, media)| trunks::Ours {
        listen: signalling.listen.iter().map(|listen| listen.address.ip()).collect(),
        external: signalling.external_address,
        media: media.addresses().collect(),
    });
    let trunks = trunks::load(&folder.join(&top.trunks), ours.as_ref(), faults, &mut in_trunks);

    if let Some(signalling) = &signalling {
        transports::provable(&trunks, signalling, faults);
    }
    if let Some(trunk) = trunks.iter().find(|trunk| trunk.stir && stir.is_none()) {
        let name = &trunk.name;
        faults.push(
            "stir.roots_file",
            format!("missing, expected one, because trunk {name} has caller_id.stir"),
        );
    }

    let mut all = std::mem::take(&mut faults.found);
    all.append(&mut in_trunks);
    match (signalling, media, http, store) {
        (Some(signalling), Some(media), Some(http), Some(store)) if all.is_empty() => Ok(Settings {
            data_dir,
            prompts,
            signalling,
            media,
            stir,
            recording,
            retention,
            trace,
            otlp,
            webhooks,
            http,
            store,
            mail,
            bridge,
            drain,
            trunks,
            access_numbers,
            log_format,
            log_level: log.level,
        }),
        _ => Err(all),
    }
}

const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

fn data_dir(text: &str, folder: &Path, faults: &mut Faults) -> PathBuf {
    let path = folder.join(text);
    if text.is_empty() {
        faults.push("data_dir", "empty, expected a folder such as \"/var/lib/doorline\"");
    } else if path.exists() && !path.is_dir() {
        faults.push("data_dir", format!("{} is a file, expected a folder", path.display()));
    }
    path
}

fn prompts(text: Option<&str>, folder: &Path, faults: &mut Faults) -> Option<PathBuf> {
    let path = folder.join(text?);
    if !path.is_dir() {
        let what = format!("{}: no such folder, expected one folder per language in it", path.display());
        faults.push("prompts", what);
    }
    Some(path)
}

fn signalling(
    sip: &Sip,
    sip_tls: &SipTls,
    folder: &Path,
    faults: &mut Faults,
) -> Option<signalling::Settings> {
    if sip.listen.is_empty() {
        faults.push("sip.listen", "empty, expected at least one such as \"udp:127.0.0.1:5060\"");
    }
    let mut listen: Vec<Listen> = Vec::new();
    for text in &sip.listen {
        let Some(one) = faults.keep("sip.listen", listener(text)) else { continue };
        let taken = |other: &Listen| {
            let one_kind = other.transport.is_reliable() == one.transport.is_reliable();
            one_kind && clash(other.address, one.address)
        };
        if listen.iter().any(taken) {
            let what = if listen.iter().any(|other| taken(other) && other.transport != one.transport) {
                format!(
                    "{text:?} has the port of another transport, expected one of its own for TCP and for TLS"
                )
            } else {
                format!("{text:?} twice, expected each address and port once")
            };
            faults.push("sip.listen", what);
        }
        listen.push(one);
    }
    let external_address = addresses::outside(
        ("sip.external_address", &sip.external_address),
        ("sip.external_address_v6", &sip.external_address_v6),
        faults,
    );
    let servers = sip.name_servers.iter();
    let name_servers =
        servers.filter_map(|text| faults.keep("sip.name_servers", name_server(text))).collect();
    let tls = transports::tls(sip_tls, &listen, folder, faults);
    Some(signalling::Settings { listen, external_address, calls_rate: None, tls, name_servers })
        .filter(|settings| !settings.listen.is_empty())
}

/// How many new calls a second the service takes.
fn calls_rate(limits: &Limits, faults: &mut Faults) -> Option<Rate> {
    let per_second = within(limits.calls_per_second, 1..=10_000);
    let per_second = faults.keep("limits.calls_per_second", per_second)?;
    let burst = within(limits.calls_burst.unwrap_or(per_second), 1..=100_000);
    let burst = faults.keep("limits.calls_burst", burst)?;
    Some(Rate::per_second(u32::try_from(per_second).ok()?, u32::try_from(burst).ok()?))
}

/// Of `192.0.2.53` or `192.0.2.53:53`.
fn name_server(text: &str) -> Result<SocketAddr, String> {
    let shown: String = text.chars().take(60).collect();
    let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)).or_else(|_| text.parse());
    address.map_err(|_| format!("{shown:?}, expected an address such as \"192.0.2.53\" or \"192.0.2.53:53\""))
}

/// Of `udp:127.0.0.1:5060`.
fn listener(text: &str) -> Result<Listen, String> {
    let shown: String = text.chars().take(60).collect();
    let wrong = || format!("{shown:?}, expected such as \"udp:127.0.0.1:5060\" or \"tcp:[::1]:5060\"");
    let (transport, address) = text.split_once(':').ok_or_else(wrong)?;
    let transport = match transport {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        "tls" => Transport::Tls,
        _ => return Err(wrong()),
    };
    let address = address.parse().map_err(|_| wrong())?;
    Ok(Listen { transport, address })
}

/// Whether both cannot be bound at once.
pub(super) fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let same_address = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_family && same_address
}

fn media(rtp: &Rtp, faults: &mut Faults) -> Option<media::Settings> {
    let shown: String = rtp.address.chars().take(60).collect();
    let address =
        rtp.address.parse().map_err(|_| format!("{shown:?}, expected an IP address such as \"192.0.2.10\""));
    let address: Option<IpAddr> = faults.keep("rtp.address", address);
    let address_v6 =
        rtp.address_v6.as_ref().and_then(|text| faults.keep("rtp.address_v6", addresses::v6(text)));
    if let (Some(IpAddr::V6(first)), Some(second)) = (address, address_v6) {
        let what = format!("{second} beside {first} in rtp.address, expected an IPv4 address there");
        faults.push("rtp.address_v6", what);
    }
    let ports = faults.keep("rtp.ports", ports(&rtp.ports));
    let threads = rtp.threads.and_then(|threads| faults.keep("rtp.threads", within(threads, 1..=256)));
    let busy_max = faults.keep("rtp.busy_max", within(rtp.busy_max, 10..=100));
    let busy_max = busy_max.and_then(|percent| u8::try_from(percent).ok());
    let rate_max = media::Rate::ALL.into_iter().find(|rate| rate.hz() == rtp.rate_max);
    let rate_max = rate_max.ok_or_else(|| format!("{}, expected 8000, 16000 or 48000", rtp.rate_max));
    let rate_max = faults.keep("rtp.rate_max", rate_max);
    Some(media::Settings {
        address: address?,
        address_v6,
        ports: ports?,
        threads,
        busy_max: busy_max?,
        rate_max: rate_max?,
    })
}

/// Of `20000-39999`.
fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let shown: String = text.chars().take(40).collect();
    let parsed = text.split_once('-').and_then(|(first, last)| {
        Some((first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?))
    });
    match parsed {
        None => Err(format!("{shown:?}, expected first and last port such as \"20000-39999\"")),
        Some((first, last)) if first > last => Err(format!("{shown:?}, expected the smaller port first")),
        Some((first, _)) if first < 1024 => Err(format!("{shown:?}, expected ports from 1024 on")),
        Some((first, last)) if first % 2 == 1 || last % 2 == 0 => {
            Err(format!("{shown:?}, expected an even first and an odd last port, pairs of RTP and RTCP"))
        }
        Some((first, last)) => Ok(first..=last),
    }
}

fn http(raw: &Http, folder: &Path, given: Option<Token>, faults: &mut Faults) -> Option<http::Settings> {
    let shown: String = raw.listen.chars().take(60).collect();
    let listen: Result<SocketAddr, _> = raw
        .listen
        .parse()
        .map_err(|_| format!("{shown:?}, expected address and port such as \"127.0.0.1:8080\""));
    let listen = faults.keep("http.listen", listen);
    let token = match given {
        Some(token) => good_token(token).map_err(|what| format!("{}: {what}", super::TOKEN_VARIABLE)),
        None => {
            let file = folder.join(&raw.operator_token_file);
            token_in(&file).map_err(|what| format!("{}: {what}", file.display()))
        }
    };
    let operator_token = faults.keep("http.operator_token_file", token);
    Some(http::Settings { listen: listen?, operator_token: operator_token? })
}

/// Fewest characters of a token: 128 bits in hexadecimal.
const TOKEN_CHARACTERS_MIN: usize = 32;
const TOKEN_CHARACTERS_MAX: usize = 512;

fn good_token(token: Token) -> Result<Token, String> {
    let text = token.reveal();
    let length = text.chars().count();
    if !(TOKEN_CHARACTERS_MIN..=TOKEN_CHARACTERS_MAX).contains(&length) {
        Err(format!(
            "token of {length} characters, expected {TOKEN_CHARACTERS_MIN} to {TOKEN_CHARACTERS_MAX}"
        ))
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err("token with characters that no header can carry, expected letters, digits and signs".to_owned())
    } else {
        Ok(token)
    }
}

/// The token in `file`, if nobody else can read it.
fn token_in(file: &Path) -> Result<Token, String> {
    let open = File::open(file).map_err(|error| {
        format!("{error}, expected a file with the operator's token, or {} set", super::TOKEN_VARIABLE)
    })?;
    good_token(Token::new(private_text(open, "the operator's token")?.trim()))
}

/// Most that is read of a file with secrets.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The text of a file with a secret that not everybody can read.
pub(super) fn private_text(open: File, what: &str) -> Result<String, String> {
    let about = open.metadata().map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err(format!("not a file, expected one with {what}"));
    }
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(format!("mode {mode:04o} lets everybody read it, expected 0600 or 0640"));
    }
    let mut text = String::new();
    open.take(SECRET_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|_| format!("not text, expected one line with {what}"))?;
    Ok(text)
}

fn store(raw: &Store, folder: &Path, data_dir: &Path, faults: &mut Faults) -> Option<store::Settings> {
    // Never the URL itself: one with a password may stand here.
    let (scheme, rest) = raw.url.split_once(':').unwrap_or((raw.url.as_str(), ""));
    let url = match scheme {
        "sqlite" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() || path.starts_with(':') || path.contains('?') {
                Err("not a file's name after \"sqlite:\", expected such as \"sqlite:doorline.db\"")
            } else {
                Ok(format!("sqlite:{}", data_dir.join(path).display()))
            }
        }
        "postgres" | "postgresql" => {
            let user = rest.strip_prefix("//").and_then(|rest| rest.split_once('@')).map(|(user, _)| user);
            match user {
                Some(user) if user.contains(':') => {
                    Err("a password in it, expected it in the file that store.password_file names")
                }
                Some(_) if !is_near(rest) && !rest.contains("sslmode=") => Err(
                    "a server on another machine, expected \"?sslmode=verify-full\" (or another sslmode) after it",
                ),
                Some(_) => Ok(raw.url.clone()),
                None => Err("no user in it, expected \"postgres://USER@HOST/DATABASE\""),
            }
        }
        _ => Err("unknown kind of database, expected \"sqlite:FILE\" or \"postgres://USER@HOST/DATABASE\""),
    };
    let password_file = raw.password_file.as_ref().map(|file| folder.join(file));
    if let Some(path) = &password_file {
        let password = File::open(path)
            .map_err(|error| format!("{error}, expected a file with the password"))
            .and_then(|open| private_text(open, "the password"));
        if let Err(what) = password {
            faults.push("store.password_file", format!("{}: {what}", path.display()));
        }
    }
    if raw.key_file.is_empty() {
        faults.push("store.key_file", "empty, expected a file such as \"doorline.key\"");
    }
    Some(store::Settings {
        url: faults.keep("store.url", url)?,
        password_file,
        key_file: data_dir.join(&raw.key_file),
    })
}

/// Whether the server of `//USER@HOST…` is on this machine: a socket's folder, or loopback.
fn is_near(rest: &str) -> bool {
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    let host = host.split(['/', '?']).next().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(host) => host.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.is_empty()
        || name.starts_with("%2F")
        || name.starts_with("%2f")
        || name == "localhost"
        || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn recording(raw: &Recording, data_dir: &Path, faults: &mut Faults) -> media::recording::Settings {
    let folder = data_dir.join(&raw.folder);
    if raw.folder.is_empty() {
        faults.push("recording.folder", "empty, expected a folder such as \"recordings\"");
    } else if folder.exists() && !folder.is_dir() {
        faults.push("recording.folder", format!("{} is a file, expected a folder", folder.display()));
    }
    let minutes = faults.keep("recording.max_minutes", within(raw.max_minutes, 1..=1440)).unwrap_or(1);
    media::recording::Settings {
        folder,
        per_caller: raw.per_caller,
        longest: Duration::from_secs(60 * minutes),
    }
}

fn bridge(
    meetings: &Meetings,
    limits: &Limits,
    media: Option<&media::Settings>,
    mut settings: bridge::Settings,
    faults: &mut Faults,
) -> bridge::Settings {
    let minutes = |n: u64| Duration::from_secs(n * 60);
    let days = |n: u64| Duration::from_secs(n * 24 * 60 * 60);

    settings.standard_needs_moderator = meetings.standard_needs_moderator;
    let reassure = within(meetings.reassure_seconds, 10..=600);
    if let Some(seconds) = faults.keep("meetings.reassure_seconds", reassure) {
        settings.reassurance = Duration::from_secs(seconds);
    }
    if let Some(length) = faults.keep("meetings.pin_length", within(meetings.pin_length, 4..=12)) {
        settings.pin_length = length;
    }
    for (key, value, range, setting) in [
        ("early_join_minutes", meetings.early_join_minutes, 0..=1440, &mut settings.early_join),
        ("overrun_minutes", meetings.overrun_minutes, 0..=1440, &mut settings.overrun),
        ("waiting_minutes", meetings.waiting_minutes, 1..=480, &mut settings.waiting),
        ("lobby_minutes", meetings.lobby_minutes, 1..=60, &mut settings.lobby),
        ("moderator_grace_minutes", meetings.moderator_grace_minutes, 1..=120, &mut settings.moderator_grace),
    ] {
        if let Some(value) = faults.keep(&format!("meetings.{key}"), within(value, range)) {
            *setting = minutes(value);
        }
    }
    for (key, value, setting) in [
        ("verified_unused_days", meetings.verified_unused_days, &mut settings.verified_unused),
        ("verified_in_all_days", meetings.verified_in_all_days, &mut settings.verified_in_all),
    ] {
        if let Some(value) = faults.keep(&format!("meetings.{key}"), within(value, 1..=3650)) {
            *setting = days(value);
        }
    }
    if settings.verified_unused > settings.verified_in_all {
        faults.push(
            "meetings.verified_in_all_days",
            format!(
                "{}, expected at least verified_unused_days, which is {}",
                meetings.verified_in_all_days, meetings.verified_unused_days
            ),
        );
    }
    for (key, text, setting) in [
        ("grant_min", &meetings.grant_min, &mut settings.grant_min),
        ("use_min", &meetings.use_min, &mut settings.use_min),
    ] {
        if let Some(trust) = faults.keep(&format!("meetings.{key}"), choice(text, TRUSTS)) {
            *setting = trust;
        }
    }

    let participants = within(limits.participants_max, 2..=10_000);
    if let Some(participants) = faults.keep("limits.participants_max", participants) {
        settings.participants_max = participants;
    }
    let room = media.map_or(usize::MAX, |media| media.ports.len() / PORTS_A_CALL);
    settings.calls_max = CALLS_MAX.min(room);
    if let Some(calls) = limits.calls_max
        && let Some(calls) = faults.keep("limits.calls_max", within(calls, 1..=100_000))
    {
        settings.calls_max = calls;
        if calls > room {
            faults.push(
                "limits.calls_max",
                format!("{calls}, expected at most {room}, for which rtp.ports has room"),
            );
        }
    }
    settings.calls_entering_max = (settings.calls_max / 5).max(1);
    if let Some(entering) = limits.calls_entering_max
        && let Some(entering) =
            faults.keep("limits.calls_entering_max", within(entering, 1..=settings.calls_max))
    {
        settings.calls_entering_max = entering;
    }
    settings
}

fn guessing(raw: &Guessing, faults: &mut Faults) -> guess::Limits {
    let mut limits = guess::Limits::default();
    if let Some(rounds) = faults.keep("guessing.rounds", within(raw.rounds, 1..=10)) {
        limits.rounds = u8::try_from(rounds).unwrap_or(u8::MAX);
    }
    for (key, value, most, setting) in [
        ("code_tries", raw.code_tries, 100, &mut limits.code_tries),
        ("host_tries", raw.host_tries, 100, &mut limits.host_tries),
        ("number_tries", raw.number_tries, 1_000, &mut limits.number_tries),
    ] {
        if let Some(value) = faults.keep(&format!("guessing.{key}"), within(value, 1..=most)) {
            *setting = value;
        }
    }
    if let Some(tries) = faults.keep("guessing.trunk_tries", within(raw.trunk_tries, 1..=100_000)) {
        limits.trunk_tries = u32::try_from(tries).unwrap_or(u32::MAX);
    }
    for (key, value, range, unit, setting) in [
        ("host_days", raw.host_days, 1..=3_650, 24 * 60 * 60, &mut limits.host_period),
        ("number_hours", raw.number_hours, 1..=720, 60 * 60, &mut limits.number_period),
        ("trunk_hours", raw.trunk_hours, 1..=720, 60 * 60, &mut limits.trunk_period),
        ("delay_step_seconds", raw.delay_step_seconds, 0..=60, 1, &mut limits.delay_step),
        ("delay_max_seconds", raw.delay_max_seconds, 0..=60, 1, &mut limits.delay_max),
    ] {
        if let Some(value) = faults.keep(&format!("guessing.{key}"), within(value, range)) {
            *setting = Duration::from_secs(value * unit);
        }
    }
    limits
}

/// Without `none`: a withheld number is never remembered.
const TRUSTS: &[(&str, Trust)] =
    &[("claimed", Trust::Claimed), ("network", Trust::Network), ("signed", Trust::Signed)];

fn access_numbers(
    raw: &[(String, AccessNumber)],
    prompts: Option<&Path>,
    faults: &mut Faults,
) -> Vec<super::AccessNumber> {
    let mut numbers: Vec<super::AccessNumber> = Vec::new();
    for (path, raw) in raw {
        let at = |key: &str| format!("{path}.{key}");
        let country =
            raw.country.clone().and_then(|country| faults.keep(&at("country"), Country::try_from(country)));
        let language: Option<Language> = faults.keep(&at("language"), raw.language.parse());
        if let Some(language) = &language {
            faults.keep(&at("language"), Pack::find(prompts, language));
        }
        let mut others: Vec<Language> = Vec::new();
        for other in &raw.other_languages {
            let Some(other) = faults.keep(&at("other_languages"), other.parse::<Language>()) else {
                continue;
            };
            faults.keep(&at("other_languages"), Pack::find(prompts, &other));
            if language.as_ref() == Some(&other) || others.contains(&other) {
                faults.push(at("other_languages"), format!("{other} twice, expected each language once"));
            }
            others.push(other);
        }
        // A missing number has its fault already.
        if raw.number.is_empty() {
            continue;
        }
        let number = faults.keep(&at("number"), PhoneNumber::parse(&raw.number, country));
        let (Some(number), Some(language)) = (number, language) else { continue };
        if numbers.iter().any(|other| other.number == number) {
            faults.push(at("number"), format!("{number} twice, expected each access number once"));
        }
        numbers.push(super::AccessNumber { number, language, other_languages: others, country });
    }
    numbers
}
