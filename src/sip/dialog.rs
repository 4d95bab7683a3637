//! Dialogs: what two ends remember of each other between requests (RFC 3261 §12).

use super::uri::Uri;
use super::wire::{Method, NameAddr, Request, Response};

/// Names a dialog: Call-ID and both tags, ours first.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct DialogKey(Box<str>);

impl DialogKey {
    #[must_use]
    pub fn new(call_id: &str, local_tag: &str, remote_tag: &str) -> Self {
        // No Call-ID and no tag holds a line end, so no two dialogs make the same text.
        Self(format!("{call_id}\n{local_tag}\n{remote_tag}").into_boxed_str())
    }

    /// The dialog that a request from the peer means, when it names one.
    #[must_use]
    pub fn of_request(request: &Request) -> Option<Self> {
        let local = request.to.tag()?;
        Some(Self::new(&request.call_id, local, request.from.tag().unwrap_or_default()))
    }
}

/// Our half of one dialog.
#[derive(Clone, Debug)]
pub struct Dialog {
    call_id: Box<str>,
    /// With our tag.
    local: NameAddr,
    /// With theirs; without one before a first answer, and with peers of RFC 2543.
    remote: NameAddr,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    /// The peer's Contact: where our requests go in the end.
    target: Uri,
    /// In the order our requests travel it.
    routes: Vec<NameAddr>,
}

impl Dialog {
    /// From an INVITE that we answer (§12.1.1).
    #[must_use]
    pub fn answering(invite: &Request, local_tag: &str) -> Self {
        let mut local = invite.to.clone();
        local.params.set("tag", Some(local_tag));
        Self {
            call_id: invite.call_id.as_str().into(),
            local,
            remote: invite.from.clone(),
            local_cseq: 0,
            remote_cseq: Some(invite.cseq.number),
            // A Contact is required; without one From is the best guess there is.
            target: sip_contact(&invite.contact).unwrap_or(&invite.from).uri.clone(),
            routes: invite.record_route.clone(),
        }
    }

    /// From an INVITE of ours; it is no dialog before [`Dialog::confirm`].
    #[must_use]
    pub fn calling(invite: &Request) -> Self {
        Self {
            call_id: invite.call_id.as_str().into(),
            local: invite.from.clone(),
            remote: invite.to.clone(),
            local_cseq: invite.cseq.number,
            remote_cseq: None,
            target: invite.uri.clone(),
            routes: Vec::new(),
        }
    }

    /// The peer answered 101–299: its tag, Contact and, backwards, Record-Route (§12.1.2, §13.2.2.4).
    /// Of an INVITE that several phones ring with, the last one named counts.
    pub fn confirm(&mut self, answer: &Response) {
        if answer.to.tag() != self.remote.tag() {
            self.remote_cseq = None;
        }
        self.remote = answer.to.clone();
        self.routes = answer.record_route.iter().rev().cloned().collect();
        self.refresh_target(&answer.contact);
    }

    #[must_use]
    pub fn key(&self) -> DialogKey {
        DialogKey::new(
            &self.call_id,
            self.local.tag().unwrap_or_default(),
            self.remote.tag().unwrap_or_default(),
        )
    }

    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    #[must_use]
    pub fn local_tag(&self) -> &str {
        self.local.tag().unwrap_or_default()
    }

    #[must_use]
    pub fn remote_tag(&self) -> &str {
        self.remote.tag().unwrap_or_default()
    }

    /// A request of the peer with this number is in order: higher than all before, gaps allowed
    /// (§12.2.2). The same number again is a copy, and a key must not count twice.
    pub fn take_cseq(&mut self, number: u32) -> bool {
        let in_order = self.remote_cseq.is_none_or(|last| number > last);
        if in_order {
            self.remote_cseq = Some(number);
        }
        in_order
    }

    /// A re-INVITE or UPDATE may move the peer (§12.2.2).
    pub fn refresh_target(&mut self, contact: &[NameAddr]) {
        if let Some(contact) = sip_contact(contact) {
            self.target = contact.uri.clone();
        }
    }

    /// Our next request in the dialog (§12.2.1.1), without Via.
    pub fn request(&mut self, method: Method) -> Request {
        self.local_cseq += 1;
        self.request_numbered(method, self.local_cseq)
    }

    /// The ACK of a 2xx: its own request with the number of its INVITE (§13.2.2.4).
    #[must_use]
    pub fn ack(&self, invite_cseq: u32) -> Request {
        self.request_numbered(Method::Ack, invite_cseq)
    }

    /// For a request that is built elsewhere.
    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq += 1;
        self.local_cseq
    }

    /// The number of our last request.
    #[must_use]
    pub const fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// Whom our requests go to first.
    #[must_use]
    pub fn next_hop(&self) -> &Uri {
        self.routes.first().map_or(&self.target, |route| &route.uri)
    }

    pub fn request_numbered(&self, method: Method, number: u32) -> Request {
        let (uri, routes) = match self.routes.split_first() {
            // A strict router wants to find itself in the Request-URI, and the target last.
            Some((first, rest)) if !first.uri.is_loose_route() => {
                let last = NameAddr::new(self.target.clone());
                (bare(&first.uri), rest.iter().cloned().chain([last]).collect())
            }
            Some(_) | None => (bare(&self.target), self.routes.clone()),
        };
        let mut request =
            Request::new(method, uri, self.local.clone(), self.remote.clone(), &self.call_id, number);
        request.route = routes;
        request
    }
}

/// What may not stand in a Request-URI is left out (§19.1.1 table 1): headers and `method`.
fn bare(uri: &Uri) -> Uri {
    let mut uri = uri.clone();
    if let Uri::Sip(sip) = &mut uri {
        sip.headers = None;
        sip.params.remove("method");
    }
    uri
}

/// Where requests can go: a Contact is a SIP or SIPS URI (RFC 3261 §8.1.1.8), and one of another scheme is
/// passed over.
fn sip_contact(contact: &[NameAddr]) -> Option<&NameAddr> {
    contact.iter().find(|contact| contact.uri.host().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::wire::{Framing, Message, parse};

    fn invite(record_route: &str) -> Request {
        let text = format!(
            "INVITE sip:1@us SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: \"A\" <sip:a@h>;tag=them\r\n\
             To: <sip:1@us>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:a@192.0.2.1;ob?X=y>;q=1\r\n{record_route}\r\n"
        );
        match parse(text.as_bytes(), Framing::Datagram) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn our_requests_travel_the_route_that_the_invite_recorded() {
        let cases = [
            ("no proxy", "", "sip:a@192.0.2.1;ob", "", "sip:a@192.0.2.1;ob?X=y"),
            (
                "loose routers",
                "Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\n",
                "sip:a@192.0.2.1;ob",
                "<sip:p1;lr> <sip:p2;lr>",
                "sip:p1;lr",
            ),
            (
                "a strict router first",
                "Record-Route: <sip:p1;method=BYE>, <sip:p2;lr>\r\n",
                "sip:p1",
                "<sip:p2;lr> <sip:a@192.0.2.1;ob?X=y>",
                "sip:p1;method=BYE",
            ),
        ];
        for (name, record_route, uri, routes, hop) in cases {
            let mut dialog = Dialog::answering(&invite(record_route), "us");
            assert_eq!(dialog.next_hop().to_string(), hop, "{name}");
            let bye = dialog.request(Method::Bye);
            let got: Vec<_> = bye.route.iter().map(ToString::to_string).collect();
            assert_eq!((bye.uri.to_string().as_str(), got.join(" ").as_str()), (uri, routes), "{name}");
            assert_eq!(bye.from.to_string(), "<sip:1@us>;tag=us", "{name}");
            assert_eq!(bye.to.to_string(), "\"A\" <sip:a@h>;tag=them", "{name}");
            assert_eq!(bye.cseq.number, 1, "{name}");
            assert_eq!(dialog.request(Method::Info).cseq.number, 2, "{name}");
        }
    }

    #[test]
    fn a_contact_of_another_scheme_is_no_target() {
        let uri = |contact: &str| NameAddr::parse(contact).unwrap();
        let mut request = invite("");
        let cases: &[(&[&str], &str)] = &[
            (&["<tel:+441>", "<sip:b@192.0.2.2>"], "sip:b@192.0.2.2"),
            (&["<tel:+441>"], "sip:a@h"),
            (&[], "sip:a@h"),
        ];
        for (contacts, expected) in cases {
            request.contact = contacts.iter().map(|contact| uri(contact)).collect();
            let mut dialog = Dialog::answering(&request, "us");
            assert_eq!(dialog.request(Method::Bye).uri.to_string(), *expected, "{contacts:?}");
            dialog.refresh_target(&[uri("<http://192.0.2.3>")]);
            assert_eq!(
                dialog.request(Method::Bye).uri.to_string(),
                *expected,
                "a change to no target is none"
            );
        }
    }

    #[test]
    fn numbers_rise_with_gaps_and_never_fall_or_repeat() {
        let mut dialog = Dialog::answering(&invite(""), "us");
        let taken: Vec<bool> = [7, 6, 8, 8, 100, 9, 101].into_iter().map(|n| dialog.take_cseq(n)).collect();
        assert_eq!(taken, [false, false, true, false, true, false, true]);
    }

    #[test]
    fn both_tags_and_the_call_id_name_a_dialog() {
        let dialog = Dialog::answering(&invite(""), "us");
        assert_eq!(dialog.key(), DialogKey::new("c", "us", "them"));
        for other in [("c", "us", "x"), ("c", "x", "them"), ("x", "us", "them"), ("c", "them", "us")] {
            assert_ne!(dialog.key(), DialogKey::new(other.0, other.1, other.2));
        }
    }
}
