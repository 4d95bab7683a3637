//! Warning: what a refusal of a description is about (RFC 3261 §20.43).

use std::fmt;

/// Its value: a code of three digits, who says it, and a sentence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// 300–399.
    pub code: u16,
    pub text: String,
}

impl Warning {
    /// The header's value. `agent` is a token: a name, not a host, so that nothing is told of the network.
    #[must_use]
    pub fn header(&self, agent: &str) -> String {
        format!("{} {agent} \"{}\"", self.code, Quoted(&self.text))
    }
}

/// Inside of a quoted string (§25.1), on one line.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars().filter(|character| !character.is_control()) {
            if matches!(character, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_sentence_stays_one_string_on_one_line() {
        let warning = Warning { code: 399, text: "no \"v=\" first\r\nX: y \\".to_owned() };
        assert_eq!(warning.header("doorline"), r#"399 doorline "no \"v=\" firstX: y \\""#);
    }
}
