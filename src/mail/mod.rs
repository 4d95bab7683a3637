//! Invitations: what guests are sent, and the way it is sent.
//!
//! The pure half makes an [`Invitation`] into subject, text, HTML and iCalendar, in the guest's
//! language. The other half hands letters from an [`outbox`](crate::outbox) to an SMTP server.

mod calendar;
mod html;
mod invitation;
mod letter;
mod mailer;
pub mod settings;
mod text;
mod time_zone;
mod words;

pub use invitation::{AccessNumber, Invitation, Method, Rendered};
pub use letter::Letter;
pub use mailer::{Error, Mailer};
pub use settings::{Security, Settings};

pub use crate::outbox::{Fault, Outbox, Outcome, run};
