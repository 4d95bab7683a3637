//! Answers for people: one thing as lines, many as a table.

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

/// A heading line, then one line per thing. Columns are as wide as their widest text.
pub fn table(things: &[Value], columns: &[Column]) -> String {
    let mut lines = vec![columns.iter().map(|(heading, _)| (*heading).to_owned()).collect::<Vec<_>>()];
    lines.extend(
        things
            .iter()
            .map(|thing| columns.iter().map(|(_, member)| text(&thing[*member])).collect::<Vec<_>>()),
    );
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default())
        .collect();
    let mut out = String::new();
    for line in &lines {
        let padded = line.iter().zip(&widths).map(|(text, width)| format!("{text:width$}"));
        out.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
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
        assert_eq!(table(&things, COLUMNS), expected);
    }

    #[test]
    fn one_thing_is_shown_without_what_it_has_not() {
        let thing = json!({"name": "A\u{1b}[2Jda", "pin": null, "numbers": []});
        assert_eq!(facts(&thing, COLUMNS), "name     A\u{fffd}[2Jda\nnumbers  -\n");
    }
}
