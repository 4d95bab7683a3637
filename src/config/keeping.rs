//! From the section `[retention]` to how long each is kept.

use std::time::Duration;

use super::fault::Faults;
use super::raw::Retention;
use super::read::within;
use crate::{bridge, server, store};

const DAY: u64 = 24 * 60 * 60;

/// Verified numbers go when they expire, which the rules of meetings say.
pub fn retention(raw: &Retention, rules: &bridge::Settings, faults: &mut Faults) -> server::Retention {
    let mut kept = |key: &str, days: u64, range| {
        let days = faults.keep(&format!("retention.{key}"), within(days, range)).unwrap_or(0);
        (days > 0).then(|| Duration::from_secs(days * DAY))
    };
    server::Retention {
        rows: store::Retention {
            calls: kept("calls_days", raw.calls_days, 0..=3_650),
            notices: kept("notices_days", raw.notices_days, 1..=90),
            hooks: kept("webhooks_days", raw.webhooks_days, 1..=3_650),
            meetings: kept("meetings_days", raw.meetings_days, 0..=3_650),
            verified_unused: Some(rules.verified_unused),
            verified_in_all: Some(rules.verified_in_all),
        },
        recordings: kept("recordings_days", raw.recordings_days, 0..=3_650),
    }
}
