//! From the parts `[[webhook]]` to who is told of what.

use std::fs::File;
use std::path::Path;

use super::fault::Faults;
use super::finish::private_text;
use super::raw::Webhook;
use super::read::choice;
use super::signatures::authorities;
use crate::sip::passport::Url;
use crate::store::words::Word;
use crate::store::{HookEvent, Subscription};
use crate::webhook::{Secret, Settings};

/// A webhook, and what it is told of.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    pub settings: Settings,
    pub subscription: Subscription,
}

pub fn webhooks(raw: &[(String, Webhook)], folder: &Path, faults: &mut Faults) -> Vec<Hook> {
    let mut hooks: Vec<Hook> = Vec::new();
    for (path, raw) in raw {
        let at = |key: &str| format!("{path}.{key}");
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let named = (1..=40).contains(&raw.name.len()) && raw.name.bytes().all(good);
        // A missing name has its fault already.
        if !named && !raw.name.is_empty() {
            let shown: String = raw.name.chars().take(60).collect();
            faults.push(at("name"), format!("{shown:?}, expected letters, digits, - and _, at most 40"));
        } else if hooks.iter().any(|hook| hook.settings.name == raw.name) {
            faults.push(at("name"), format!("{:?} twice, expected each name once", raw.name));
        }
        let events: Vec<HookEvent> = raw
            .events
            .iter()
            .filter_map(|event| faults.keep(&at("events"), choice(event, &words())))
            .collect();
        if raw.events.is_empty() {
            faults.push(at("events"), "empty, expected such as [\"call-ended\"]");
        }
        let url = (!raw.url.is_empty()).then(|| place(&raw.url)).and_then(|url| faults.keep(&at("url"), url));
        let secret = (!raw.secret_file.is_empty()).then(|| {
            let file = folder.join(&raw.secret_file);
            File::open(&file)
                .map_err(|error| format!("{error}, expected a file with the secret"))
                .and_then(|open| private_text(open, "the secret"))
                .and_then(|text| Secret::parse(&text).map_err(str::to_owned))
                .map_err(|what| format!("{}: {what}", file.display()))
        });
        let secret = secret.and_then(|secret| faults.keep(&at("secret_file"), secret));
        let authorities = match &raw.ca_file {
            None => Some(Vec::new()),
            Some(file) => faults.keep(&at("ca_file"), authorities(&folder.join(file))),
        };
        let (Some((url, query)), Some(secret), Some(authorities)) = (url, secret, authorities) else {
            continue;
        };
        hooks.push(Hook {
            settings: Settings {
                name: raw.name.clone(),
                host: url.host().to_owned(),
                port: url.port(),
                authority: url.authority().to_owned(),
                path: format!("{}{query}", url.path()),
                secret,
                authorities,
                allow_private: raw.allow_private,
            },
            subscription: Subscription { hook: raw.name.clone(), events },
        });
    }
    hooks
}

/// The place, and its query with the question mark. The text may hold a token: it is never shown.
fn place(text: &str) -> Result<(Url, String), String> {
    let wrong =
        || "no place that can be posted to, expected such as \"https://crm.example.com/doorline\"".to_owned();
    let (place, query) = text.split_once('?').map_or((text, None), |(place, query)| (place, Some(query)));
    let url = Url::parse(place).map_err(|_| wrong())?;
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    if query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        Ok((url, query))
    } else {
        Err(wrong())
    }
}

fn words() -> Vec<(&'static str, HookEvent)> {
    HookEvent::ALL.iter().map(|(event, word)| (*word, *event)).collect()
}
