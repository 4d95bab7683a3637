//! Servers on the public Internet that others name: carriers' certificates, operators' webhooks.
//!
//! By https alone, to public addresses alone, without redirects, with a bounded answer.

mod address;
mod https;

pub use https::{Answer, Error, Https, NotReached};
