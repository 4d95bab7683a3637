//! Mail: invitations to guests, notices to hosts, and the way they are sent.
//!
//! The pure half makes an [`Invitation`] into subject, text, HTML and iCalendar, in the guest's
//! language. The other half hands letters from an [`outbox`](crate::outbox) to an SMTP server.

mod calendar;
mod html;
mod invitation;
mod letter;
mod mailer;
pub mod notice;
pub mod settings;
mod text;
mod time_zone;
mod words;

pub use invitation::{AccessNumber, Invitation, Method, Rendered};
pub use letter::Letter;
pub use mailer::{Error, Mailer};
pub use notice::Notice;
pub use settings::{Security, Settings};

pub use crate::outbox::{Fault, Outbox, Outcome, run};
