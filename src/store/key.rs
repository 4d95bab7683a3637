//! The key file, and what is done with it: MACs to match secrets, AEAD to show them to their owner.
//!
//! The key lives outside the database, so that a stolen database or backup tells no PIN, code or
//! telephone number (none of them has enough bits to withstand guessing without it).

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Error;
use crate::types::{Code, HostId, HostPin, MeetingId, PhoneNumber, Pin};

/// An HMAC-SHA-256.
pub(super) type MacBytes = [u8; 32];

/// Two keys derived from the one in the file, one per use.
pub(super) struct Keys {
    mac: [u8; 32],
    seal: XChaCha20Poly1305,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(hidden)")
    }
}

impl Keys {
    /// Reads the key file; `None` when there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let fault = |source| Error::File { what: "key file", path: path.to_owned(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(error)),
        };
        let mode = file.metadata().map_err(fault)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::KeyReadableByOthers(path.to_owned(), mode));
        }
        // A key is 43 characters; whatever is longer is something else.
        let mut text = String::new();
        file.take(256).read_to_string(&mut text).map_err(|_| Error::KeyMalformed(path.to_owned()))?;
        let key: [u8; 32] = URL_SAFE_NO_PAD
            .decode(text.trim_end())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| Error::KeyMalformed(path.to_owned()))?;
        Ok(Some(Self::derive(&key)))
    }

    /// Makes a key file of mode 0600. It appears whole or not at all, and never replaces another.
    pub fn make(path: &Path) -> Result<Self, Error> {
        let fault = |source| Error::File { what: "key file", path: path.to_owned(), source };
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).map_err(fault)?;
        let made = writeln!(file, "{}", URL_SAFE_NO_PAD.encode(key))
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::hard_link(&beside, path));
        let _ = std::fs::remove_file(&beside);
        made.map_err(fault)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault)?;
        }
        Ok(Self::derive(&key))
    }

    pub(super) fn derive(key: &[u8; 32]) -> Self {
        let seal: [u8; 32] = hmac(key, "doorline seal 1", &[]);
        Self {
            mac: hmac(key, "doorline mac 1", &[]),
            seal: <XChaCha20Poly1305 as chacha20poly1305::KeyInit>::new(&Key::from(seal)),
        }
    }

    /// The same for the same key file only.
    pub fn check(&self) -> MacBytes {
        hmac(&self.mac, "key check", &[])
    }

    pub fn pin(&self, digits: &str) -> MacBytes {
        hmac(&self.mac, "pin", &[digits.as_bytes()])
    }

    pub fn host_pin(&self, host: HostId, pin: &HostPin) -> MacBytes {
        hmac(&self.mac, "host pin", &[host.0.as_bytes(), pin.reveal().as_bytes()])
    }

    /// A code's MAC is good for its meeting alone.
    pub fn code(&self, meeting: MeetingId, code: &Code) -> MacBytes {
        hmac(&self.mac, "code", &[meeting.0.as_bytes(), code.reveal().as_bytes()])
    }

    /// To tell which codes a host had before.
    pub fn drawn_code(&self, host: HostId, code: &Code) -> MacBytes {
        hmac(&self.mac, "drawn code", &[host.0.as_bytes(), code.reveal().as_bytes()])
    }

    /// Of a request that is carried out once, or of a text; `what` keeps its parts apart.
    pub fn once(&self, what: &str, parts: &[&[u8]]) -> MacBytes {
        let parts: Vec<&[u8]> = [what.as_bytes()].into_iter().chain(parts.iter().copied()).collect();
        hmac(&self.mac, "once", &parts)
    }

    /// Of a moderator link's words.
    pub fn link(&self, words: &[u8]) -> MacBytes {
        hmac(&self.mac, "moderator link", &[words])
    }

    pub fn number(&self, number: &PhoneNumber) -> MacBytes {
        hmac(&self.mac, "number", &[number.reveal().as_bytes()])
    }

    /// A random nonce of 24 bytes, then the text and its tag. `owner` is authenticated with it: a
    /// row copied to somebody else does not open.
    pub fn seal(&self, what: &'static str, owner: &[u8; 16], text: &str) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; 24];
        getrandom::fill(&mut nonce)?;
        let payload = Payload { msg: text.as_bytes(), aad: &context(what, owner) };
        let sealed = self
            .seal
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a text of a few bytes is below the cipher's limit of 256 GiB");
        Ok([nonce.as_slice(), &sealed].concat())
    }

    pub fn unseal(&self, what: &'static str, owner: &[u8; 16], sealed: &[u8]) -> Result<String, Error> {
        let (nonce, sealed) = sealed.split_first_chunk::<24>().ok_or(Error::Unreadable(what))?;
        let payload = Payload { msg: sealed, aad: &context(what, owner) };
        let text = self.seal.decrypt(&XNonce::from(*nonce), payload).map_err(|_| Error::Unreadable(what))?;
        String::from_utf8(text).map_err(|_| Error::Unreadable(what))
    }

    pub fn seal_number(&self, owner: &[u8; 16], number: &PhoneNumber) -> Result<Vec<u8>, Error> {
        self.seal("number", owner, number.reveal())
    }

    pub fn unseal_number(&self, owner: &[u8; 16], sealed: &[u8]) -> Result<PhoneNumber, Error> {
        let text = self.unseal("number", owner, sealed)?;
        text.parse().map_err(|_| Error::Unreadable("number"))
    }

    pub fn unseal_pin(&self, host: HostId, sealed: &[u8]) -> Result<Pin, Error> {
        Pin::parse(&self.unseal("pin", host.0.as_bytes(), sealed)?).map_err(|_| Error::Unreadable("pin"))
    }

    pub fn unseal_code(&self, meeting: MeetingId, sealed: &[u8]) -> Result<Code, Error> {
        Code::parse(&self.unseal("code", meeting.0.as_bytes(), sealed)?)
            .map_err(|_| Error::Unreadable("code"))
    }
}

fn context(what: &str, owner: &[u8; 16]) -> Vec<u8> {
    [what.as_bytes(), b"/", owner].concat()
}

/// Each part goes in after its length, so that no two lists of parts read alike.
fn hmac(key: &[u8; 32], purpose: &str, parts: &[&[u8]]) -> MacBytes {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in [purpose.as_bytes()].iter().chain(parts) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(Keys::read(&path).unwrap().is_none());
        let made = Keys::make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Keys::read(&path).unwrap().unwrap().check(), made.check());
        assert!(matches!(Keys::make(&path), Err(Error::File { .. })), "a key is never replaced");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");

        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let error = Keys::read(&path).unwrap_err().to_string();
        assert!(error.contains("mode 640, expected 600"), "{error}");

        std::fs::write(&path, "short").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert!(matches!(Keys::read(&path), Err(Error::KeyMalformed(_))));
    }

    #[test]
    fn a_sealed_text_opens_for_its_owner_and_purpose_alone() {
        let keys = Keys::derive(&[7; 32]);
        let sealed = keys.seal("pin", &[1; 16], "471100815").unwrap();
        assert_eq!(keys.unseal("pin", &[1; 16], &sealed).unwrap(), "471100815");
        assert_ne!(sealed, keys.seal("pin", &[1; 16], "471100815").unwrap(), "each nonce is new");
        let mut bent = sealed.clone();
        *bent.last_mut().unwrap() ^= 1;
        let cases = [
            ("another owner", keys.unseal("pin", &[2; 16], &sealed)),
            ("another purpose", keys.unseal("code", &[1; 16], &sealed)),
            ("another key", Keys::derive(&[8; 32]).unseal("pin", &[1; 16], &sealed)),
            ("a changed bit", keys.unseal("pin", &[1; 16], &bent)),
            ("cut off", keys.unseal("pin", &[1; 16], &sealed[..20])),
        ];
        for (name, opened) in cases {
            assert!(matches!(opened, Err(Error::Unreadable(_))), "{name}");
        }
    }

    #[test]
    fn a_mac_is_good_for_one_purpose_and_one_meeting() {
        let keys = Keys::derive(&[7; 32]);
        let code = Code::parse("4271").unwrap();
        let here = keys.code(MeetingId::numbered(1), &code);
        assert_ne!(here, keys.code(MeetingId::numbered(2), &code));
        assert_ne!(here, keys.drawn_code(HostId::numbered(1), &code));
        assert_ne!(keys.pin("4271"), keys.number(&"+4271000".parse().unwrap()));
    }
}
