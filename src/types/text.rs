//! Text that somebody else wrote, where a person reads it.

/// It moves a cursor, ends a line, or turns the direction of writing (Unicode UAX #9): with it a text can
/// show something else than it says.
#[must_use]
pub fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text for a terminal: what would mislead is a mark.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if misleads(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misleads_is_marked_and_nothing_else() {
        assert_eq!(
            printable("Ża\u{1b}[2J\n\u{202e}b\u{200f}\u{2028}\u{feff} 会"),
            "Ża\u{fffd}[2J\u{fffd}\u{fffd}b\u{fffd}\u{fffd}\u{fffd} 会"
        );
    }
}
