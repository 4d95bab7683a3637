//! Drawing secrets: PINs, one-time codes, host PINs and tokens, all from the system's random source.
//!
//! No person chooses any of them, so none is a birthday or a pattern on the keypad.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Error;
use crate::types::{Code, HostPin, Pin, Token};

/// How often we draw again when a secret is taken or too easy, before we give up. At nine digits
/// and a million hosts a draw is taken once in a thousand.
pub(super) const TRIES: usize = 200;

/// Digits of a host PIN. Its guessing is bounded like a code's, so a million is plenty.
const HOST_PIN_LENGTH: usize = 6;

/// `length` must be one a PIN may have. None begins with 0: at the prompts `*0` asks for the host
/// PIN, and must not be the beginning of a PIN.
pub(super) fn pin(length: usize) -> Result<Pin, Error> {
    loop {
        let digits = digits(length)?;
        if !digits.starts_with('0') {
            return Pin::parse(&digits).map_err(|_| Error::NoneFree("PIN of that length"));
        }
    }
}

pub(super) fn host_pin() -> Result<HostPin, Error> {
    loop {
        let digits = digits(HOST_PIN_LENGTH)?;
        if !is_easy(&digits) {
            return Ok(HostPin::parse(&digits).expect("six decimal digits are a host PIN"));
        }
    }
}

/// Four digits that nobody would guess first: no four alike, no run, not the year.
pub(super) fn code(year: i16) -> Result<Code, Error> {
    loop {
        let digits = digits(4)?;
        if !is_easy(&digits) && digits != format!("{year:04}") {
            return Ok(Code::parse(&digits).expect("four decimal digits are a code"));
        }
    }
}

/// 256 bits as 43 characters of base64url, after whose it is.
pub(super) fn host_token() -> Result<Token, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(Token::new(format!("dlh_{}", URL_SAFE_NO_PAD.encode(bytes))))
}

/// All alike, or a run up or down; a run goes on from 9 to 0, as the keys do.
fn is_easy(digits: &str) -> bool {
    [0, 1, 9]
        .into_iter()
        .any(|step| digits.as_bytes().windows(2).all(|pair| (pair[0] - b'0' + step) % 10 == pair[1] - b'0'))
}

/// Bytes from 250 on are passed over: 256 is no multiple of ten, so they would favour 0 to 5.
fn digits(count: usize) -> Result<String, Error> {
    let mut digits = String::with_capacity(count);
    while digits.len() < count {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        let fair = bytes.iter().filter(|byte| **byte < 250).map(|byte| char::from(b'0' + byte % 10));
        digits.extend(fair.take(count - digits.len()));
    }
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easy_entries_are_those_a_guesser_tries_first() {
        for easy in ["0000", "7777", "1234", "4321", "6789", "7890", "0987", "123456"] {
            assert!(is_easy(easy), "{easy}");
        }
        for fine in ["1235", "1122", "0001", "4271", "2468"] {
            assert!(!is_easy(fine), "{fine}");
        }
    }

    #[test]
    fn every_digit_is_drawn_as_often_as_any_other() {
        let mut counts = [0_u32; 10];
        for digit in digits(100_000).unwrap().bytes() {
            counts[usize::from(digit - b'0')] += 1;
        }
        // Five standard deviations of a binomial count with p = 1/10; a biased draw (256 mod 10)
        // would put 0–5 at 10,156 and 6–9 at 9,766, and one run in 170,000 fails by chance.
        for (digit, count) in counts.into_iter().enumerate() {
            assert!((9_525..=10_475).contains(&count), "{digit} was drawn {count} times");
        }
    }

    #[test]
    fn no_pin_begins_with_zero() {
        for _ in 0..2_000 {
            assert!(!pin(9).unwrap().reveal().starts_with('0'));
        }
    }

    #[test]
    fn a_code_is_never_easy_nor_the_year() {
        for _ in 0..20_000 {
            let code = code(2026).unwrap();
            assert!(!is_easy(code.reveal()) && code.reveal() != "2026", "an easy code was drawn");
        }
    }

    #[test]
    fn a_token_has_256_bits_and_says_whose_it_is() {
        let token = host_token().unwrap();
        let random = token.reveal().strip_prefix("dlh_").unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(random).unwrap().len(), 32);
        assert_ne!(token, host_token().unwrap());
    }
}
