//! Invitations: what guests are sent, and the way it is sent.
//!
//! The pure half makes an [`Invitation`] into subject, text, HTML and iCalendar, in the guest's
//! language. The other half takes letters from an [`Outbox`] and hands them to an SMTP server.

mod calendar;
mod html;
mod invitation;
mod letter;
mod mailer;
mod retry;
mod run;
pub mod settings;
mod text;
mod time_zone;
mod words;

pub use invitation::{AccessNumber, Invitation, Method, Rendered};
pub use letter::Letter;
pub use mailer::{Error, Fault, Mailer};
pub use retry::Outcome;
pub use run::{Outbox, run};
pub use settings::{Security, Settings};
