//! Carriers that sign calls: an authority, certificates under it, PASSporTs, and the server where the
//! certificates are.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SignatureAlgorithm,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig, ServerConnection, StreamOwned};

/// An authority of its own: a root and an intermediate.
pub struct Authority {
    root: rcgen::Certificate,
    intermediate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let root_key = KeyPair::generate().unwrap();
        let root_params = issuing("Test STI root");
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(root_params, root_key);
        let key = KeyPair::generate().unwrap();
        let params = issuing("Test STI authority");
        let intermediate = params.signed_by(&key, &root_issuer).unwrap();
        Self { root, intermediate, issuer: Issuer::new(params, key) }
    }

    pub fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// A carrier with a certificate for all numbers of service provider 709J.
    pub fn carrier(&self) -> Carrier {
        self.carrier_for(Some(spc("709J")), |_| {})
    }

    /// With another authorization list, or none, and whatever else `change` makes different.
    pub fn carrier_for(&self, list: Option<Vec<u8>>, change: impl FnOnce(&mut CertificateParams)) -> Carrier {
        self.carrier_with_key(list, &rcgen::PKCS_ECDSA_P256_SHA256, change)
    }

    pub fn carrier_with_key(
        &self,
        list: Option<Vec<u8>>,
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Carrier {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "SHAKEN 709J");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.custom_extensions = list
            .map(|list| CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 26], list))
            .into_iter()
            .collect();
        change(&mut params);
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Carrier { pem: format!("{}{}", leaf.pem(), self.intermediate.pem()), leaf: leaf.pem(), key }
    }
}

fn issuing(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A TN authorization list of one service provider (RFC 8226 §9).
pub fn spc(code: &str) -> Vec<u8> {
    list(0xa0, code)
}

/// Of one number, without `+`.
pub fn one_number(digits: &str) -> Vec<u8> {
    list(0xa2, digits)
}

fn list(tag: u8, text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[0x30, length + 4, tag, length + 2, 0x16, length], text.as_bytes()].concat()
}

/// Whoever signs calls.
pub struct Carrier {
    /// The leaf and the intermediate.
    pub pem: String,
    pub leaf: String,
    pub key: KeyPair,
}

impl Carrier {
    /// An Identity header for a call from and to these numbers (digits alone), signed now.
    pub fn identity(&self, url: &str, from: &str, to: &str) -> String {
        let passport = Passport::new(url, from, to, Timestamp::now());
        self.sign(&passport)
    }

    pub fn sign(&self, passport: &Passport) -> String {
        let (signed, info) = (passport.signed(), &passport.info);
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &self.key.serialize_der(),
            &SystemRandom::new(),
        )
        .unwrap();
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        let signature = URL_SAFE_NO_PAD.encode(signature);
        format!("{signed}.{signature};info=<{info}>{}", passport.params)
    }
}

/// What is signed; change what you like before.
#[derive(Clone)]
pub struct Passport {
    pub header: Value,
    pub claims: Value,
    /// In the header of SIP.
    pub info: String,
    pub params: String,
}

impl Passport {
    pub fn new(url: &str, from: &str, to: &str, at: Timestamp) -> Self {
        Self {
            header: json!({"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": url}),
            claims: json!({
                "attest": "A",
                "dest": {"tn": [to]},
                "iat": at.as_second(),
                "orig": {"tn": from},
                "origid": uuid::Uuid::now_v7().to_string(),
            }),
            info: url.to_owned(),
            params: ";alg=ES256;ppt=shaken".to_owned(),
        }
    }

    pub fn signed(&self) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }
}

/// What the repository answers to one path.
#[derive(Clone)]
pub struct Page {
    pub status: &'static str,
    pub headers: &'static str,
    pub body: String,
    pub delay: Duration,
}

impl Page {
    pub fn of(body: &str) -> Self {
        Self { status: "200 OK", headers: "", body: body.to_owned(), delay: Duration::ZERO }
    }
}

/// A carrier's repository: an https server on loopback. It ends with the process.
pub struct Repository {
    address: SocketAddr,
    /// Its authority, in PEM.
    pub authority: String,
    pub authority_der: CertificateDer<'static>,
    pages: Arc<Mutex<HashMap<String, Page>>>,
    requests: Arc<AtomicUsize>,
}

impl Repository {
    pub fn start() -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let ca_params = issuing("Test web authority");
        let ca = ca_params.self_signed(&ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &Issuer::new(ca_params, ca_key)).unwrap();
        let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let this = Self {
            address: listener.local_addr().unwrap(),
            authority: ca.pem(),
            authority_der: ca.der().clone(),
            pages: Arc::default(),
            requests: Arc::default(),
        };
        let (pages, requests, config) = (this.pages.clone(), this.requests.clone(), Arc::new(config));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (pages, requests, config) = (pages.clone(), requests.clone(), config.clone());
                std::thread::spawn(move || {
                    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    let mut head = Vec::new();
                    let mut bytes = [0; 1_024];
                    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                        match stream.read(&mut bytes) {
                            // Whoever does not trust us says so and goes.
                            Ok(0) | Err(_) => return,
                            Ok(count) => head.extend(&bytes[..count]),
                        }
                    }
                    requests.fetch_add(1, Ordering::SeqCst);
                    let head = String::from_utf8_lossy(&head).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let page = pages.lock().unwrap().get(&path).cloned();
                    let page = page.unwrap_or(Page { status: "404 Not Found", ..Page::of("") });
                    std::thread::sleep(page.delay);
                    let Page { status, headers, body, .. } = page;
                    let answer =
                        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len());
                    // Whoever waited may have gone.
                    let _ = stream.write_all(answer.as_bytes());
                    let _ = stream.flush();
                });
            }
        });
        this
    }

    pub fn put(&self, path: &str, page: Page) {
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}
