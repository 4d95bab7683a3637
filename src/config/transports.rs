//! What must fit together around TLS: addresses, certificates, and trunks that are known by name.

use std::path::Path;

use super::fault::Faults;
use super::raw::SipTls;
use crate::signalling::tls::Files;
use crate::signalling::{self, Listen, Tls};
use crate::sip::Transport;
use crate::sip::trunk::Trunk;

/// `None` without a TLS address, and after a fault.
pub fn tls(raw: &SipTls, listen: &[Listen], folder: &Path, faults: &mut Faults) -> Option<Tls> {
    let listens = listen.iter().find(|listen| listen.transport == Transport::Tls);
    let keys = [
        ("certificate_file", &raw.certificate_file),
        ("private_key_file", &raw.private_key_file),
        ("client_ca_file", &raw.client_ca_file),
        ("ca_file", &raw.ca_file),
    ];
    let given = keys.iter().find(|(_, value)| value.is_some());
    match (listens, given) {
        (None, None) => return None,
        (None, Some((key, _))) => {
            let what = format!(
                "no \"tls:\" address in sip.listen, expected such as \"tls:0.0.0.0:5061\" beside {key}"
            );
            faults.push(format!("sip.tls.{key}"), what);
            return None;
        }
        (Some(_), _) => {}
    }
    let path = |value: &Option<String>| value.as_ref().map(|file| folder.join(file));
    let files = (path(&raw.certificate_file), path(&raw.private_key_file));
    let (Some(certificate_file), Some(private_key_file)) = files else {
        for (key, value) in &keys[..2] {
            if value.is_none() {
                let address = listens.map(|listen| listen.address.to_string()).unwrap_or_default();
                let what = format!("missing, expected a file in PEM, because sip.listen has tls:{address}");
                faults.push(format!("sip.tls.{key}"), what);
            }
        }
        return None;
    };
    let files = Files {
        certificate_file,
        private_key_file,
        client_ca_file: path(&raw.client_ca_file),
        ca_file: path(&raw.ca_file),
    };
    Tls::load(&files).map_err(|error| faults.push(format!("sip.tls.{}", error.key), error.what)).ok()
}

/// A trunk that asks for a name needs somebody to prove it to.
pub fn provable(trunks: &[Trunk], signalling: &signalling::Settings, faults: &mut Faults) {
    let Some(trunk) = trunks.iter().find(|trunk| !trunk.tls_names.is_empty()) else { return };
    // A fault of TLS itself has been told already.
    let listens = signalling.listen.iter().any(|listen| listen.transport == Transport::Tls);
    if !listens {
        let what = format!(
            "no \"tls:\" address, expected such as \"tls:0.0.0.0:5061\", because trunk {} has tls_names",
            trunk.name
        );
        faults.push("sip.listen", what);
    } else if signalling.tls.as_ref().is_some_and(|tls| !tls.asks_clients()) {
        let what = format!(
            "missing, expected the authorities of client certificates, because trunk {} has tls_names",
            trunk.name
        );
        faults.push("sip.tls.client_ca_file", what);
    }
}
