//! Answers for people: one thing as lines, many as a table.

use std::io::IsTerminal as _;

use serde_json::Value;

use crate::types::text::printable;

/// Heading, member.
pub type Column = (&'static str, &'static str);

/// One line per member that is there: heading, value.
pub fn facts(thing: &Value, columns: &[Column]) -> String {
    let there: Vec<_> = columns.iter().filter(|(_, member)| !thing[*member].is_null()).collect();
    let width = there.iter().map(|(heading, _)| heading.chars().count()).max().unwrap_or_default();
    there.iter().map(|(heading, member)| format!("{heading:width$}  {}\n", text(&thing[*member]))).collect()
}

/// Columns of the terminal that is written to; `None` when it is none: files and pipes get all of it.
pub fn terminal_width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    // SAFETY: the kernel fills in a structure of four numbers, for which all zeros are a value.
    let size = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        (libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) == 0).then_some(size)
    };
    size.map(|size| usize::from(size.ws_col)).filter(|&width| width > 0)
}

/// The narrowest that a column is made.
const NARROW: usize = 6;

/// A heading line, then one line per thing. Columns are as wide as their widest text; where the terminal is
/// narrower, the widest ones are cut, but never the first: it is an id to be copied.
pub fn table(things: &[Value], columns: &[Column], terminal: Option<usize>) -> String {
    let mut lines = vec![columns.iter().map(|(heading, _)| (*heading).to_owned()).collect::<Vec<_>>()];
    lines.extend(
        things
            .iter()
            .map(|thing| columns.iter().map(|(_, member)| text(&thing[*member])).collect::<Vec<_>>()),
    );
    let mut widths: Vec<usize> = (0..columns.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default())
        .collect();
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    while terminal.is_some_and(|terminal| widths.iter().sum::<usize>() + gaps > terminal) {
        let widest = widths.iter_mut().skip(1).filter(|width| **width > NARROW).max();
        let Some(widest) = widest else { break };
        *widest -= 1;
    }
    let mut out = String::new();
    for line in &lines {
        let padded = line.iter().zip(&widths).map(|(text, &width)| format!("{:width$}", cut(text, width)));
        out.push_str(padded.collect::<Vec<_>>().join(GAP).trim_end());
        out.push('\n');
    }
    out
}

/// Between two columns.
const GAP: &str = "  ";

/// At most so many characters; the last one says that there is more.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[("name", "name"), ("numbers", "numbers"), ("PIN", "pin")];

    #[test]
    fn a_table_is_aligned_and_shows_what_is_missing() {
        let things = [
            json!({"name": "Ada", "numbers": ["+4420…0001", "+4420…0002"], "pin": "1"}),
            json!({"name": "Bertrand é", "numbers": [], "pin": null}),
        ];
        let expected = "name        numbers                 PIN\n\
                        Ada         +4420…0001, +4420…0002  1\n\
                        Bertrand é  -                       -\n";
        assert_eq!(table(&things, COLUMNS, None), expected);
        assert_eq!(table(&things, COLUMNS, Some(80)), expected);
        let shown = table(&things, COLUMNS, Some(25));
        assert!(shown.lines().all(|line| line.chars().count() <= 25), "{shown}");
        assert!(shown.contains("Bertrand é  ") && shown.contains("+4420…0…"), "{shown}");
        // An id is never cut, however narrow it is.
        assert!(table(&things, COLUMNS, Some(5)).contains("Bertrand é"));
    }

    #[test]
    fn one_thing_is_shown_without_what_it_has_not() {
        let thing = json!({"name": "A\u{1b}[2Jda", "pin": null, "numbers": []});
        assert_eq!(facts(&thing, COLUMNS), "name     A\u{fffd}[2Jda\nnumbers  -\n");
    }
}
