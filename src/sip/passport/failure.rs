//! Why a signature does not hold: one row for each way, with the answer that RFC 8224 has for it.

/// What is wrong with a PASSporT or with the certificate it was signed with. No row holds anything
/// that came from outside.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Failure {
    // the header
    Unreadable,
    TooLarge,
    TooMany,
    Compact,
    NoInfo,
    InfoMismatch,
    BadUrl,
    // the PASSporT
    WrongAlgorithm,
    WrongType,
    Critical,
    Claims,
    // the call
    Expired,
    FromTheFuture,
    WrongCaller,
    WrongCalled,
    // the certificate
    BadCertificate,
    WrongKey,
    CertificateExpired,
    UnknownIssuer,
    NoAuthorityList,
    NumberNotCovered,
    // the signature
    WrongSignature,
}

impl Failure {
    pub const ALL: [Self; 22] = [
        Self::Unreadable,
        Self::TooLarge,
        Self::TooMany,
        Self::Compact,
        Self::NoInfo,
        Self::InfoMismatch,
        Self::BadUrl,
        Self::WrongAlgorithm,
        Self::WrongType,
        Self::Critical,
        Self::Claims,
        Self::Expired,
        Self::FromTheFuture,
        Self::WrongCaller,
        Self::WrongCalled,
        Self::BadCertificate,
        Self::WrongKey,
        Self::CertificateExpired,
        Self::UnknownIssuer,
        Self::NoAuthorityList,
        Self::NumberNotCovered,
        Self::WrongSignature,
    ];

    /// Name in metrics, the status of RFC 8224 §6.2.2 for it, and a sentence for operators.
    ///
    /// The call is not refused with that status: it goes on without trust. The status tells a carrier
    /// which of its steps to look at.
    #[rustfmt::skip]
    const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::Unreadable => ("unreadable", 438, "the Identity header cannot be read"),
            Self::TooLarge => ("too-large", 438, "the Identity header is larger than any PASSporT need be"),
            Self::TooMany => ("too-many", 438, "there are too many Identity headers"),
            Self::Compact => ("compact", 438, "the PASSporT is in compact form, SHAKEN wants the full one"),
            Self::NoInfo => ("no-info", 436, "the Identity header names no certificate"),
            Self::InfoMismatch => ("info-mismatch", 436, "info and x5u name different certificates"),
            Self::BadUrl => ("bad-url", 436, "the certificate's address is not one that may be fetched"),
            Self::WrongAlgorithm => ("wrong-algorithm", 438, "the algorithm is not ES256"),
            Self::WrongType => ("wrong-type", 438, "it is no SHAKEN PASSporT"),
            Self::Critical => ("critical", 438, "it demands an extension that we do not know"),
            Self::Claims => ("claims", 438, "its claims are not those of SHAKEN"),
            Self::Expired => ("expired", 403, "it is more than 60 s old"),
            Self::FromTheFuture => ("from-the-future", 403, "it was made later than now"),
            Self::WrongCaller => ("wrong-caller", 438, "it was made for another calling number"),
            Self::WrongCalled => ("wrong-called", 438, "it was made for another dialled number"),
            Self::BadCertificate => ("bad-certificate", 437, "the certificate cannot be read or used"),
            Self::WrongKey => ("wrong-key", 437, "the certificate's key is not one on P-256"),
            Self::CertificateExpired => ("certificate-expired", 437, "a certificate is not valid today"),
            Self::UnknownIssuer => ("unknown-issuer", 437, "the certificate does not lead to a root that we trust"),
            Self::NoAuthorityList => ("no-authority-list", 437, "the certificate does not say for which numbers it is"),
            Self::NumberNotCovered => ("number-not-covered", 437, "the certificate is not for the calling number"),
            Self::WrongSignature => ("wrong-signature", 438, "the signature is not that of the certificate"),
        }
    }

    /// Kebab-case: metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// 403 Stale Date, 436 Bad Identity Info, 437 Unsupported Credential or 438 Invalid Identity Header.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// Completes "the signature failed: …".
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.row().2
    }
}
