//! What our trust in a calling number rests on: for records and operators, in one table.

use crate::types::Attestation;

/// Why a call's number is believed as far as it is. Holds no number.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Basis {
    /// The caller asked not to be named.
    Withheld,
    /// What the trunk gives us as the caller is no telephone number.
    NotANumber,
    /// The trunk is not set to be believed.
    #[default]
    NotVouched,
    /// The trunk is believed in what it asserts, and asserted nothing.
    NothingAsserted,
    /// It asserted more than one number, or none that is one.
    AmbiguousAssertion,
    /// From, on a trunk that screens it.
    From,
    /// P-Asserted-Identity, on a trunk that is believed in it.
    Asserted,
    /// Signed, and verified here.
    Signed { attestation: Attestation, signer: String },
    /// The trunk's carrier verified a signature.
    Verstat(Attestation),
    /// It found a signature that does not hold.
    VerstatFailed,
    /// We found that the signature does not hold, and why.
    SignatureFailed(&'static str),
}

impl Basis {
    /// For operators: why the number is believed no more than it is, or as much.
    #[must_use]
    pub fn text(&self, trunk: &str) -> String {
        match self {
            Self::Withheld => "the number is withheld".to_owned(),
            Self::NotANumber => format!("trunk {trunk} gave no telephone number"),
            Self::NotVouched => format!("the number came over trunk {trunk}, which does not vouch for it"),
            Self::NothingAsserted => format!("trunk {trunk} asserted no number (P-Asserted-Identity)"),
            Self::AmbiguousAssertion => {
                format!("trunk {trunk} asserted several numbers or none that is one (P-Asserted-Identity)")
            }
            Self::From => format!("From on trunk {trunk}, which screens it"),
            Self::Asserted => format!("P-Asserted-Identity on trunk {trunk}"),
            Self::Signed { attestation: Attestation::A, signer } => format!("attestation A by {signer}"),
            Self::Signed { attestation, signer } => {
                format!(
                    "attestation {} by {signer}, which does not vouch for the number",
                    attestation.as_str()
                )
            }
            Self::Verstat(Attestation::A) => format!("attestation A, as trunk {trunk} verified"),
            Self::Verstat(attestation) => format!(
                "attestation {}, as trunk {trunk} verified, does not vouch for the number",
                attestation.as_str()
            ),
            Self::VerstatFailed => format!("trunk {trunk} found that the number's signature failed"),
            Self::SignatureFailed(why) => format!("the number's signature failed: {why}"),
        }
    }
}
