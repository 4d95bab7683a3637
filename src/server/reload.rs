//! What differs between the configuration that runs and the one that was read again.
//!
//! Trunks, access numbers, prompts, limits, certificates, the roots of signatures and the log level change while
//! calls go on. The rest is named, and stays as it is until a restart.

use crate::bridge;
use crate::config::{AccessNumber, Settings};
use crate::server::clips::Packs;
use crate::signalling::{self, Tls};
use crate::sip::bucket::Rate;
use crate::sip::trunk::Trunk;
use crate::stir::Verifier;

/// What the switchboard looks up for each new call. Swapped as a whole.
#[derive(Clone)]
pub(super) struct Tables {
    /// By name.
    pub trunks: Vec<Trunk>,
    /// None at all: every dialled number is answered.
    pub access_numbers: Vec<AccessNumber>,
    /// How many calls and participants there is room for, of everything that these settings say.
    pub room: bridge::Settings,
    pub calls_rate: Option<Rate>,
    /// `Some`: what callers hear from the next prompt on.
    pub packs: Option<Packs>,
    /// For new connections.
    pub tls: Option<Tls>,
    /// `Some`: signatures are verified by this one from now on, or by none.
    pub verifier: Option<Option<Verifier>>,
}

impl Tables {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            trunks: settings.trunks.clone(),
            access_numbers: settings.access_numbers.clone(),
            room: settings.bridge.clone(),
            calls_rate: settings.signalling.calls_rate,
            packs: None,
            tls: settings.signalling.tls.clone(),
            verifier: None,
        }
    }
}

/// One line per difference.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Difference {
    /// Such as `trunk added lab`.
    pub changes: Vec<String>,
    /// Parts of the file that changed and that only a restart takes over.
    pub needs_restart: Vec<&'static str>,
}

/// Compares what runs with what was read.
pub(super) fn difference(running: &Settings, read: &Settings) -> Difference {
    let mut changes = named("trunk", &running.trunks, &read.trunks, |trunk| trunk.name.clone());
    // By what it is shown as: nobody's whole number goes into a log.
    let shown = |number: &AccessNumber| number.number.masked();
    changes.extend(named("access number", &running.access_numbers, &read.access_numbers, shown));
    if running.log_level != read.log_level {
        changes.push(format!("log.level changed to {:?}", read.log_level));
    }
    if let Some(tls) = new_tls(running, read) {
        changes.push(format!("sip.tls changed: certificate of {}", tls.certificate().shown()));
    }
    if running.stir != read.stir {
        changes.push("stir changed".to_owned());
    }
    if running.bridge.with_room_of(&read.bridge) != running.bridge
        || running.signalling.calls_rate != read.signalling.calls_rate
    {
        changes.push("limits changed".to_owned());
    }
    let listens = |settings: &Settings| signalling::Settings {
        tls: None,
        calls_rate: None,
        ..settings.signalling.clone()
    };
    let meetings = |settings: &Settings| bridge::Settings {
        guessing: running.bridge.guessing.clone(),
        ..settings.bridge.with_room_of(&running.bridge)
    };
    let parts = [
        ("data_dir", running.data_dir != read.data_dir),
        ("[sip]", listens(running) != listens(read)),
        ("[rtp]", running.media != read.media),
        ("[recording]", running.recording != read.recording),
        ("[retention]", running.retention != read.retention),
        ("[[webhook]]", running.webhooks != read.webhooks),
        ("[trace] or [hep]", running.trace != read.trace),
        ("[otlp]", running.otlp != read.otlp),
        ("[http]", running.http != read.http),
        ("[mail]", running.mail != read.mail),
        ("[store]", running.store != read.store),
        ("[guessing]", running.bridge.guessing != read.bridge.guessing),
        ("limits.drain_seconds", running.drain != read.drain),
        ("[meetings]", meetings(running) != meetings(read)),
        ("log.format", running.log_format != read.log_format),
    ];
    let needs_restart = parts.into_iter().filter_map(|(part, differs)| differs.then_some(part)).collect();
    Difference { changes, needs_restart }
}

/// Certificates that were read and differ from those in use. The first and the last of them come and go
/// with an address, which needs a restart.
pub(super) fn new_tls<'a>(running: &Settings, read: &'a Settings) -> Option<&'a Tls> {
    let (old, new) = (running.signalling.tls.as_ref()?, read.signalling.tls.as_ref()?);
    (old != new).then_some(new)
}

pub(super) fn named<T: PartialEq>(
    what: &str,
    before: &[T],
    after: &[T],
    name: impl Fn(&T) -> String,
) -> Vec<String> {
    let find = |list: &[T], wanted: &str| list.iter().position(|one| name(one) == wanted);
    let mut lines = Vec::new();
    for one in after {
        match find(before, &name(one)) {
            None => lines.push(format!("{what} added {}", name(one))),
            Some(at) if before[at] != *one => lines.push(format!("{what} changed {}", name(one))),
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|one| find(after, &name(one)).is_none());
    lines.extend(gone.map(|one| format!("{what} removed {}", name(one))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_went_and_changed_is_named() {
        let before = [("a", 1), ("b", 1), ("c", 1)];
        let after = [("a", 1), ("b", 2), ("d", 1)];
        assert_eq!(
            named("trunk", &before, &after, |one| one.0.to_owned()),
            ["trunk changed b", "trunk added d", "trunk removed c"]
        );
        assert!(named("trunk", &before, &before, |one| one.0.to_owned()).is_empty());
    }
}
