//! A telephone number in the form of ITU-T E.164: `+`, country code, subscriber, at most 15 digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A full number. `Debug` and `Display` mask it (`+4420…0001`); [`PhoneNumber::reveal`] shows it.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PhoneNumber(String);

/// An ISO 3166 country such as `GB`: what a national number on a trunk means.
#[derive(Clone, Copy, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// Never holds the text: it may be somebody's number.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotANumber {
    #[error("telephone number of {0} characters, expected at most 40")]
    TooLong(usize),
    #[error("telephone number that is not one in E.164, expected \"+\" and 7 to 15 digits{0}")]
    NotE164(&'static str),
}

impl PhoneNumber {
    /// From `+442079460000`, `00 44…` or, when a country is given, a national number such as
    /// `020 7946 0000`. Separators `-.() ` are passed over.
    ///
    /// A number with `+` need not be one that a country has assigned: test ranges and new area
    /// codes must work. It has 7 to 15 digits and does not begin with 0 (E.164 §6).
    pub fn parse(text: &str, country: Option<Country>) -> Result<Self, NotANumber> {
        if text.len() > 40 {
            return Err(NotANumber::TooLong(text.len()));
        }
        let bare: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
        let international = bare.strip_prefix('+').or_else(|| bare.strip_prefix("00"));
        if let Some(digits) = international {
            return Self::from_digits(digits);
        }
        if bare.is_empty() || !bare.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotANumber::NotE164(""));
        }
        let Some(country) = country else {
            return Err(NotANumber::NotE164(", or a national number on a trunk with a country"));
        };
        let region = country.as_str().parse().ok();
        let number = phonenumber::parse(region, &bare).map_err(|_| NotANumber::NotE164(""))?;
        let printed = number.format().mode(phonenumber::Mode::E164).to_string();
        Self::from_digits(printed.trim_start_matches('+'))
    }

    fn from_digits(digits: &str) -> Result<Self, NotANumber> {
        let good = (7..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        if good { Ok(Self(format!("+{digits}"))) } else { Err(NotANumber::NotE164("")) }
    }

    /// The whole number, `+` first: for matching and for those who may see it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The first five and last four characters (fewer of a short number): `+4420…0001`.
    #[must_use]
    pub fn masked(&self) -> String {
        let all = &self.0;
        let tail = if all.len() >= 12 { 4 } else { 2 };
        let head = if all.len() >= 12 { 5 } else { 3 };
        format!("{}…{}", &all[..head], &all[all.len() - tail..])
    }
}

impl FromStr for PhoneNumber {
    type Err = NotANumber;

    fn from_str(text: &str) -> Result<Self, NotANumber> {
        Self::parse(text, None)
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Country {
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a country is two ASCII letters")
    }
}

impl TryFrom<String> for Country {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_bytes() {
            &[a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Self([a, b])),
            _ => Err(format!(
                "country {:?}, expected two capital letters such as \"GB\" (ISO 3166)",
                text.chars().take(20).collect::<String>()
            )),
        }
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.as_str().to_owned()
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        let britain = Country::try_from("GB".to_owned()).ok();
        for text in ["+442079460001", "00442079460001", "+44 (20) 7946-0001", "020 7946 0001", "02079460001"]
        {
            assert_eq!(PhoneNumber::parse(text, britain).unwrap().reveal(), "+442079460001", "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_without_showing_it() {
        for text in [
            "",
            "anonymous",
            "+0123456789",
            "+12",
            "1234567890123456789012345678901234567890123",
            "2079460001",
        ] {
            let error = PhoneNumber::parse(text, None).unwrap_err().to_string();
            assert!(!error.contains("2079460001"), "{error}");
        }
    }

    #[test]
    fn printing_a_number_masks_it() {
        let number: PhoneNumber = "+442079460001".parse().unwrap();
        assert_eq!(format!("{number} {number:?}"), "+4420…0001 +4420…0001");
    }
}
