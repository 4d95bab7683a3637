//! From the section `[stir]` to what verifying signatures needs.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::fault::Faults;
use super::raw::Stir;
use crate::sip::passport::Roots;
use crate::stir::Settings;

/// Largest file of certificates. The approved authorities of a continent have 100 kB.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// `None` without authorities, and after a fault.
pub fn stir(raw: &Stir, folder: &Path, faults: &mut Faults) -> Option<Settings> {
    if raw.ports.is_empty() || raw.ports.contains(&0) {
        faults.push("stir.ports", format!("{:?}, expected ports such as [443, 8443]", raw.ports));
    }
    let authorities = match &raw.ca_file {
        None => Some(Vec::new()),
        Some(file) => faults.keep("stir.ca_file", authorities(&folder.join(file))),
    };
    let path = folder.join(raw.roots_file.as_ref()?);
    let roots = pem(&path)
        .and_then(|pem| Roots::from_pem(&pem).map_err(|error| format!("{}: {error}", path.display())));
    Some(Settings {
        roots: faults.keep("stir.roots_file", roots)?,
        ports: raw.ports.clone(),
        authorities: authorities?,
        allow_private: raw.allow_private,
    })
}

/// The certificates in a file of PEM, at least one.
pub(super) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    certificates(&pem(path)?)
}

fn pem(path: &Path) -> Result<Vec<u8>, String> {
    let wrong =
        |what: &dyn std::fmt::Display| format!("{}: {what}, expected certificates in PEM", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| wrong(&error))?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| wrong(&error))?;
    if bytes.len() as u64 > BYTES_MAX { Err(wrong(&"larger than 4 MiB")) } else { Ok(bytes) }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err("no certificates in it, expected PEM with one or more".to_owned()),
    }
}
