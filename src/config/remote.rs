//! Where a trunk's peer is: its registrar, its proxy, whom to ask whether it is there.

use std::path::Path;
use std::time::Duration;

use super::fault::Faults;
use super::raw::{PingTable, Register};
use super::read::{choice, within};
use super::secrets;
use crate::sip::digest::Login;
use crate::sip::ping::Ping;
use crate::sip::register::Account;
use crate::sip::{Transport, Uri};

/// The account of `[register]`; `None` without a registrar, and after a fault.
pub fn account(raw: &Register, folder: &Path, faults: &mut Faults) -> Option<Account> {
    let transport = match raw.transport.as_deref() {
        None => None,
        Some(text) => faults.keep("register.transport", choice(text, TRANSPORTS)),
    };
    let expires = faults.keep("register.expires_seconds", within(raw.expires_seconds, 60..=86_400));
    let proxy = match raw.outbound_proxy.as_deref() {
        None => None,
        Some(text) => Some(faults.keep("register.outbound_proxy", peer(text))?),
    };
    let Some(registrar) = &raw.registrar else {
        let others = [
            ("transport", raw.transport.is_some()),
            ("user", raw.user.is_some()),
            ("auth_user", raw.auth_user.is_some()),
            ("password_file", raw.password_file.is_some()),
            ("realm", raw.realm.is_some()),
            ("outbound_proxy", raw.outbound_proxy.is_some()),
            ("contact_user", raw.contact_user.is_some()),
        ];
        if let Some((key, _)) = others.iter().find(|(_, there)| *there) {
            let what = format!("missing, expected such as \"sip.carrier.example\" beside {key}");
            faults.push("register.registrar", what);
        }
        return None;
    };
    let registrar = faults.keep("register.registrar", peer(registrar));
    let Some(user) = raw.user.as_deref() else {
        faults.push("register.user", "missing, expected the account's user");
        return None;
    };
    let good =
        |text: &str| (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    for (key, text) in [
        ("user", Some(user)),
        ("auth_user", raw.auth_user.as_deref()),
        ("contact_user", raw.contact_user.as_deref()),
        ("realm", raw.realm.as_deref()),
    ] {
        // A realm may be several words.
        let is_good = |text: &str| good(text) || key == "realm" && !text.is_empty();
        if !text.is_none_or(is_good) {
            faults.push(format!("register.{key}"), "empty or with spaces, expected 1 to 128 characters");
        }
    }
    let password = secrets::password("register.password_file", raw.password_file.as_deref(), folder, faults)?;
    let registrar = registrar?;
    if registrar.user().is_some() {
        faults.push(
            "register.registrar",
            "with a user, expected the carrier's domain; the user has its own key",
        );
        return None;
    }
    let host = registrar.host()?.clone();
    let login = Login {
        user: raw.auth_user.clone().unwrap_or_else(|| user.to_owned()),
        password,
        realm: raw.realm.clone(),
    };
    Some(Account {
        address: Uri::sip(Some(user), host, registrar.port()),
        registrar,
        transport,
        login,
        expires: Duration::from_secs(expires?),
        outbound_proxy: proxy,
        contact_user: raw.contact_user.clone().unwrap_or_else(|| user.to_owned()),
    })
}

/// Whom `[ping]` asks.
pub fn ping(raw: &PingTable, faults: &mut Faults) -> Option<Ping> {
    let interval = faults.keep("ping.interval_seconds", within(raw.interval_seconds, 5..=3_600));
    let target = faults.keep("ping.target", peer(raw.target.as_deref()?))?;
    Some(Ping { target, interval: Duration::from_secs(interval?) })
}

const TRANSPORTS: &[(&str, Transport)] =
    &[("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)];

/// Of `host`, `host:port` or a SIP URI without a user.
fn peer(text: &str) -> Result<Uri, String> {
    let shown: String = text.chars().take(60).collect();
    let whole = if text.starts_with("sip:") || text.starts_with("sips:") {
        text.to_owned()
    } else {
        format!("sip:{text}")
    };
    let uri: Uri = whole.parse().map_err(|error| {
        format!("{shown:?}: {error}, expected such as \"sip.carrier.example\" or \"sip:192.0.2.9:5060\"")
    })?;
    let plain = uri.as_sip().is_some_and(|sip| sip.password.is_none() && sip.headers.is_none());
    if !plain {
        return Err(format!("{shown:?}, expected such as \"sip.carrier.example\" or \"sip:192.0.2.9:5060\""));
    }
    Ok(uri)
}
