//! What comes in: bodies, ids and query parameters, with the field named that is wrong.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::BODY_MAX;
use super::context::Context;
use super::problem::Problem;

/// A JSON object. No body at all is an empty one.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Context> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, context: &Context) -> Result<Self, Problem> {
        let is_json = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        let bytes = Bytes::from_request(request, context).await.map_err(|rejection| {
            if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
                Problem::too_large(BODY_MAX)
            } else {
                Problem::malformed("the body broke off")
            }
        })?;
        if bytes.is_empty() {
            return parse(b"{}").map(Self);
        }
        if !is_json {
            return Err(Problem::not_json());
        }
        parse(&bytes).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        Problem::malformed(format!("no JSON at line {}, column {}", error.line(), error.column()))
    })?;
    let Value::Object(fields) = value else {
        return Err(Problem::invalid("", "expected a JSON object"));
    };
    T::deserialize(Value::Object(fields.clone())).map_err(|error| describe::<T>(fields, &error.to_string()))
}

/// serde says what is wrong, but not where: leave one field out after another until the complaint
/// is another one.
fn describe<T: DeserializeOwned>(fields: Map<String, Value>, message: &str) -> Problem {
    for lead in ["unknown field `", "missing field `"] {
        if let Some((field, rest)) = message.strip_prefix(lead).and_then(|rest| rest.split_once('`')) {
            let detail = match rest.strip_prefix(", expected ") {
                Some(expected) => format!("unknown field, expected {}", shortened(expected)),
                None if lead.starts_with("unknown") => "unknown field".to_owned(),
                None => "missing".to_owned(),
            };
            return Problem::invalid(field, detail);
        }
    }
    let culprit = fields.keys().find(|name| {
        let rest: Map<_, _> = fields.iter().filter(|(other, _)| other != name).map(clone_pair).collect();
        match T::deserialize(Value::Object(rest)) {
            Ok(_) => true,
            Err(error) => error.to_string() != message,
        }
    });
    Problem::invalid(culprit.map_or("", String::as_str), shortened(&without_value(message)))
}

fn clone_pair((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// `invalid type: string "…", expected …` without the value, which may be a number or a PIN.
fn without_value(message: &str) -> String {
    match (message.strip_prefix("invalid "), message.rsplit_once(", expected ")) {
        (Some(invalid), Some((_, expected))) => {
            let got = invalid.split_once(": ").map_or("", |(_, got)| got);
            let kind = got.split(['`', '"', ',']).next().unwrap_or_default().trim();
            format!("{kind}, expected {expected}")
        }
        _ => message.to_owned(),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}

/// For a field of a PATCH that may be null: absent is `None`, null is `Some(None)`.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

/// The `{id}` of the path. What is no id names nothing.
pub struct Id<T>(pub T);

impl<T: FromStr> FromRequestParts<Context> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, context).await;
        let id = path.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(|| Problem::no_such("id"))
    }
}

/// Query parameters; unknown ones are refused.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Context> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Context) -> Result<Self, Problem> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.rsplit("query string: ").next().unwrap_or_default();
                let name = |lead| text.split_once(lead).and_then(|(_, rest)| rest.split_once('`'));
                match name("unknown field `").or_else(|| name("duplicate field `")) {
                    Some((name, rest)) => {
                        let rest = rest.trim_start_matches(", ");
                        Err(Problem::bad_parameter(name, shortened(&format!("unknown or doubled, {rest}"))))
                    }
                    None => {
                        // "limit: invalid digit found in string"
                        let (name, detail) = text.split_once(": ").unwrap_or(("", text));
                        Err(Problem::bad_parameter(name, shortened(&without_value(detail))))
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Door {
        name: String,
        #[serde(default)]
        keys: Vec<String>,
        #[serde(default, deserialize_with = "present")]
        colour: Option<Option<String>>,
        #[serde(default)]
        width: Option<u32>,
    }

    #[test]
    fn a_body_that_is_wrong_names_the_field() {
        let cases = [
            ("[]", 422, "", "expected a JSON object"),
            ("{", 400, "", "no JSON at line 1, column 1"),
            ("{}", 422, "name", "missing"),
            (r#"{"name": 5}"#, 422, "name", "integer, expected a string"),
            (r#"{"name": "a", "keys": ["x", 447700900123]}"#, 422, "keys", "integer, expected a string"),
            (r#"{"name": "a", "keys": "+447700900123"}"#, 422, "keys", "string, expected a sequence"),
            (r#"{"name": "a", "width": -1}"#, 422, "width", "integer, expected u32"),
            (r#"{"name": "a", "nome": 1}"#, 422, "nome", "unknown field, expected one of"),
        ];
        for (body, status, field, detail) in cases {
            let problem = parse::<Door>(body.as_bytes()).unwrap_err();
            let json = serde_json::to_value(&problem).unwrap();
            assert_eq!(json["status"], status, "{body}");
            assert_eq!(json["field"].as_str().unwrap_or_default(), field, "{body}");
            assert!(json["detail"].as_str().unwrap().starts_with(detail), "{body}: {json}");
            assert!(!json.to_string().contains("447700900123"), "{body}: a number is told");
        }
    }

    #[test]
    fn absent_and_null_are_two_things() {
        let door = |text: &str| parse::<Door>(text.as_bytes()).unwrap().colour;
        assert_eq!(door(r#"{"name": "a"}"#), None);
        assert_eq!(door(r#"{"name": "a", "colour": null}"#), Some(None));
        assert_eq!(door(r#"{"name": "a", "colour": "red"}"#), Some(Some("red".to_owned())));
    }
}
