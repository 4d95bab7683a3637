//! Would a call from this address come in over this trunk? If not, which rule refuses it.

use std::net::IpAddr;

use crate::http::{self, Verdict};
use crate::signalling;
use crate::sip::endpoint::{Admitted, PingState};
use crate::sip::ping::Health;
use crate::sip::register;
use crate::sip::trunk::{Believe, Trunk, Trunks};
use crate::types::Now;

/// What of the service counts beside the trunks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub draining: bool,
    /// Calls of the trunk in question, and of all.
    pub trunk_calls: usize,
    pub calls: usize,
    pub calls_max: usize,
}

/// The rules in the order in which an INVITE meets them. `learned`: sources by registrations. `None`:
/// there is no such trunk.
pub(super) fn judge(
    trunks: &[Trunk],
    learned: &[(String, Vec<IpAddr>)],
    name: &str,
    from: IpAddr,
    load: Load,
) -> Option<Verdict> {
    let trunk = trunks.iter().find(|trunk| trunk.name == name)?;
    let mut all = Trunks::new(trunks.to_vec());
    all.learn(learned);
    // Where the trunk asks for a name, whoever calls from there may have it.
    let by_name = all.of_peer(from, &trunk.tls_names).filter(|owner| !owner.tls_names.is_empty());
    let owner = by_name.or_else(|| all.of(from)).cloned();
    let is_learned = !trunk.allow.iter().any(|block| block.contains(from));
    let password = if trunk.guard.is_some() { "; each call must prove the password too" } else { "" };
    let refused = |rule, why: String, paste: Option<String>| Verdict { accepted: false, rule, why, paste };
    let verdict = match owner {
        None => {
            let allowed: Vec<String> = trunk.allow.iter().map(ToString::to_string).collect();
            let allowed = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
            refused(
                "allow",
                format!("no trunk allows {from}: it gets no answer at all; {name} allows {allowed}"),
                Some(with_source(trunk, from)),
            )
        }
        Some(owner) if owner.name != name => refused(
            "other-trunk",
            format!("{from} is a source of trunk {}: its calls come in there", owner.name),
            None,
        ),
        Some(_) if load.draining => {
            refused("draining", "the service is stopping: new calls get 503".to_owned(), None)
        }
        Some(_) if trunk.calls_max.is_some_and(|most| load.trunk_calls >= most) => refused(
            "limits.calls_max",
            format!("{} calls of {name} are live, and more get 503", load.trunk_calls),
            None,
        ),
        Some(_) if load.calls >= load.calls_max => refused(
            "service",
            format!("{} calls are live, and the service takes {}", load.calls, load.calls_max),
            None,
        ),
        Some(_) if !trunk.tls_names.is_empty() => {
            let names: Vec<String> = trunk.tls_names.iter().map(ToString::to_string).collect();
            Verdict {
                accepted: true,
                rule: "tls_names",
                why: format!(
                    "{from} is a source of {name} over TLS, with a client certificate for {}",
                    names.join(" or ")
                ),
                paste: None,
            }
        }
        Some(_) => Verdict {
            accepted: true,
            rule: if is_learned { "registration" } else { "allow" },
            why: if is_learned {
                format!("{from} is where {name} is registered{password}")
            } else {
                format!("{from} is a source of {name}{password}")
            },
            paste: None,
        },
    };
    Some(verdict)
}

/// The line of the trunk's file that would let `from` in.
fn with_source(trunk: &Trunk, from: IpAddr) -> String {
    let mut allow: Vec<String> = trunk.allow.iter().map(|block| format!("\"{block}\"")).collect();
    allow.push(format!("\"{from}\""));
    format!("allow = [{}]", allow.join(", "))
}

/// How a trunk's calls are told from others.
pub(super) fn recognised_by(trunk: &Trunk) -> Vec<&'static str> {
    [
        ("address", !trunk.allow.is_empty()),
        ("registration", trunk.registration.is_some()),
        ("password", trunk.guard.is_some()),
    ]
    .into_iter()
    .filter_map(|(word, is_so)| is_so.then_some(word))
    .collect()
}

/// For readers whose clock is a calendar.
pub(super) fn registration(state: &register::State, now: Now) -> http::Registration {
    let date = |at: std::time::Instant| now.after(at.saturating_duration_since(now.instant)).date;
    http::Registration {
        state: match (state.registered_until, &state.failure) {
            (Some(_), _) => "registered",
            (None, Some(_)) => "failing",
            (None, None) => "trying",
        },
        registered_until: state.registered_until.map(date),
        address: state.at.map(|at| at.to_string()),
        last_status: state.failure.as_ref().and_then(|failure| failure.status),
        why: state.failure.as_ref().map(|failure| failure.why.clone()),
        next_try_at: state.next_try.map(date),
    }
}

pub(super) fn ping(state: &PingState) -> http::Ping {
    http::Ping {
        state: match state.health {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        },
        address: state.to.map(|flow| flow.peer.to_string()),
        last_status: state.status,
        round_trip_ms: state.round_trip.map(milliseconds),
    }
}

pub(super) fn refused(admitted: &Admitted) -> http::Refused {
    http::Refused {
        too_fast: admitted.too_fast,
        challenged: admitted.challenged,
        unproved: admitted.refused.iter().sum(),
        limited: admitted.limited,
    }
}

pub(super) fn probe(probed: signalling::Probe) -> http::Probe {
    let nothing = http::Probe {
        answered: false,
        address: None,
        transport: None,
        status: None,
        round_trip_ms: None,
        why: None,
    };
    match probed {
        Ok((flow, status, round_trip)) => http::Probe {
            answered: true,
            address: Some(flow.peer.to_string()),
            transport: Some(flow.transport.name()),
            status: Some(status),
            round_trip_ms: Some(milliseconds(round_trip)),
            ..nothing
        },
        Err(why) => http::Probe { why: Some(why), ..nothing },
    }
}

/// To a hundredth.
fn milliseconds(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

/// As the trunk's file has it.
pub(super) const fn believes(trunk: &Trunk) -> &'static str {
    match trunk.believe {
        Believe::None => "none",
        Believe::From => "from",
        Believe::Pai => "pai",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::trunk::{DtmfMode, MediaSource, SrtpMode};

    fn trunk(name: &str, allow: &[&str]) -> Trunk {
        Trunk {
            name: name.to_owned(),
            allow: allow.iter().map(|block| block.parse().unwrap()).collect(),
            tls_names: Vec::new(),
            believe: Believe::None,
            country: None,
            codecs: Vec::new(),
            dtmf: DtmfMode::Auto,
            srtp: SrtpMode::Off,
            srtp_over_plain_signalling: false,
            media_source: MediaSource::Latch,
            jitter: Default::default(),
            voice: Default::default(),
            calls_max: Some(2),
            ..Trunk::default()
        }
    }

    #[test]
    fn the_rule_that_refuses_is_named() {
        let trunks = [trunk("a", &["192.0.2.0/24"]), trunk("b", &["198.51.100.7"])];
        let quiet = Load { draining: false, trunk_calls: 1, calls: 1, calls_max: 10 };
        let cases = [
            ("a source of its own", "192.0.2.9", quiet, true, "allow"),
            ("another trunk's", "198.51.100.7", quiet, false, "other-trunk"),
            ("nobody's", "203.0.113.1", quiet, false, "allow"),
            ("stopping", "192.0.2.9", Load { draining: true, ..quiet }, false, "draining"),
            ("the trunk is full", "192.0.2.9", Load { trunk_calls: 2, ..quiet }, false, "limits.calls_max"),
            ("the service is full", "192.0.2.9", Load { calls: 10, ..quiet }, false, "service"),
        ];
        for (what, from, load, accepted, rule) in cases {
            let verdict = judge(&trunks, &[], "a", from.parse().unwrap(), load).unwrap();
            assert_eq!((verdict.accepted, verdict.rule), (accepted, rule), "{what}: {}", verdict.why);
        }
        let learned = [("a".to_owned(), vec!["203.0.113.1".parse().unwrap()])];
        let registrar = judge(&trunks, &learned, "a", "203.0.113.1".parse().unwrap(), quiet).unwrap();
        assert_eq!((registrar.accepted, registrar.rule), (true, "registration"));
        assert!(judge(&trunks, &[], "c", "192.0.2.9".parse().unwrap(), quiet).is_none());
    }

    #[test]
    fn the_line_to_paste_lets_the_source_in() {
        let nobody = judge(
            &[trunk("a", &["192.0.2.0/24"])],
            &[],
            "a",
            "2001:db8::1".parse().unwrap(),
            Load { draining: false, trunk_calls: 0, calls: 0, calls_max: 1 },
        );
        let paste = nobody.and_then(|verdict| verdict.paste).unwrap();
        assert_eq!(paste, "allow = [\"192.0.2.0/24\", \"2001:db8::1\"]");
    }
}
