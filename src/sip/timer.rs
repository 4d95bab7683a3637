//! The session timer (RFC 4028): without a refresh in time, the call is presumed dead.
//!
//! Every INVITE and UPDATE settles it anew, and one without `Session-Expires` ends it. Who refreshes
//! is said by `refresher`, seen from the request: `uac` is who sent it.

use std::time::{Duration, Instant};

use super::wire::{Headers, Request, Response};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Expiry {
    pub interval: Duration,
    /// When we refresh; `None`: the peer does, or a refresh of ours is out.
    pub refresh: Option<Instant>,
    /// Who refreshes.
    pub we_refresh: bool,
    pub until: Instant,
}

/// What a request says about the session timer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Timer {
    None,
    /// Refuse with 422 and our Min-SE.
    TooSmall,
    Agreed {
        seconds: u32,
        we_refresh: bool,
    },
}

/// RFC 4028 §5: no interval below 90 s.
pub(super) const MIN_SE: u32 = 90;
/// A day: longer than any call, and no overflow.
pub(super) const MAX_SE: u32 = 86_400;

impl Timer {
    /// From a request that may set or refresh it (INVITE, UPDATE), as the one who answers (§9).
    pub fn asked(request: &Request) -> Self {
        let Some((seconds, refresher)) = interval(&request.headers) else { return Self::None };
        let peer_knows = request.supports("timer");
        match (peer_knows, seconds < MIN_SE) {
            (true, true) => Self::TooSmall,
            // A proxy put it there; the peer could neither refresh nor ask again (table 2).
            (false, true) => Self::None,
            (_, false) => {
                let we_refresh = !peer_knows || refresher == Some(Refresher::Uas);
                Self::Agreed { seconds: seconds.min(MAX_SE), we_refresh }
            }
        }
    }

    /// From the 2xx to a request of ours (§7.2). Without the header there is no timer.
    pub fn answered(response: &Response) -> Self {
        match interval(&response.headers) {
            Some((seconds, refresher)) => Self::Agreed {
                seconds: seconds.clamp(MIN_SE, MAX_SE),
                we_refresh: refresher != Some(Refresher::Uas),
            },
            None => Self::None,
        }
    }

    /// Session-Expires of the 2xx that answers it.
    pub fn header(self) -> Option<String> {
        match self {
            Self::Agreed { seconds, we_refresh } => {
                Some(format!("{seconds};refresher={}", if we_refresh { "uas" } else { "uac" }))
            }
            Self::None | Self::TooSmall => None,
        }
    }

    pub fn expiry(self, now: Instant) -> Option<Expiry> {
        match self {
            Self::Agreed { seconds, we_refresh } => Some(Expiry::new(now, seconds, we_refresh)),
            Self::None | Self::TooSmall => None,
        }
    }
}

impl Expiry {
    /// The refresher acts at half time; the other gives up min(32 s, a third) before the end (§10).
    pub fn new(now: Instant, seconds: u32, we_refresh: bool) -> Self {
        let interval = Duration::from_secs(seconds.into());
        Self {
            interval,
            refresh: we_refresh.then(|| now + interval / 2),
            we_refresh,
            until: now + interval - (interval / 3).min(Duration::from_secs(32)),
        }
    }

    /// Session-Expires of a request of ours that keeps it.
    pub fn header(&self) -> String {
        format!("{};refresher={}", self.interval.as_secs(), if self.we_refresh { "uac" } else { "uas" })
    }

    pub fn deadline(&self) -> Instant {
        self.refresh.map_or(self.until, |refresh| refresh.min(self.until))
    }
}

/// The interval that a 422 asks for, if it can be had.
pub(super) fn longer(response: &Response) -> Option<u32> {
    seconds(response.headers.get("Min-SE")?).filter(|seconds| (MIN_SE..=MAX_SE).contains(seconds))
}

/// Min-SE of a request; 0 without.
pub(super) fn interval_min(request: &Request) -> u32 {
    request.headers.get("Min-SE").and_then(seconds).unwrap_or(0).min(MAX_SE)
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Refresher {
    Uac,
    Uas,
}

fn interval(headers: &Headers) -> Option<(u32, Option<Refresher>)> {
    let value = headers.get("Session-Expires")?;
    let refresher = value.split(';').skip(1).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let value = value.trim();
        match name.trim().eq_ignore_ascii_case("refresher") {
            true if value.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            true if value.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            _ => None,
        }
    });
    Some((seconds(value)?, refresher))
}

fn seconds(value: &str) -> Option<u32> {
    value.split(';').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::wire::{Framing, Message, parse};

    #[test]
    fn the_session_timer_is_what_both_sides_can_do() {
        let agreed = |seconds, we_refresh| Timer::Agreed { seconds, we_refresh };
        let cases = [
            ("", Timer::None),
            // From a proxy: the caller cannot refresh, so we do.
            ("Session-Expires: 1800\r\n", agreed(1800, true)),
            ("Session-Expires: 60\r\n", Timer::None),
            ("Supported: timer\r\n", Timer::None),
            ("Supported: timer\r\nSession-Expires: 1800\r\n", agreed(1800, false)),
            ("Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\n", agreed(1800, false)),
            ("Supported: timer\r\nSession-Expires: 1800 ; x ; Refresher = UAS\r\n", agreed(1800, true)),
            ("Supported: timer\r\nSession-Expires: 89\r\n", Timer::TooSmall),
            ("Supported: timer\r\nSession-Expires: soon\r\n", Timer::None),
            ("Require: timer\r\nSession-Expires: 4294967295\r\n", agreed(86_400, false)),
        ];
        for (headers, expected) in cases {
            let text = format!(
                "UPDATE sip:1@us SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
                 To: <sip:1@us>\r\nCall-ID: c\r\nCSeq: 7 UPDATE\r\n{headers}\r\n"
            );
            let Ok(Message::Request(request)) = parse(text.as_bytes(), Framing::Datagram) else {
                panic!("{text}")
            };
            assert_eq!(Timer::asked(&request), expected, "{headers}");
        }
    }

    #[test]
    fn an_expired_session_is_given_up_a_little_before_its_end() {
        let now = Instant::now();
        let after = |expiry: Expiry| (expiry.until - now, expiry.refresh.map(|at| at - now));
        let seconds = Duration::from_secs;
        assert_eq!(after(Expiry::new(now, 1800, false)), (seconds(1768), None));
        assert_eq!(after(Expiry::new(now, 90, true)), (seconds(60), Some(seconds(45))));
        assert_eq!(Expiry::new(now, 90, true).header(), "90;refresher=uac");
        assert_eq!(Expiry::new(now, 90, false).header(), "90;refresher=uas");
    }
}
