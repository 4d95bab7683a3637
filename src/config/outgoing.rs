//! From the section `[mail]` to the settings of the mail room.

use std::fs::File;
use std::path::Path;

use super::fault::Faults;
use super::finish::private_text;
use super::raw::Mail;
use super::read::{choice, within};
use crate::mail::{Security, Settings};

/// `None` without a host, and after a fault.
pub fn mail(raw: &Mail, folder: &Path, faults: &mut Faults) -> Option<Settings> {
    let security = faults.keep("mail.security", choice(&raw.security, SECURITY));
    let port = raw.port.map(|port| faults.keep("mail.port", within(port, 1..=65_535)));
    let Some(host) = raw.host.as_deref() else {
        let others = [
            ("port", raw.port.is_some()),
            ("username", raw.username.is_some()),
            ("password_file", raw.password_file.is_some()),
            ("from", raw.from.is_some()),
            ("ca_file", raw.ca_file.is_some()),
        ];
        if let Some((key, _)) = others.iter().find(|(_, there)| *there) {
            faults.push("mail.host", format!("missing, expected such as \"mail.example.com\" beside {key}"));
        }
        return None;
    };
    let named = (1..=253).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':'));
    if !named {
        let shown: String = host.chars().take(60).collect();
        faults.push("mail.host", format!("{shown:?}, expected a name such as \"mail.example.com\""));
    }
    let loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if security == Some(Security::None) && !loopback {
        let what = format!("\"none\" to {host:?}, expected \"starttls\" or \"tls\" outside this machine");
        faults.push("mail.security", what);
    }
    let from = match raw.from.as_deref() {
        None => {
            faults.push("mail.from", "missing, expected such as \"doorline@example.com\"");
            None
        }
        Some(text) => match text.parse::<lettre::Address>() {
            Ok(address) => Some(address.to_string()),
            Err(_) => {
                let shown: String = text.chars().take(60).collect();
                faults.push("mail.from", format!("{shown:?}, expected such as \"doorline@example.com\""));
                None
            }
        },
    };
    let login = match (&raw.username, &raw.password_file) {
        (None, None) => None,
        (Some(user), Some(file)) => {
            let path = folder.join(file);
            let password = File::open(&path)
                .map_err(|error| format!("{error}, expected a file with the password"))
                .and_then(|open| private_text(open, "the password"));
            match password {
                Ok(text) if text.trim_end_matches(['\r', '\n']).is_empty() => {
                    faults.push("mail.password_file", format!("{}: empty", path.display()));
                }
                Ok(_) => {}
                Err(what) => faults.push("mail.password_file", format!("{}: {what}", path.display())),
            }
            Some((user.clone(), path))
        }
        (Some(_), None) => {
            faults.push("mail.password_file", "missing, expected a file with the password of username");
            None
        }
        (None, Some(_)) => {
            faults.push("mail.username", "missing, expected the name that password_file is for");
            None
        }
    };
    let ca_file = raw.ca_file.as_ref().map(|file| folder.join(file));
    if let Some(path) = ca_file.as_ref().filter(|path| !path.is_file()) {
        faults
            .push("mail.ca_file", format!("{}: no such file, expected certificates in PEM", path.display()));
    }
    let security = security?;
    let port = match port {
        Some(port) => u16::try_from(port?).ok()?,
        None => security.port(),
    };
    Some(Settings { host: host.to_owned(), port, security, login, from: from?, ca_file })
}

const SECURITY: &[(&str, Security)] =
    &[("starttls", Security::StartTls), ("tls", Security::Tls), ("none", Security::None)];
