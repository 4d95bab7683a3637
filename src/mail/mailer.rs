//! The way to the SMTP server: TLS, log in, hand over one letter, understand the answer.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::letter::Letter;
use super::settings::{Security, Settings};
use crate::outbox::{Carrier, Fault};

/// What keeps mail from being sent at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what} {path}: {source}")]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("mail.from {0:?}, expected a mail address such as doorline@example.com")]
    From(String),
    #[error("mail.ca_file {path}: {what}, expected certificates in PEM")]
    Certificates { path: PathBuf, what: String },
    #[error("mail without TLS to {0}, expected that to this machine alone: 127.0.0.1, ::1 or localhost")]
    NotLoopback(String),
    #[error("TLS for mail: {0}")]
    Tls(String),
}

#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// Reads the password and certificates; connects only when there is a letter.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let from: Mailbox = settings.from.parse().map_err(|_| Error::From(settings.from.clone()))?;
        let tls = match settings.security {
            Security::StartTls => Tls::Required(parameters(settings)?),
            Security::Tls => Tls::Wrapper(parameters(settings)?),
            Security::None if is_loopback(&settings.host) => Tls::None,
            Security::None => return Err(Error::NotLoopback(settings.host.clone())),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .timeout(Some(ANSWER_WITHIN))
            .tls(tls);
        if let Some((user, file)) = &settings.login {
            let password = std::fs::read_to_string(file).map_err(|source| Error::File {
                what: "mail password file",
                path: file.clone(),
                source,
            })?;
            let password = password.trim_end_matches(['\r', '\n']).to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self { transport: builder.build(), from })
    }

    /// The address that mail comes from.
    #[must_use]
    pub fn from(&self) -> String {
        self.from.email.to_string()
    }

    /// Hands one letter over. `Ok` only when the server has taken the whole of it.
    pub async fn send(&self, letter: &Letter) -> Result<(), Fault> {
        let message = letter.message(&self.from)?;
        match tokio::time::timeout(LETTER_WITHIN, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(fault(&error)),
            Err(_) => Err(Fault::Transient(format!("no end after {} s", LETTER_WITHIN.as_secs()))),
        }
    }
}

impl Carrier<Letter> for Mailer {
    async fn carry(&self, letter: &Letter) -> Result<(), Fault> {
        self.send(letter).await
    }
}

fn parameters(settings: &Settings) -> Result<TlsParameters, Error> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let fail = |what: String| Error::Certificates { path: path.clone(), what };
        let pem = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
        let certificates = Certificate::from_pem(&pem).map_err(|error| fail(error.to_string()))?;
        builder = builder.add_root_certificate(certificates);
    }
    builder.build_rustls().map_err(|error| Error::Tls(error.to_string()))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A refusal of ourselves (530 to 538: our log-in) is the operator's to mend, and not the letter's fault.
fn fault(error: &smtp::Error) -> Fault {
    let why = one_line(error);
    let about_us = error.status().is_some_and(|code| matches!(u16::from(code), 530..=538));
    if error.is_permanent() && !about_us { Fault::Permanent(why) } else { Fault::Transient(why) }
}

/// The error with its causes; the server's own words are capped and have no control characters.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

/// For one answer of the server. RFC 5321 §4.5.3.2 would wait up to ten minutes; a letter that waits
/// in the outbox is tried again.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// For all of one letter.
const LETTER_WITHIN: Duration = Duration::from_secs(120);
