//! What is on its way to somebody else: taken from where it waits, handed over, tried again later.
//!
//! Mail and webhooks share it. What is sent and how is theirs; when it is tried again, and that it is
//! written down before it is forgotten, is here.

mod retry;
mod run;

pub use retry::{Fault, Outcome};
pub use run::{Carrier, Item, Outbox, run};
