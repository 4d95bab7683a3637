//! The whole configuration, explained: every key with its documentation and its default.
//!
//! Printed from the doc comments of the raw sections, so that it cannot grow old. It is itself a good
//! configuration.

use super::raw::{
    self, AccessNumber, CallerId, Guessing, Http, Limits, Log, Mail, Meetings, Rtp, Sip, SipTls, Stir, Store,
    Top, TrunkLimits, TrunkMedia,
};
use super::read::{Presence, Section};

/// The configuration file (`sip-config/example.toml`).
#[must_use]
pub fn config() -> String {
    let mut out = String::new();
    section::<Top>("", &mut out);
    section::<Sip>("[sip]", &mut out);
    section::<SipTls>("[sip.tls]", &mut out);
    section::<Rtp>("[rtp]", &mut out);
    section::<Stir>("[stir]", &mut out);
    section::<Http>("[http]", &mut out);
    section::<Store>("[store]", &mut out);
    section::<Mail>("[mail]", &mut out);
    section::<Meetings>("[meetings]", &mut out);
    section::<Guessing>("[guessing]", &mut out);
    section::<raw::Recording>("[recording]", &mut out);
    section::<raw::Retention>("[retention]", &mut out);
    section::<raw::Trace>("[trace]", &mut out);
    section::<raw::Hep>("[hep]", &mut out);
    section::<raw::Otlp>("[otlp]", &mut out);
    section::<Limits>("[limits]", &mut out);
    section::<Log>("[log]", &mut out);
    section::<AccessNumber>("[[access_number]]", &mut out);
    section::<raw::Webhook>("# [[webhook]]", &mut out);
    out
}

/// A trunk file (`sip-config/trunk.toml`).
#[must_use]
pub fn trunk() -> String {
    let mut out = String::new();
    section::<raw::Trunk>("", &mut out);
    section::<raw::Auth>("[auth]", &mut out);
    section::<raw::Register>("[register]", &mut out);
    section::<raw::PingTable>("[ping]", &mut out);
    section::<raw::Address>("[address]", &mut out);
    section::<CallerId>("[caller_id]", &mut out);
    section::<TrunkMedia>("[media]", &mut out);
    section::<TrunkLimits>("[limits]", &mut out);
    out
}

fn section<S: Section>(header: &str, out: &mut String) {
    if !out.is_empty() {
        out.push('\n');
    }
    comment(S::ABOUT, out);
    if !header.is_empty() {
        out.push_str(header);
        out.push('\n');
    }
    for key in S::KEYS {
        out.push('\n');
        comment(key.doc, out);
        // A part that a configuration does well without is shown as a comment as a whole.
        let absent = key.presence == Presence::Absent || header.starts_with('#');
        let hidden = if absent { "# " } else { "" };
        out.push_str(&format!("{hidden}{} = {}\n", key.name, key.value));
    }
}

fn comment(lines: &[&str], out: &mut String) {
    for line in lines {
        out.push_str(&format!("#{line}\n"));
    }
}
