//! The invitation as HTML for mail programs: inline styles alone, nothing loaded from anywhere.
//!
//! Colours are left to the reader's program, light or dark; structure is headings, lists and links, so
//! that it reads well aloud. Every text passes through [`escaped`].

use super::invitation::{Invitation, Method, as_uri};
use super::text;
use super::words::Words;

pub fn html(invitation: &Invitation, words: &Words) -> String {
    let mut body = format!("<h1 style=\"{HEADING}\">{}</h1>", escaped(&text::headline(invitation, words)));
    if let Some(series) = &invitation.series {
        paragraph(&mut body, &text::when(series, words));
        if let Some(repeats) = text::repeats(invitation, series, words) {
            paragraph(&mut body, &repeats);
        }
    }
    match invitation.method {
        Method::Cancel => paragraph(&mut body, &words.plain("nothing-to-do")),
        Method::Request => {
            body.push_str(&format!(
                "<h2 style=\"{HEADING}\">{}</h2>",
                escaped(&words.plain("join-by-phone"))
            ));
            numbers(&mut body, invitation, words);
            secrets(&mut body, invitation, words);
            for note in text::notes(invitation, words) {
                paragraph(&mut body, &note);
            }
        }
    }
    page(words, &text::subject(invitation, words), &body)
}

/// A headline and paragraphs.
pub fn letter(words: &Words, subject: &str, paragraphs: &[String]) -> String {
    let mut body = format!("<h1 style=\"{HEADING}\">{}</h1>", escaped(subject));
    for text in paragraphs {
        paragraph(&mut body, text);
    }
    page(words, subject, &body)
}

fn page(words: &Words, title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n</head>\n\
         <body style=\"{BODY}\">\n{body}</body>\n</html>\n",
        words.tag,
        escaped(title),
    )
}

fn paragraph(body: &mut String, text: &str) {
    body.push_str(&format!("<p style=\"margin:0 0 12px\">{}</p>\n", escaped(text)));
}

/// Each number is a link that dials it and keys PIN and code.
fn numbers(body: &mut String, invitation: &Invitation, words: &Words) {
    if invitation.numbers.is_empty() {
        return paragraph(body, &words.plain("any-number"));
    }
    body.push_str("<ul style=\"margin:0 0 12px;padding-left:20px\">\n");
    for (number, tap) in invitation.numbers.iter().zip(invitation.one_tap()) {
        body.push_str(&format!(
            "<li style=\"margin:0 0 8px\"><a href=\"{}\">{}</a></li>\n",
            escaped(&as_uri(&tap)),
            escaped(&text::number_line(number, words)),
        ));
    }
    body.push_str("</ul>\n");
    paragraph(body, &format!("{}: {}.", words.plain("one-tap"), words.plain("one-tap-explained")));
}

fn secrets(body: &mut String, invitation: &Invitation, words: &Words) {
    let mut one = |name: &str, digits: &str| {
        body.push_str(&format!(
            "<p style=\"margin:0 0 12px\">{}: <strong style=\"font-size:20px;white-space:nowrap\">{}</strong></p>\n",
            escaped(&words.plain(name)),
            escaped(digits),
        ));
    };
    one("pin", &text::grouped(invitation.pin.reveal()));
    if let Some(code) = &invitation.code {
        one("code", code.reveal());
    }
}

/// For text and for attributes in double quotes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

const BODY: &str =
    "margin:0;padding:16px;max-width:640px;font-family:system-ui,sans-serif;font-size:16px;line-height:1.4";
const HEADING: &str = "margin:0 0 12px;font-size:20px;line-height:1.2";
