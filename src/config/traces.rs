//! From the sections `[trace]`, `[hep]` and `[otlp]` to what traces need.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;

use super::fault::Faults;
use super::finish::private_text;
use super::raw::{Hep, Otlp, Trace};
use super::read::within;
use crate::trace::{HepSettings, OtlpSettings, Settings};

pub fn trace(raw: &Trace, hep: &Hep, folder: &Path, faults: &mut Faults) -> Settings {
    let mib = faults.keep("trace.memory_mib", within(raw.memory_mib, 0..=1_024)).unwrap_or(0);
    Settings { bytes_max: mib << 20, hep: self::hep(hep, folder, faults) }
}

pub fn otlp(raw: &Otlp, faults: &mut Faults) -> Option<OtlpSettings> {
    let url = raw.url.as_deref()?;
    // A name and a password may stand before the host, a token behind the path.
    let may_be_secret = url.contains(['@', '?']);
    let shown: String = if may_be_secret {
        "a URL".to_owned()
    } else {
        format!("{:?}", url.chars().take(60).collect::<String>())
    };
    faults.keep("otlp.url", OtlpSettings::parse(url).map_err(|expected| format!("{shown}, {expected}")))
}

fn hep(raw: &Hep, folder: &Path, faults: &mut Faults) -> Option<HepSettings> {
    let Some(server) = raw.server.as_deref() else {
        if raw.password_file.is_some() {
            faults.push("hep.server", "missing, expected such as \"192.0.2.60:9060\" beside password_file");
        }
        return None;
    };
    let shown: String = server.chars().take(60).collect();
    let address: Result<SocketAddr, _> =
        server.parse().map_err(|_| format!("{shown:?}, expected such as \"192.0.2.60:9060\""));
    let password_file = raw.password_file.as_ref().map(|file| folder.join(file));
    if let Some(path) = &password_file {
        let password = File::open(path)
            .map_err(|error| format!("{error}, expected a file with the password"))
            .and_then(|open| private_text(open, "the password"));
        match password {
            Ok(text) if text.trim_end().is_empty() || text.len() > 128 => {
                faults.push("hep.password_file", format!("{}: empty or too long", path.display()));
            }
            Ok(_) => {}
            Err(what) => faults.push("hep.password_file", format!("{}: {what}", path.display())),
        }
    }
    let capture_id = faults.keep("hep.capture_id", within(raw.capture_id, 1..=u32::MAX));
    Some(HepSettings { server: faults.keep("hep.server", address)?, capture_id: capture_id?, password_file })
}
