//! The headers that signalling does not read into types of its own: an rsip header table.
//!
//! Names are canonical, values unfolded. Via, From, To, Call-ID, CSeq, Contact, Route, Record-Route,
//! Max-Forwards, Require, Supported and Content-Length are not here but fields of the message.

use std::fmt;

use rsip::headers::UntypedHeader;

/// In the order they came; several of one name are several entries.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Headers(rsip::Headers);

impl Headers {
    /// The first of that name, without regard to case. Compact names are canonical already.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(name_and_value)
    }

    /// Adds one. Line breaks in `value` become spaces, so that no value can smuggle in a header.
    pub fn push(&mut self, name: &str, value: &str) {
        let value =
            if value.contains(['\r', '\n']) { value.replace(['\r', '\n'], " ") } else { value.to_owned() };
        self.0.push(to_rsip(name, value));
    }

    /// Adds one in the place of all of that name.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.push(name, value);
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|header| !name_and_value(header).0.eq_ignore_ascii_case(name));
    }

    /// rsip's own view, for its typed headers (digest credentials, media types).
    #[must_use]
    pub const fn as_rsip(&self) -> &rsip::Headers {
        &self.0
    }
}

/// Names only: values hold numbers and credentials.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Every header rsip knows: its variant and its name as printed.
macro_rules! known {
    ($($variant:ident = $name:literal),* $(,)?) => {
        pub(super) fn to_rsip(name: &str, value: String) -> rsip::Header {
            $(
                if name.eq_ignore_ascii_case($name) {
                    return rsip::Header::$variant(rsip::headers::$variant::new(value));
                }
            )*
            rsip::Header::Other(name.to_owned(), value)
        }

        fn name_and_value(header: &rsip::Header) -> (&str, &str) {
            match header {
                $(rsip::Header::$variant(header) => ($name, header.value()),)*
                rsip::Header::Other(name, value) => (name, value),
            }
        }
    };
}

known! {
    Accept = "Accept",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AlertInfo = "Alert-Info",
    Allow = "Allow",
    AuthenticationInfo = "Authentication-Info",
    Authorization = "Authorization",
    CSeq = "CSeq",
    CallId = "Call-ID",
    CallInfo = "Call-Info",
    Contact = "Contact",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding",
    ContentLanguage = "Content-Language",
    ContentLength = "Content-Length",
    ContentType = "Content-Type",
    Date = "Date",
    ErrorInfo = "Error-Info",
    Event = "Event",
    Expires = "Expires",
    From = "From",
    InReplyTo = "In-Reply-To",
    MaxForwards = "Max-Forwards",
    MimeVersion = "Mime-Version",
    MinExpires = "Min-Expires",
    Organization = "Organization",
    Priority = "Priority",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthorization = "Proxy-Authorization",
    ProxyRequire = "Proxy-Require",
    RecordRoute = "Record-Route",
    ReplyTo = "Reply-To",
    Require = "Require",
    RetryAfter = "Retry-After",
    Route = "Route",
    Server = "Server",
    Subject = "Subject",
    SubscriptionState = "Subscription-State",
    Supported = "Supported",
    Timestamp = "Timestamp",
    To = "To",
    Unsupported = "Unsupported",
    UserAgent = "User-Agent",
    Via = "Via",
    Warning = "Warning",
    WwwAuthenticate = "WWW-Authenticate",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_prints_as_it_is_looked_up() {
        let mut headers = Headers::default();
        for name in
            ["Content-Type", "WWW-Authenticate", "Call-ID", "CSeq", "Mime-Version", "P-Asserted-Identity"]
        {
            headers.push(&name.to_lowercase(), "x");
            assert_eq!(headers.get(name), Some("x"), "{name}");
        }
        let printed = headers.as_rsip().to_string();
        assert!(
            printed.starts_with("Content-Type: x\r\nWWW-Authenticate: x\r\nCall-ID: x\r\nCSeq: x\r\n"),
            "{printed}"
        );
    }

    #[test]
    fn set_replaces_all_and_nothing_smuggles_a_line() {
        let mut headers = Headers::default();
        headers.push("Reason", "a");
        headers.push("reason", "b");
        assert_eq!(headers.get_all("Reason").count(), 2);
        headers.set("REASON", "c\r\nVia: evil");
        assert_eq!(headers.get_all("Reason").collect::<Vec<_>>(), ["c  Via: evil"]);
        assert_eq!(format!("{headers:?}"), "[\"REASON\"]");
    }
}
