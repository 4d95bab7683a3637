//! One mail to one guest (RFC 5322, RFC 6047): text, HTML and calendar as alternatives, and the calendar
//! once more as a file for programs that only look there.

use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};

use super::invitation::{Method, Rendered};
use crate::outbox::{Fault, Item};

#[derive(Clone, Debug)]
pub struct Letter {
    /// Of its row in the outbox.
    pub id: i64,
    /// Attempts before this one.
    pub attempts: u32,
    /// The same whenever this letter is sent, so that a server that has it already can tell: the
    /// left side of its Message-ID, made of letters, digits, `.` and `-`.
    pub message_id: String,
    pub to: String,
    pub host_name: String,
    /// Answers go to the host.
    pub reply_to: String,
    pub method: Method,
    pub rendered: Rendered,
}

impl Item for Letter {
    const WHAT: &'static str = "invitation";

    fn id(&self) -> i64 {
        self.id
    }

    fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl Letter {
    pub(super) fn message(&self, from: &Mailbox) -> Result<Message, Fault> {
        let wrong = |what: &str| Fault::Permanent(format!("no mail can be made: {what}"));
        let domain = from.email.domain();
        let sender = Mailbox::new(Some(self.host_name.clone()), from.email.clone());
        let builder = Message::builder()
            .message_id(Some(format!("<{}@{domain}>", self.message_id)))
            .from(sender)
            .to(Mailbox::new(None, self.to.parse().map_err(|_| wrong("the guest's address is none"))?))
            .reply_to(Mailbox::new(
                Some(self.host_name.clone()),
                self.reply_to.parse().map_err(|_| wrong("the host's address is none"))?,
            ))
            .subject(&self.rendered.subject)
            // No "out of office" to us (RFC 3834 §5).
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        let mut alternatives = MultiPart::alternative()
            .singlepart(SinglePart::plain(self.rendered.text.clone()))
            .singlepart(SinglePart::html(self.rendered.html.clone()));
        if let Some(ics) = &self.rendered.ics {
            let kind = format!("text/calendar; charset=utf-8; method={}", self.method.word());
            let kind = ContentType::parse(&kind).map_err(|_| wrong("the calendar's type"))?;
            alternatives = alternatives.singlepart(SinglePart::builder().header(kind).body(ics.clone()));
            let file = ContentType::parse("application/ics").map_err(|_| wrong("the file's type"))?;
            let file = Attachment::new("invite.ics".to_owned()).body(ics.clone(), file);
            let mixed = MultiPart::mixed().multipart(alternatives).singlepart(file);
            return builder.multipart(mixed).map_err(|error| wrong(&error.to_string()));
        }
        builder.multipart(alternatives).map_err(|error| wrong(&error.to_string()))
    }
}
