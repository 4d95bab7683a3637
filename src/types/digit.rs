//! One key of a telephone keypad, as DTMF knows it (ITU-T Q.23): 0–9, `*`, `#`, A–D.

use std::fmt;

/// A key press. Its number is the event code of RFC 4733 §3.2 (0–9, 10 = `*`, 11 = `#`, 12–15 = A–D).
///
/// `Debug` hides which key it was: digits are PINs and codes. Ask [`Digit::as_char`] for the key.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digit(u8);

impl Digit {
    pub const STAR: Self = Self(10);
    pub const POUND: Self = Self(11);

    /// The key of an RFC 4733 event code; `None` above 15 (flash and tones are no keys).
    pub const fn from_event(code: u8) -> Option<Self> {
        if code < 16 { Some(Self(code)) } else { None }
    }

    /// The RFC 4733 event code, 0–15.
    pub const fn event(self) -> u8 {
        self.0
    }

    /// `0`–`9`, `*`, `#`, `A`–`D` (also lower case); anything else is no key.
    pub const fn from_char(key: char) -> Option<Self> {
        Some(Self(match key {
            '0'..='9' => key as u8 - b'0',
            '*' => 10,
            '#' => 11,
            'A'..='D' => key as u8 - b'A' + 12,
            'a'..='d' => key as u8 - b'a' + 12,
            _ => return None,
        }))
    }

    pub const fn as_char(self) -> char {
        b"0123456789*#ABCD"[self.0 as usize] as char
    }

    /// `0`–`9`, the keys that PINs and codes are made of.
    pub const fn is_decimal(self) -> bool {
        self.0 < 10
    }
}

impl fmt::Debug for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            10 => "Digit(*)",
            11 => "Digit(#)",
            _ => "Digit(hidden)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_survives_the_way_through_its_event_code() {
        for key in "0123456789*#ABCD".chars() {
            let digit = Digit::from_char(key).unwrap();
            assert_eq!(Digit::from_event(digit.event()).unwrap().as_char(), key);
        }
        assert_eq!(Digit::from_event(16), None);
        assert_eq!(Digit::from_char('x'), None);
    }

    #[test]
    fn a_printed_digit_tells_nothing() {
        assert_eq!(format!("{:?}", Digit::from_char('7').unwrap()), "Digit(hidden)");
    }
}
