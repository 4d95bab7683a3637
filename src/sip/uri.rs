//! SIP, SIPS and tel URIs, and any other as it is written (RFC 3261 §19.1, RFC 3966, RFC 5118).
//!
//! Ours and not rsip's, which refuses `tel:`, IPv6 references and `user;param` and loses `lr` after
//! a parameter with a colon. Escapes stay as written, so printing gives back the same URI;
//! [`Uri::user`] resolves them for reading, and what comes out is never parsed as a URI again.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::wire::Params;

/// `Debug` masks the user, which may be a phone number or carry a PIN; `Display` is the wire form.
#[derive(Clone, Eq, PartialEq)]
pub enum Uri {
    Sip(SipUri),
    Tel(TelUri),
    /// A scheme we do not act on, and everything after its colon.
    Other {
        scheme: String,
        rest: String,
    },
}

#[derive(Clone, Eq, PartialEq)]
pub struct SipUri {
    /// `sips:`.
    pub secure: bool,
    /// As written, escapes and `;parameters` of a user such as `+44…;phone-context=…` included.
    pub user: Option<String>,
    /// As written.
    pub password: Option<String>,
    pub host: Host,
    pub port: Option<u16>,
    pub params: Params,
    /// What follows `?`, as written. Never acted on.
    pub headers: Option<String>,
}

#[derive(Clone, Eq, PartialEq)]
pub struct TelUri {
    /// As written, visual separators included.
    pub number: String,
    pub params: Params,
}

/// Where a URI or a Via points: a literal address, or a name that nobody here looks up.
#[derive(Clone, Eq, Hash, PartialEq)]
pub enum Host {
    Name(String),
    Ip(IpAddr),
}

/// Never holds the text: it may be somebody's number.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAUri {
    #[error("URI without a scheme, expected \"sip:\", \"sips:\" or \"tel:\" first")]
    Scheme,
    #[error("URI with a user of characters that must be escaped")]
    User,
    #[error("URI with a host that is neither a name, an IPv4 address nor an IPv6 one in brackets")]
    Host,
    #[error("URI with a port that is no number up to 65535")]
    Port,
    #[error("URI with malformed parameters or more than 64 of them")]
    Params,
    #[error("URI with malformed headers after its \"?\"")]
    Headers,
    #[error("tel URI that is no telephone number")]
    Number,
    #[error("URI with white space, brackets or control characters")]
    Characters,
}

impl Uri {
    /// `sip:user@host:port`; characters of the user that need it are escaped.
    #[must_use]
    pub fn sip(user: Option<&str>, host: impl Into<Host>, port: Option<u16>) -> Self {
        Self::Sip(SipUri {
            secure: false,
            user: user.map(escape_user),
            password: None,
            host: host.into(),
            port,
            params: Params::default(),
            headers: None,
        })
    }

    /// The user of a SIP URI or the number of a tel URI, escapes resolved. `%00` and bytes that are
    /// no UTF-8 come through as characters; nothing is cut.
    #[must_use]
    pub fn user(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Sip(uri) => uri.user.as_deref().map(unescape),
            Self::Tel(uri) => Some(Cow::Borrowed(&uri.number)),
            Self::Other { .. } => None,
        }
    }

    #[must_use]
    pub fn host(&self) -> Option<&Host> {
        self.as_sip().map(|uri| &uri.host)
    }

    /// As written; [`Uri::port_or_default`] fills it in.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.as_sip()?.port
    }

    /// 5060, or 5061 for `sips:` and `transport=tls`, when none is written (RFC 3263 §4.2).
    #[must_use]
    pub fn port_or_default(&self) -> u16 {
        let tls = self.is_secure() || self.transport().is_some_and(|t| t.eq_ignore_ascii_case("tls"));
        self.port().unwrap_or(if tls { 5061 } else { 5060 })
    }

    /// Where it points when that is a literal address.
    #[must_use]
    pub fn socket_address(&self) -> Option<SocketAddr> {
        let (host, port) = match (self.as_sip()?.params.value("maddr"), self.host()?) {
            (Some(maddr), _) => (maddr.parse().ok()?, self.port_or_default()),
            (None, host) => (host.clone(), self.port_or_default()),
        };
        match host {
            Host::Ip(ip) => Some(SocketAddr::new(ip, port)),
            Host::Name(_) => None,
        }
    }

    #[must_use]
    pub fn params(&self) -> Option<&Params> {
        match self {
            Self::Sip(uri) => Some(&uri.params),
            Self::Tel(uri) => Some(&uri.params),
            Self::Other { .. } => None,
        }
    }

    #[must_use]
    pub fn params_mut(&mut self) -> Option<&mut Params> {
        match self {
            Self::Sip(uri) => Some(&mut uri.params),
            Self::Tel(uri) => Some(&mut uri.params),
            Self::Other { .. } => None,
        }
    }

    /// `;transport=`, as written.
    #[must_use]
    pub fn transport(&self) -> Option<&str> {
        self.params()?.value("transport")
    }

    /// A loose router (RFC 3261 §19.1.1).
    #[must_use]
    pub fn is_loose_route(&self) -> bool {
        self.params().is_some_and(|params| params.has("lr"))
    }

    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.as_sip().is_some_and(|uri| uri.secure)
    }

    #[must_use]
    pub fn as_sip(&self) -> Option<&SipUri> {
        if let Self::Sip(uri) = self { Some(uri) } else { None }
    }

    /// In lower case when known, as written when not.
    #[must_use]
    pub fn scheme(&self) -> &str {
        match self {
            Self::Sip(uri) if uri.secure => "sips",
            Self::Sip(_) => "sip",
            Self::Tel(_) => "tel",
            Self::Other { scheme, .. } => scheme,
        }
    }
}

impl FromStr for Uri {
    type Err = NotAUri;

    fn from_str(text: &str) -> Result<Self, NotAUri> {
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"');
        if text.contains(is_bad) {
            return Err(NotAUri::Characters);
        }
        let (scheme, rest) = text.split_once(':').ok_or(NotAUri::Scheme)?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if !is_scheme {
            return Err(NotAUri::Scheme);
        }
        if scheme.eq_ignore_ascii_case("sip") {
            SipUri::parse(rest, false).map(Self::Sip)
        } else if scheme.eq_ignore_ascii_case("sips") {
            SipUri::parse(rest, true).map(Self::Sip)
        } else if scheme.eq_ignore_ascii_case("tel") {
            TelUri::parse(rest).map(Self::Tel)
        } else {
            Ok(Self::Other { scheme: scheme.to_owned(), rest: rest.to_owned() })
        }
    }
}

impl SipUri {
    fn parse(rest: &str, secure: bool) -> Result<Self, NotAUri> {
        // An unescaped "@" can only end the user (RFC 3261 §25.1), whatever `;` or `?` it holds.
        let (userinfo, rest) = match rest.split_once('@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, rest),
        };
        let (user, password) =
            match userinfo.map(|info| info.split_once(':').map_or((info, None), |(u, p)| (u, Some(p)))) {
                Some((user, password)) => {
                    let good = !user.is_empty()
                        && user.bytes().all(is_user_byte)
                        && password.is_none_or(|password| password.bytes().all(is_password_byte));
                    if !good || !has_whole_escapes(user) {
                        return Err(NotAUri::User);
                    }
                    (Some(user.to_owned()), password.map(str::to_owned))
                }
                None => (None, None),
            };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(headers)),
            None => (rest, None),
        };
        if headers.is_some_and(|headers| headers.is_empty() || !headers.bytes().all(is_headers_byte)) {
            return Err(NotAUri::Headers);
        }
        let (host_port, params) = match rest.split_once(';') {
            Some((host_port, params)) => (host_port, Params::parse_uri(params).ok_or(NotAUri::Params)?),
            None => (rest, Params::default()),
        };
        let (host, port) = parse_host_port(host_port)?;
        Ok(Self { secure, user, password, host, port, params, headers: headers.map(str::to_owned) })
    }
}

impl TelUri {
    fn parse(rest: &str) -> Result<Self, NotAUri> {
        let (number, params) = match rest.split_once(';') {
            Some((number, params)) => (number, Params::parse_uri(params).ok_or(NotAUri::Params)?),
            None => (rest, Params::default()),
        };
        let digits = number.strip_prefix('+').unwrap_or(number);
        let is_part = |b: u8| b.is_ascii_hexdigit() || matches!(b, b'*' | b'#' | b'-' | b'.' | b'(' | b')');
        let good = digits.bytes().all(is_part)
            && digits.bytes().any(|b| b.is_ascii_hexdigit() || matches!(b, b'*' | b'#'));
        if good { Ok(Self { number: number.to_owned(), params }) } else { Err(NotAUri::Number) }
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`. A bare IPv6 address is refused: its last group would
/// read as a port (RFC 5118 §4.2).
pub(crate) fn parse_host_port(text: &str) -> Result<(Host, Option<u16>), NotAUri> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(NotAUri::Host)?;
            let port = match after.trim_start_matches([' ', '\t']) {
                "" => None,
                after => Some(after.strip_prefix(':').ok_or(NotAUri::Host)?),
            };
            (Host::Ip(parse_v6(address).ok_or(NotAUri::Host)?.into()), port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host.trim_end_matches([' ', '\t']).parse()?, Some(port)),
            None => (text.parse()?, None),
        },
    };
    let port = match port.map(|port| port.trim_start_matches([' ', '\t'])) {
        Some(port) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            Some(port.parse().map_err(|_| NotAUri::Port)?)
        }
        Some(_) => return Err(NotAUri::Port),
        None => None,
    };
    Ok((host, port))
}

/// The grammar of RFC 3261 also makes `2001:db8:::192.0.2.1`, which is read as with two colons (RFC 5118 §4.10).
fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok().or_else(|| {
        let (head, tail) = text.split_once(":::")?;
        format!("{head}::{tail}").parse().ok()
    })
}

impl FromStr for Host {
    type Err = NotAUri;

    fn from_str(text: &str) -> Result<Self, NotAUri> {
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').and_then(parse_v6);
            return address.map(|ip| Self::Ip(ip.into())).ok_or(NotAUri::Host);
        }
        if let Ok(v4) = text.parse::<std::net::Ipv4Addr>() {
            return Ok(Self::Ip(v4.into()));
        }
        // Underscores are no host name by the book, but carriers' private names have them.
        let good = !text.is_empty()
            && text.len() <= 255
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
            && !text.starts_with(['-', '.']);
        if good { Ok(Self::Name(text.to_owned())) } else { Err(NotAUri::Host) }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl Host {
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sip(uri) => {
                f.write_str(if uri.secure { "sips:" } else { "sip:" })?;
                if let Some(user) = &uri.user {
                    f.write_str(user)?;
                    if let Some(password) = &uri.password {
                        write!(f, ":{password}")?;
                    }
                    f.write_str("@")?;
                }
                fmt::Display::fmt(&uri.host, f)?;
                if let Some(port) = uri.port {
                    write!(f, ":{port}")?;
                }
                uri.params.fmt(f)?;
                uri.headers.iter().try_for_each(|headers| write!(f, "?{headers}"))
            }
            Self::Tel(uri) => write!(f, "tel:{}{}", uri.number, uri.params),
            Self::Other { scheme, rest } => write!(f, "{scheme}:{rest}"),
        }
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sip(uri) => uri.fmt(f),
            Self::Tel(uri) => uri.fmt(f),
            Self::Other { scheme, .. } => write!(f, "{scheme}:…"),
        }
    }
}

impl fmt::Debug for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            write!(f, "{}@", masked(user))?;
        }
        fmt::Display::fmt(&self.host, f)?;
        self.port.iter().try_for_each(|port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for TelUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tel:{}", masked(&self.number))
    }
}

/// Enough to recognise a caller in a log, too little to call back: the last two characters of eight or more.
fn masked(user: &str) -> String {
    let count = user.chars().count();
    let tail: String = user.chars().skip(count.saturating_sub(2)).collect();
    if count >= 8 { format!("…{tail}") } else { "…".to_owned() }
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

fn escape_user(user: &str) -> String {
    let mut escaped = String::with_capacity(user.len());
    for byte in user.bytes() {
        if is_user_byte(byte) && byte != b'%' && byte.is_ascii() {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Every `%` begins an escape of two hexadecimal digits.
fn has_whole_escapes(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|after| after.len() >= 2 && after.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit))
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' | b'%')
}

/// `user` of RFC 3261 §25.1. `#` must be escaped by the book; phones that dial it do not always do so.
const fn is_user_byte(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/' | b'#')
        || byte >= 0x80
}

const fn is_password_byte(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'&' | b'=' | b'+' | b'$' | b',')
}

const fn is_headers_byte(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'[' | b']' | b'/' | b'?' | b':' | b'+' | b'$' | b'=' | b'&')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_print_as_they_were_written() {
        let good = [
            "sip:example.com",
            "sip:a@b",
            "sips:a:pw@b:5061;transport=tcp;lr",
            "sip:user;par=u%40example.net@example.com",
            "sip:sips%3Auser%40example.com@example.net",
            "sip:null-%00-null@example.com",
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@e.com",
            "sip:[2001:db8::10]:5070",
            "sip:[2001:db8::10:5070]",
            "sip:a@[::1];x=a:b;lr",
            "sip:a@192.0.2.1:5060?Route=%3Csip:example.com%3E&a=b",
            "sip:+442079460001;phone-context=x@h;user=phone",
            "sip:*69#@h",
            "sip:_private.host",
            "tel:+44-20-7946.0001;isub=1",
            "tel:7042;phone-context=example.com",
            "nobodyKnowsThisScheme:totallyopaquecontent",
            "soap.beep://192.0.2.103:3002",
            "http://example.com/x?y",
        ];
        for text in good {
            let uri: Uri = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(uri.to_string(), text);
            assert_eq!(uri.to_string().parse(), Ok(uri));
        }
    }

    #[test]
    fn what_is_no_uri_is_refused_by_name() {
        let bad = [
            ("", NotAUri::Scheme),
            ("example.com", NotAUri::Scheme),
            (":a@b", NotAUri::Scheme),
            ("1sip:a@b", NotAUri::Scheme),
            ("sip:", NotAUri::Host),
            ("sip:a@", NotAUri::Host),
            ("sip:@b", NotAUri::User),
            ("sip:a@b@c", NotAUri::Host),
            ("sip:a%4@b", NotAUri::User),
            ("sip:a%zz@b", NotAUri::User),
            ("sip:a[@b", NotAUri::User),
            ("sip:2001:db8::10", NotAUri::Port),
            ("sip:a@b:", NotAUri::Port),
            ("sip:a@b:65536", NotAUri::Port),
            ("sip:a@b:+1", NotAUri::Port),
            ("sip:[::1", NotAUri::Host),
            ("sip:[::g]", NotAUri::Host),
            ("sip:[::1]x", NotAUri::Host),
            ("sip:[192.0.2.1]", NotAUri::Host),
            ("sip:a@b;", NotAUri::Params),
            ("sip:a@b;=x", NotAUri::Params),
            ("sip:a@b?", NotAUri::Headers),
            ("sip:a b@c", NotAUri::Characters),
            ("sip:a@b\r\nVia:x", NotAUri::Characters),
            ("<sip:a@b>", NotAUri::Characters),
            ("sip:a@b\0", NotAUri::Characters),
            ("tel:", NotAUri::Number),
            ("tel:+", NotAUri::Number),
            ("tel:hello", NotAUri::Number),
        ];
        for (text, expected) in bad {
            assert_eq!(text.parse::<Uri>(), Err(expected), "{text:?}");
        }
        let host = "a".repeat(300);
        assert_eq!(format!("sip:{host}").parse::<Uri>(), Err(NotAUri::Host));
    }

    #[test]
    fn the_parts_say_what_a_phone_means() {
        let uri: Uri = "sip:user;par=u%40example.net@example.com;TRANSPORT=tls".parse().unwrap();
        assert_eq!(uri.user().as_deref(), Some("user;par=u@example.net"));
        assert_eq!((uri.transport(), uri.port(), uri.port_or_default()), (Some("tls"), None, 5061));

        let uri: Uri = "sip:null-%00-null@[2001:db8:::192.0.2.1]".parse().unwrap();
        assert_eq!(uri.user().as_deref(), Some("null-\0-null"));
        assert_eq!(uri.socket_address(), Some("[2001:db8::192.0.2.1]:5060".parse().unwrap()));

        let ambiguous: Uri = "sip:[2001:db8::10:5070]".parse().unwrap();
        assert_eq!(ambiguous.port(), None);
        let routed: Uri = "sip:10.0.0.1:5070;x=a:b;lr".parse().unwrap();
        assert!(routed.is_loose_route());
        let tel: Uri = "tel:+44-20-7946-0001;x".parse().unwrap();
        assert_eq!((tel.user().as_deref(), tel.host()), (Some("+44-20-7946-0001"), None));
    }

    #[test]
    fn a_uri_of_ours_escapes_its_user() {
        let uri = Uri::sip(Some("a b@c;#%é"), "::1".parse::<IpAddr>().unwrap(), Some(5070));
        assert_eq!(uri.to_string(), "sip:a%20b%40c;#%25%C3%A9@[::1]:5070");
        assert_eq!(uri.to_string().parse::<Uri>().unwrap().user().as_deref(), Some("a b@c;#%é"));
    }

    #[test]
    fn debug_does_not_tell_a_number() {
        for text in ["sip:+442079460123@h;tag=1", "tel:+442079460123", "sip:123456#7890@h"] {
            let shown = format!("{:?}", text.parse::<Uri>().unwrap());
            assert!(!shown.contains("794601") && !shown.contains("3456"), "{shown}");
        }
    }
}
