//! The trunks folder: one SIP peer a file.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::addresses;
use super::fault::{Fault, Faults};
use super::file::Document;
use super::raw::{self, Address, Auth, CallerId, PingTable, Register, TrunkLimits, TrunkMedia};
use super::read::{choice, within};
use super::{remote, secrets};
use crate::sip::Outside;
use crate::sip::bucket::Rate;
use crate::sip::register::Account;
use crate::sip::trunk::{
    Believe, CodecName, DtmfMode, MediaSource, Network, Reliable, SrtpMode, Trunk, Verstats, Voice,
};
use crate::types::{Country, JitterBounds};

/// Most trunk files in the folder.
const TRUNKS_MAX: usize = 1_000;

/// What the configuration file says of our addresses.
pub struct Ours {
    pub listen: Vec<IpAddr>,
    pub external: Outside,
    pub media: Vec<IpAddr>,
}

/// Every `*.toml` of `folder`, by name; faults go to `found`. `named` is where the folder is named.
pub fn load(folder: &Path, ours: Option<&Ours>, named: &mut Faults, found: &mut Vec<Fault>) -> Vec<Trunk> {
    let mut files: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Ok(entries) => entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .take(TRUNKS_MAX + 1)
            .collect(),
        Err(error) => {
            named.push("trunks", format!("{}: {error}, expected a folder of trunk files", folder.display()));
            return Vec::new();
        }
    };
    if files.len() > TRUNKS_MAX {
        named.push("trunks", format!("{}: more than {TRUNKS_MAX} trunk files", folder.display()));
        return Vec::new();
    }
    files.sort_unstable();
    let mut trunks: Vec<(PathBuf, Trunk)> = Vec::new();
    for file in files {
        let mut faults = Faults::of(&file);
        if let Some(trunk) = read(folder, ours, &mut faults) {
            compare(&trunk, &trunks, &mut faults);
            trunks.push((file, trunk));
        }
        found.append(&mut faults.found);
    }
    let mut trunks: Vec<Trunk> = trunks.into_iter().map(|(_, trunk)| trunk).collect();
    trunks.sort_by(|a, b| a.name.cmp(&b.name));
    trunks
}

/// The trunk in `faults.file`; `None` only if it cannot be read at all.
fn read(folder: &Path, ours: Option<&Ours>, faults: &mut Faults) -> Option<Trunk> {
    let mut document = Document::open(raw::TRUNK, faults)?;
    let auth: Auth = document.section("auth", faults);
    let register: Register = document.section("register", faults);
    let ping: PingTable = document.section("ping", faults);
    let told: Address = document.section("address", faults);
    let caller_id: CallerId = document.section("caller_id", faults);
    let media: TrunkMedia = document.section("media", faults);
    let limits: TrunkLimits = document.section("limits", faults);
    let top: raw::Trunk = document.top(faults);
    let allow = networks(&top.allow, faults);
    let guard = secrets::guard(&auth, folder, faults);
    any_source(&allow, top.any_source, guard.is_some(), faults);
    let name = name("name", top.name, faults);
    Some(Trunk {
        guard,
        allow,
        external_address: external(&told, ours, faults),
        registration: remote::account(&register, folder, faults),
        ping: remote::ping(&ping, faults),
        group: top.group.map_or_else(|| name.clone(), |group| self::name("group", group, faults)),
        name,
        verstat: verstats(&caller_id, faults),
        stir: caller_id.stir,
        tls_names: top.tls_names.iter().filter_map(|name| faults.keep("tls_names", name.parse())).collect(),
        believe: faults.keep("caller_id.trust", choice(&caller_id.trust, BELIEVE)).unwrap_or_default(),
        country: caller_id.country.and_then(|text| faults.keep("caller_id.country", Country::try_from(text))),
        codecs: codecs(&media.codecs, faults),
        dtmf: faults.keep("media.dtmf", choice(&media.dtmf, DTMF)).unwrap_or_default(),
        comfort_noise: media.comfort_noise,
        srtp: faults.keep("media.srtp", choice(&media.srtp, SRTP)).unwrap_or_default(),
        srtp_over_plain_signalling: media.srtp_over_plain_signalling,
        media_source: faults
            .keep("media.media_source", choice(&media.media_source, MEDIA_SOURCE))
            .unwrap_or_default(),
        jitter: jitter(&media, faults).unwrap_or_default(),
        reliable: faults
            .keep("reliable_provisional", choice(&top.reliable_provisional, RELIABLE))
            .unwrap_or_default(),
        voice: Voice {
            automatic_gain: media.automatic_gain,
            noise_suppression: media.noise_suppression,
            noise_gate: media.noise_gate,
        },
        calls_max: limits
            .calls_max
            .and_then(|calls| faults.keep("limits.calls_max", within(calls, 1..=100_000))),
        calls_rate: rate(&limits, faults),
    })
}

/// Everybody in the world may knock only where a password is asked, and where somebody wrote that it
/// is meant.
fn any_source(allow: &[Network], any_source: bool, asks_password: bool, faults: &mut Faults) {
    if any_source && !asks_password {
        faults.push("any_source", "true without [auth], expected users and a password_file there");
    }
    if let Some(block) = allow.iter().find(|block| asks_password && !any_source && block.is_everything()) {
        faults
            .push("allow", format!("{block} takes every source, expected any_source = true if it is meant"));
    }
}

/// Of `20-120` and the cap beside it.
fn jitter(media: &TrunkMedia, faults: &mut Faults) -> Option<JitterBounds> {
    let largest = JitterBounds::CAP_MAX.as_millis() as u64;
    let shown: String = media.jitter_target_ms.chars().take(40).collect();
    let target = media.jitter_target_ms.split_once('-').and_then(|(least, most)| {
        let [least, most] = [least, most].map(|text| text.trim().parse::<u64>().ok());
        Some((least?, most?)).filter(|&(least, most)| 20 <= least && least <= most && most <= largest)
    });
    let target = target.ok_or_else(|| {
        format!(
            "{shown:?}, expected the least and the most milliseconds, 20 to {largest}, such as \"20-120\""
        )
    });
    let (least, most) = faults.keep("media.jitter_target_ms", target)?;
    let cap = faults.keep("media.jitter_cap_ms", within(media.jitter_cap_ms, most..=largest))?;
    let [least, most, cap] = [least, most, cap].map(Duration::from_millis);
    Some(JitterBounds { least, most, cap })
}

fn rate(limits: &TrunkLimits, faults: &mut Faults) -> Option<Rate> {
    let mut bounded = |key: &str, value: Option<u32>| {
        value.and_then(|value| faults.keep(&format!("limits.{key}"), within(value, 1..=10_000)))
    };
    let per_second = bounded("calls_per_second", limits.calls_per_second);
    let burst = bounded("calls_burst", limits.calls_burst);
    if limits.calls_burst.is_some() && limits.calls_per_second.is_none() {
        faults.push("limits.calls_per_second", "missing, expected such as 10 beside calls_burst");
    }
    per_second.map(|per_second| Rate::per_second(per_second, burst.unwrap_or(per_second * 2)))
}

/// Our addresses for this trunk, and whether a public one can send to them.
fn external(told: &Address, ours: Option<&Ours>, faults: &mut Faults) -> Outside {
    let text = |address: &Option<String>| address.clone().unwrap_or_default();
    let external = addresses::outside(
        ("address.external", &text(&told.external)),
        ("address.external_v6", &text(&told.external_v6)),
        faults,
    );
    let Some(ours) = ours.filter(|_| told.public && !told.private_address_ok) else { return external };
    let mut shown: Vec<IpAddr> = external.or(&ours.external).all().collect();
    if shown.is_empty() {
        shown.extend(ours.listen.iter().chain(&ours.media));
    }
    if let Some(private) = shown.iter().find(|ip| is_private(**ip)) {
        faults.push(
            "address.external",
            format!(
                "this public trunk would be told {private}, expected a public address here or in \
                 sip.external_address, or private_address_ok = true"
            ),
        );
    }
    external
}

/// Nobody on the Internet can send to it (RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291).
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_unspecified()
                || a == 100 && b & 0xc0 == 64
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    }
}

/// What one trunk must not share with those read before it.
fn compare(trunk: &Trunk, others: &[(PathBuf, Trunk)], faults: &mut Faults) {
    for (file, other) in others {
        let file = file.file_name().unwrap_or_default().to_string_lossy();
        if !trunk.name.is_empty() && trunk.name == other.name {
            faults.push(
                "name",
                format!("{:?} is also the name in {file}, expected one of its own", trunk.name),
            );
        }
        let registrar = |trunk: &Trunk| trunk.registration.as_ref().map(Account::first_hop);
        if let (Some(ours), Some(theirs)) = (registrar(trunk), registrar(other))
            && ours.host() == theirs.host()
            && ours.port() == theirs.port()
        {
            faults.push(
                "register.registrar",
                format!("the same as in {file}, expected one each: calls that come from it could not be told apart"),
            );
        }
        if trunk.overlaps(other) {
            let what =
                format!("a name and an address that {file} has too, expected each peer in one trunk only");
            faults.push("tls_names", what);
            continue;
        }
        // Names tell them apart.
        if !trunk.tls_names.is_empty() && !other.tls_names.is_empty() {
            continue;
        }
        for block in &trunk.allow {
            // One that takes everybody gets what no other trunk names.
            let apart = |theirs: &Network| {
                block.is_everything() && trunk.guard.is_some() && !theirs.is_everything()
                    || theirs.is_everything() && other.guard.is_some() && !block.is_everything()
            };
            if let Some(theirs) = other.allow.iter().find(|theirs| block.overlaps(theirs) && !apart(theirs)) {
                faults.push(
                    "allow",
                    format!("{block} overlaps {theirs} in {file}, expected each address in one trunk only"),
                );
            }
        }
    }
}

/// A name of ours, of a trunk or a group.
fn name(key: &str, name: String, faults: &mut Faults) -> String {
    let good = (1..=40).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    // An empty one has been told as missing, unless it was written so.
    if !good && !faults.found.iter().any(|fault| fault.key == key) {
        let shown: String = name.chars().take(50).collect();
        faults.push(key, format!("{shown:?}, expected 1 to 40 letters, digits, - and _"));
    }
    name
}

fn verstats(caller_id: &CallerId, faults: &mut Faults) -> Verstats {
    const ALONE: &[(&str, Verstats)] = &[("unknown", Verstats::Stated), ("A", Verstats::AUnlessStated)];
    let alone = faults.keep("caller_id.verstat_alone", choice(&caller_id.verstat_alone, ALONE));
    alone.filter(|_| caller_id.verstat).unwrap_or_default()
}

fn networks(texts: &[String], faults: &mut Faults) -> Vec<Network> {
    texts.iter().filter_map(|text| faults.keep("allow", text.parse())).collect()
}

fn codecs(names: &[String], faults: &mut Faults) -> Vec<CodecName> {
    let before = faults.found.len();
    let mut codecs: Vec<CodecName> = Vec::new();
    for name in names {
        match choice(name, CODECS) {
            Ok(codec) if codecs.contains(&codec) => {
                faults.push("media.codecs", format!("{name:?} twice, expected each codec once"));
            }
            Ok(codec) => codecs.push(codec),
            Err(what) => faults.push("media.codecs", what),
        }
    }
    if codecs.is_empty() && faults.found.len() == before {
        faults.push("media.codecs", "none, expected \"opus\", \"g722\", \"pcma\" or \"pcmu\" among them");
    }
    codecs
}

const BELIEVE: &[(&str, Believe)] =
    &[("none", Believe::None), ("from", Believe::From), ("pai", Believe::Pai)];

const RELIABLE: &[(&str, Reliable)] = &[("required", Reliable::Required), ("supported", Reliable::Supported)];

const CODECS: &[(&str, CodecName)] = &[
    ("opus", CodecName::Opus),
    ("g722", CodecName::G722),
    ("pcma", CodecName::Pcma),
    ("pcmu", CodecName::Pcmu),
];

const DTMF: &[(&str, DtmfMode)] = &[
    ("auto", DtmfMode::Auto),
    ("rfc4733", DtmfMode::Rfc4733),
    ("inband", DtmfMode::Inband),
    ("info", DtmfMode::Info),
];

const SRTP: &[(&str, SrtpMode)] =
    &[("off", SrtpMode::Off), ("offer", SrtpMode::Offer), ("require", SrtpMode::Require)];

const MEDIA_SOURCE: &[(&str, MediaSource)] = &[("latch", MediaSource::Latch), ("sdp", MediaSource::Sdp)];
