//! An authority of the test's own, and certificates from it, in a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use doorline::signalling::Tls;
use doorline::signalling::tls::Files;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Who vouches. Its files lie in a folder that lives as long.
pub struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let key = KeyPair::generate().expect("a key can be made");
        let mut own = CertificateParams::new(Vec::new()).expect("no names are good names");
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = own.self_signed(&key).expect("it vouches for itself");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("a file can be written");
        Self { folder, issuer: Issuer::new(own, key) }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its own certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// Writes `NAME.pem` and `NAME.key` (mode 0600), good from yesterday for 90 days. Names are DNS
    /// names, addresses, or URIs.
    pub fn issue(&self, name: &str, names: &[&str]) {
        self.issue_until(name, names, SystemTime::now() + DAY * 90);
    }

    pub fn issue_until(&self, name: &str, names: &[&str], until: SystemTime) {
        let (uris, others): (Vec<&&str>, Vec<&&str>) =
            names.iter().partition(|name| name.contains(':') && name.parse::<std::net::IpAddr>().is_err());
        let mut params =
            CertificateParams::new(others.iter().map(|name| (**name).to_owned()).collect::<Vec<_>>())
                .expect("the names are good");
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().expect("a URI is ASCII")));
        }
        params.not_before = (until - DAY * 91).into();
        params.not_after = until.into();
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority vouches for it");
        fs::write(self.file(&format!("{name}.pem")), certificate.pem()).expect("a file can be written");
        let file = self.file(&format!("{name}.key"));
        fs::write(&file, key.serialize_pem()).expect("a file can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    }

    /// The files of a service that has the certificate `name`, believes clients of this authority and
    /// servers of it.
    pub fn files(&self, name: &str) -> Files {
        Files {
            certificate_file: self.file(&format!("{name}.pem")),
            private_key_file: self.file(&format!("{name}.key")),
            client_ca_file: Some(self.ca_file()),
            ca_file: Some(self.ca_file()),
        }
    }

    pub fn tls(&self, name: &str) -> Tls {
        Tls::load(&self.files(name)).expect("the files are good")
    }

    /// `[sip.tls]` for those files.
    pub fn section(&self, name: &str) -> String {
        let shown = |path: PathBuf| path.display().to_string();
        format!(
            "\n[sip.tls]\ncertificate_file = \"{}\"\nprivate_key_file = \"{}\"\nclient_ca_file = \"{ca}\"\nca_file = \"{ca}\"\n",
            shown(self.file(&format!("{name}.pem"))),
            shown(self.file(&format!("{name}.key"))),
            ca = shown(self.ca_file()),
        )
    }

    /// A client that believes this authority and shows the certificate `name`, if any.
    pub fn client(&self, name: Option<&str>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.ca_file())).expect("an authority");
        let client = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks them")
            .with_root_certificates(roots);
        Arc::new(match name {
            None => client.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key"))).expect("a key");
                let chain = vec![certificate(&self.file(&format!("{name}.pem")))];
                client.with_client_auth_cert(chain, key).expect("they belong together")
            }
        })
    }
}

fn certificate(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).expect("a certificate")
}
