//! A meeting as an invitation: the facts from the store, for the room that words them.

use serde::Serialize;
use utoipa::ToSchema;

use super::AccessNumber;
use crate::bridge::view::MeetingState;
use crate::mail::{self, Method};
use crate::store::{Host, Meeting};
use crate::types::Language;

/// What goes to guests.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Invitation {
    pub subject: String,
    pub text: String,
    pub html: String,
    /// iCalendar (RFC 5545). Null for the standing meeting, which has no time.
    pub ics: Option<String>,
}

impl From<mail::Rendered> for Invitation {
    fn from(rendered: mail::Rendered) -> Self {
        Self { subject: rendered.subject, text: rendered.text, html: rendered.html, ics: rendered.ics }
    }
}

/// The invitation to all guests: a cancellation if the meeting is cancelled.
#[must_use]
pub fn of(host: &Host, meeting: &Meeting, numbers: &[AccessNumber]) -> mail::Invitation {
    mail::Invitation {
        method: match meeting.state {
            MeetingState::Cancelled => Method::Cancel,
            MeetingState::Scheduled | MeetingState::Open | MeetingState::Closed => Method::Request,
        },
        uid: format!("{}@doorline", meeting.id),
        sequence: meeting.sequence,
        stamp: meeting.updated_at,
        title: meeting.title.clone(),
        language: host.language.clone().unwrap_or_else(Language::english),
        host_name: host.name.clone(),
        host_email: host.email.clone(),
        sent_by: None,
        attendees: meeting.invitees.clone(),
        // A rule was checked when it came in; a zone that the system has lost since is no reason to
        // tell nothing at all.
        series: meeting.series().ok().flatten(),
        pin: host.pin.clone(),
        code: meeting.code.clone(),
        numbers: numbers.to_vec(),
    }
}

/// The invitation that one guest is sent: it names that guest alone, so that guests do not learn each
/// other's addresses from us.
#[must_use]
pub fn to_one(
    host: &Host,
    meeting: &Meeting,
    numbers: &[AccessNumber],
    (guest, sequence, method): (&str, u32, Method),
    sent_by: &str,
) -> mail::Invitation {
    mail::Invitation {
        method,
        sequence,
        sent_by: Some(sent_by.to_owned()),
        attendees: vec![guest.to_owned()],
        ..of(host, meeting, numbers)
    }
}
