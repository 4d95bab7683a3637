//! What the tests that run the real program share.
//!
//! [`Doorline`] starts the binary on loopback with ports and a data folder of its own; [`Api`] speaks
//! to it as an operator would; [`hear`] judges what a phone heard; [`sipp`] runs SIPp's scenarios,
//! [`baresip`] a phone that is not ours.

// Each test binary uses its own part of this.
#![allow(dead_code, unused_imports)]

pub mod api;
pub mod baresip;
pub mod certificates;
pub mod dns;
pub mod doorline;
pub mod events;
pub mod flood;
pub mod hear;
pub mod kamailio;
pub mod ports;
pub mod postgres;
pub mod scene;
pub mod sipp;
pub mod torture;
pub mod untold;

pub use api::{Api, Host, Meeting};
pub use baresip::Baresip;
pub use dns::NameServer;
pub use doorline::{Doorline, Ipv6, Options};
pub use kamailio::Kamailio;

use std::time::{Duration, Instant};

/// The access number that every test service answers.
pub const ACCESS_NUMBER: &str = "+442079460000";

/// Where calls of the lab trunk come from: believed when it names the caller by P-Asserted-Identity.
pub const LAB: [u8; 4] = [127, 0, 0, 1];

/// Addresses of the lab trunk too, 1 to 254: one for each caller that wants one of its own.
pub fn lab(n: u8) -> [u8; 4] {
    [127, 0, 5, n]
}

/// Where calls of a trunk come from that vouches for nobody.
pub const STRANGER: [u8; 4] = [127, 0, 0, 2];

/// An address that no trunk allows.
pub const NOBODY: [u8; 4] = [127, 0, 0, 9];

/// Asks `question` every 50 ms until it says something, at most `limit`.
///
/// # Panics
/// When it stays silent; `what` says what was waited for.
pub fn eventually<T>(what: &str, limit: Duration, mut question: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
