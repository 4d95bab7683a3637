//! What TLS needs: our certificate and its key, whose client certificates we believe, and whose
//! servers.
//!
//! [`Tls::load`] reads the files once and gives a finished value, or the key of the configuration that
//! is wrong. Connections take the value that is there when they begin, so that a new certificate
//! concerns new connections alone. TLS 1.2 and 1.3; no session is resumed, so that each connection
//! proves again who it is.

pub mod certificate;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring as provider};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};

pub use certificate::Certificate;

/// Largest file of certificates: the authorities of a whole system have a fifth of that.
const BYTES_MAX: u64 = 1 << 20;

/// The files that [`Tls::load`] reads. Each has the name of its configuration key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Files {
    /// Ours first, then those between it and its authority (PEM).
    pub certificate_file: PathBuf,
    pub private_key_file: PathBuf,
    /// Authorities of client certificates; `None`: nobody is asked for one.
    pub client_ca_file: Option<PathBuf>,
    /// Authorities of servers that we connect to; `None`: the system's.
    pub ca_file: Option<PathBuf>,
}

/// What is wrong with one of the files. Never a byte of a key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct Error {
    /// Of the configuration, such as `private_key_file`.
    pub key: &'static str,
    pub what: String,
}

/// Ready for connections both ways. Cheap to clone; equal when everything read is equal.
#[derive(Clone)]
pub struct Tls(Arc<Loaded>);

struct Loaded {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    certificate: Certificate,
    asks_clients: bool,
    /// SHA-256 of all that was read: tells whether another reading differs.
    fingerprint: Vec<u8>,
}

impl Tls {
    /// # Errors
    /// The first file that is missing, unreadable, readable for everybody (the key), or that does not
    /// fit the others. A certificate that is out of date is no error: see [`Tls::certificate`].
    pub fn load(files: &Files) -> Result<Self, Error> {
        let mut hash = digest::Context::new(&digest::SHA256);
        let provider = Arc::new(provider::default_provider());
        let chain = certificates("certificate_file", &files.certificate_file, &mut hash)?;
        let wrong = |what: String| Error {
            key: "certificate_file",
            what: format!("{}: {what}", files.certificate_file.display()),
        };
        let certificate = Certificate::read(&chain[0]).map_err(wrong)?;
        let key = private_key(&files.private_key_file, &mut hash)?;
        let unfit = |error: rustls::Error| Error {
            key: "private_key_file",
            what: format!("{}: {}", files.private_key_file.display(), in_words(&error)),
        };

        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("ring speaks both versions");
        let server = match &files.client_ca_file {
            None => server.with_no_client_auth(),
            Some(file) => {
                let roots = Arc::new(roots("client_ca_file", file, &mut hash)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
                    // A peer may show none; one that it shows must be good.
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| Error {
                        key: "client_ca_file",
                        what: format!("{}: {error}", file.display()),
                    })?;
                server.with_client_cert_verifier(verifier)
            }
        };
        let mut server = server.with_single_cert(chain.clone(), key.clone_key()).map_err(unfit)?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;

        let servers = match &files.ca_file {
            Some(file) => roots("ca_file", file, &mut hash)?,
            None => system_roots(),
        };
        let client = client_builder(provider)
            .with_root_certificates(servers)
            .with_client_auth_cert(chain, key)
            .map_err(unfit)?;
        Ok(Self(Arc::new(Loaded {
            server: Arc::new(server),
            client: Arc::new(without_resumption(client)),
            certificate,
            asks_clients: files.client_ca_file.is_some(),
            fingerprint: hash.finish().as_ref().to_vec(),
        })))
    }

    /// Ours, for those who watch over its dates.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// Whether client certificates are asked for.
    #[must_use]
    pub fn asks_clients(&self) -> bool {
        self.0.asks_clients
    }

    pub(super) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        self.0.server.clone().into()
    }

    pub(super) fn connector(&self) -> tokio_rustls::TlsConnector {
        self.0.client.clone().into()
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.0.fingerprint == other.0.fingerprint
    }
}

impl Eq for Tls {}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("certificate", &self.0.certificate)
            .field("asks_clients", &self.0.asks_clients)
            .finish_non_exhaustive()
    }
}

/// For a client alone (the test phone): servers are checked against the authorities in `ca_file`, or the
/// system's; it shows the certificate in the first file of `own`, whose key is in the second.
///
/// # Errors
/// As [`Tls::load`].
pub fn client(ca_file: Option<&Path>, own: Option<(&Path, &Path)>) -> Result<Arc<ClientConfig>, Error> {
    let mut hash = digest::Context::new(&digest::SHA256);
    let roots = match ca_file {
        Some(file) => roots("ca_file", file, &mut hash)?,
        None => system_roots(),
    };
    let client = client_builder(Arc::new(provider::default_provider())).with_root_certificates(roots);
    let client = match own {
        None => client.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates("certificate_file", certificate, &mut hash)?;
            client.with_client_auth_cert(chain, private_key(key, &mut hash)?).map_err(|error| Error {
                key: "private_key_file",
                what: format!("{}: {}", key.display(), in_words(&error)),
            })?
        }
    };
    Ok(Arc::new(without_resumption(client)))
}

fn client_builder(
    provider: Arc<CryptoProvider>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("ring speaks both versions")
}

fn without_resumption(mut client: ClientConfig) -> ClientConfig {
    client.resumption = rustls::client::Resumption::disabled();
    client
}

/// The machine's own authorities; none where it has none, and then no server is believed.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn roots(key: &'static str, file: &Path, hash: &mut digest::Context) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(key, file, hash)? {
        roots
            .add(certificate)
            .map_err(|error| Error { key, what: format!("{}: {}", file.display(), in_words(&error)) })?;
    }
    Ok(roots)
}

/// At least one.
fn certificates(
    key: &'static str,
    file: &Path,
    hash: &mut digest::Context,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |what: String| Error { key, what: format!("{}: {what}", file.display()) };
    let open = File::open(file).map_err(|error| wrong(format!("{error}, expected certificates in PEM")))?;
    let bytes = contents(open).map_err(wrong)?;
    hash.update(&bytes);
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|error| wrong(format!("{error}, expected certificates in PEM")))?;
    if all.is_empty() {
        return Err(wrong("no certificate in it, expected at least one in PEM".to_owned()));
    }
    Ok(all)
}

/// The key, if nobody else can read it.
fn private_key(file: &Path, hash: &mut digest::Context) -> Result<PrivateKeyDer<'static>, Error> {
    let wrong = |what: String| Error { key: "private_key_file", what: format!("{}: {what}", file.display()) };
    let open = File::open(file).map_err(|error| wrong(format!("{error}, expected a private key in PEM")))?;
    let about = open.metadata().map_err(|error| wrong(error.to_string()))?;
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(wrong(format!("mode {mode:04o} lets everybody read it, expected 0600 or 0640")));
    }
    let bytes = contents(open).map_err(wrong)?;
    hash.update(&bytes);
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| wrong("no private key in it, expected one in PEM that no password protects".to_owned()))
}

fn contents(open: File) -> Result<Vec<u8>, String> {
    if !open.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("not a file".to_owned());
    }
    let mut bytes = Vec::new();
    open.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > BYTES_MAX { Err(format!("larger than {BYTES_MAX} bytes")) } else { Ok(bytes) }
}

/// The library's complaint as an operator says it.
fn in_words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            "not the key of the certificate in certificate_file, expected its pair".to_owned()
        }
        other => other.to_string(),
    }
}
