//! For whose numbers a certificate is: the TN authorization list (RFC 8226 §9).
//!
//! ```text
//! TNAuthorizationList ::= SEQUENCE OF CHOICE {
//!     spc [0] IA5String,                            -- a service provider: all numbers of its own
//!     range [1] SEQUENCE { start, count INTEGER },  -- so many numbers from this one on
//!     one [2] IA5String }                           -- one number
//! ```
//!
//! The tags are explicit. Which numbers a provider has is in no certificate: a provider is believed for all.

use super::failure::Failure;
use crate::types::PhoneNumber;

/// Entries of one list.
const ENTRIES_MAX: usize = 1_000;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const IA5_STRING: u8 = 0x16;
const SPC: u8 = 0xa0;
const RANGE: u8 = 0xa1;
const ONE: u8 = 0xa2;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authority(Vec<Entry>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Entry {
    /// A service provider code: letters and digits, at most 16.
    Provider(String),
    /// Numbers of as many digits as the first, both ends included.
    Numbers { digits: usize, first: u64, last: u64 },
}

impl Authority {
    /// From the value of the extension 1.3.6.1.5.5.7.1.26.
    pub fn read(der: &[u8]) -> Result<Self, Failure> {
        Self::parse(der).ok_or(Failure::NoAuthorityList)
    }

    fn parse(der: &[u8]) -> Option<Self> {
        let mut list = Reader::of_one(der, SEQUENCE)?;
        let mut entries = Vec::new();
        while !list.is_empty() {
            if entries.len() == ENTRIES_MAX {
                return None;
            }
            let (tag, inside) = list.next()?;
            entries.push(match tag {
                SPC => Entry::Provider(provider(Reader::whole(inside, IA5_STRING)?)?),
                ONE => {
                    let (digits, number) = number(Reader::whole(inside, IA5_STRING)?)?;
                    Entry::Numbers { digits, first: number, last: number }
                }
                RANGE => {
                    let mut range = Reader::of_one(inside, SEQUENCE)?;
                    let (digits, first) = number(range.take(IA5_STRING)?)?;
                    let count = positive(range.take(INTEGER)?)?;
                    if !range.is_empty() {
                        return None;
                    }
                    Entry::Numbers { digits, first, last: first.checked_add(count.checked_sub(1)?)? }
                }
                _ => return None,
            });
        }
        if entries.is_empty() { None } else { Some(Self(entries)) }
    }

    /// Whether a signature under it may speak for this number.
    #[must_use]
    pub fn covers(&self, caller: &PhoneNumber) -> bool {
        let digits = caller.reveal().trim_start_matches('+');
        let number: Option<u64> = digits.parse().ok();
        self.0.iter().any(|entry| match entry {
            Entry::Provider(_) => true,
            Entry::Numbers { digits: many, first, last } => {
                *many == digits.len() && number.is_some_and(|number| (*first..=*last).contains(&number))
            }
        })
    }

    /// Who signs under it, for operators: never a number.
    #[must_use]
    pub fn holder(&self) -> String {
        let provider = self.0.iter().find_map(|entry| match entry {
            Entry::Provider(code) => Some(format!("service provider {code}")),
            Entry::Numbers { .. } => None,
        });
        provider.unwrap_or_else(|| "the holder of the number".to_owned())
    }
}

fn provider(text: &[u8]) -> Option<String> {
    let good = (1..=16).contains(&text.len()) && text.iter().all(u8::is_ascii_alphanumeric);
    good.then(|| text.iter().map(|byte| char::from(*byte)).collect())
}

/// How many digits, and their value. Numbers with `*` and `#` call nobody here.
fn number(text: &[u8]) -> Option<(usize, u64)> {
    let good = (1..=15).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let value = std::str::from_utf8(text).ok()?;
    Some((text.len(), value.parse().ok().filter(|_| good)?))
}

/// An INTEGER above zero and below 2^63.
fn positive(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 8 || bytes[0] & 0x80 != 0 {
        return None;
    }
    let value = bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    (value > 0).then_some(value)
}

/// Reads DER, one element after another (X.690 §8.1). Lengths of up to two bytes, which is all that
/// fits into what we fetch.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// What is inside the one element that `der` consists of.
    fn of_one(der: &'a [u8], tag: u8) -> Option<Self> {
        Self::whole(der, tag).map(Self)
    }

    fn whole(der: &'a [u8], tag: u8) -> Option<&'a [u8]> {
        let mut reader = Self(der);
        let content = reader.take(tag)?;
        reader.is_empty().then_some(content)
    }

    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match (first, rest) {
            (0..=0x7f, rest) => (usize::from(first), rest),
            (0x81, [length @ (0x80..), rest @ ..]) => (usize::from(*length), rest),
            (0x82, [high @ (1..), low, rest @ ..]) => (usize::from(*high) << 8 | usize::from(*low), rest),
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = match u8::try_from(content.len()) {
            Ok(short @ 0..=0x7f) => vec![short],
            Ok(long) => vec![0x81, long],
            Err(_) => vec![0x82, (content.len() >> 8) as u8, content.len() as u8],
        };
        [vec![tag], length, content.to_vec()].concat()
    }

    fn list(entries: &[Vec<u8>]) -> Vec<u8> {
        element(SEQUENCE, &entries.concat())
    }

    fn spc(code: &str) -> Vec<u8> {
        element(SPC, &element(IA5_STRING, code.as_bytes()))
    }

    fn one(number: &str) -> Vec<u8> {
        element(ONE, &element(IA5_STRING, number.as_bytes()))
    }

    fn range(start: &str, count: &[u8]) -> Vec<u8> {
        let inside = [element(IA5_STRING, start.as_bytes()), element(INTEGER, count)].concat();
        element(RANGE, &element(SEQUENCE, &inside))
    }

    #[test]
    fn a_list_covers_its_numbers_and_no_others() {
        let caller: PhoneNumber = "+442079460150".parse().unwrap();
        let many: Vec<_> = (0..40).map(|n| one(&format!("4420794600{n:02}"))).collect();
        let cases: &[(&str, Vec<u8>, Option<bool>)] = &[
            ("a provider", list(&[spc("709J")]), Some(true)),
            ("the number", list(&[one("442079460150")]), Some(true)),
            ("another number", list(&[one("442079460151")]), Some(false)),
            ("a range", list(&[range("442079460100", &[100])]), Some(true)),
            ("a range that ends before", list(&[range("442079460100", &[50])]), Some(false)),
            ("a range with its last number", list(&[range("442079460100", &[51])]), Some(true)),
            ("a range of other length", list(&[range("42079460100", &[100])]), Some(false)),
            ("one of two", list(&[one("15551234567"), one("442079460150")]), Some(true)),
            ("forty others", list(&many), Some(false)),
            ("empty", list(&[]), None),
            ("nothing", vec![], None),
            ("a count of zero", list(&[range("442079460100", &[0])]), None),
            ("a count below zero", list(&[range("442079460100", &[0x80])]), None),
            ("a count without end", list(&[range("442079460100", &[0x7f; 9])]), None),
            ("a provider with a space", list(&[spc("70 9J")]), None),
            ("a number with letters", list(&[one("4420abc")]), None),
            ("an unknown entry", list(&[element(0xa3, b"x")]), None),
            ("cut short", list(&[spc("709J")])[..6].to_vec(), None),
            ("something behind", [list(&[spc("709J")]), vec![0]].concat(), None),
        ];
        for (name, der, covered) in cases {
            let authority = Authority::read(der).ok();
            assert_eq!(authority.map(|list| list.covers(&caller)), *covered, "{name}");
        }
    }

    #[test]
    fn the_holder_is_a_provider_and_never_a_number() {
        let holder = |entries: &[Vec<u8>]| Authority::read(&list(entries)).unwrap().holder();
        assert_eq!(holder(&[one("442079460150"), spc("709J")]), "service provider 709J");
        assert_eq!(holder(&[one("442079460150")]), "the holder of the number");
    }
}
