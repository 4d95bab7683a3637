//! Requests to the API, and what came back in a sentence when it is not what was wanted.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;
use ureq::http::{Method, Request};

use super::Connection;
use crate::types::Token;
use crate::types::text::printable;

pub struct Client {
    agent: ureq::Agent,
    url: String,
    token: Token,
}

impl Client {
    pub fn new(connection: &Connection) -> anyhow::Result<Self> {
        let environment = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let url = connection
            .url
            .clone()
            .or_else(|| environment("DOORLINE_URL"))
            .unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
        if !url.starts_with("http://") {
            bail!(
                "{}: expected http://HOST:PORT (for a service behind https, run this on its own machine)",
                printable(&url)
            );
        }
        let token = match (&connection.token, &connection.token_file) {
            (Some(token), _) => token.reveal().to_owned(),
            (None, Some(file)) => {
                std::fs::read_to_string(file).with_context(|| format!("token file {}", file.display()))?
            }
            (None, None) => environment("DOORLINE_OPERATOR_TOKEN")
                .context("no token: give --token-file FILE, --token TOKEN, or set DOORLINE_OPERATOR_TOKEN")?,
        };
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("a token that is empty or has spaces in it");
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(Duration::from_secs(30)))
            .max_redirects(0)
            // A token does not go to a proxy that happens to stand in the environment.
            .proxy(None)
            .build()
            .new_agent();
        Ok(Self { agent, url: url.trim_end_matches('/').to_owned(), token: Token::new(token) })
    }

    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None)
    }

    /// What is no JSON.
    pub fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let (_, bytes) = self.ask(Method::GET, path, None)?;
        Ok(bytes)
    }

    pub fn post(&self, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.send(Method::POST, path, body)
    }

    pub fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.send(Method::DELETE, path, None).map(|_| ())
    }

    /// Every item of a list, page after page.
    pub fn all(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        self.up_to(path, usize::MAX)
    }

    /// The first `most` items of a list.
    pub fn up_to(&self, path: &str, most: usize) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut page = self.get(path)?;
        loop {
            match page["items"].take() {
                Value::Array(more) => items.extend(more),
                _ => bail!("{}{path}: the answer is no list; is this a Doorline service?", self.url),
            }
            if items.len() >= most {
                items.truncate(most);
                return Ok(items);
            }
            let Some(next) = page["next"].as_str() else { return Ok(items) };
            let mark = if path.contains('?') { '&' } else { '?' };
            page = self.get(&format!("{path}{mark}cursor={next}"))?;
        }
    }

    fn send(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let (asked, bytes) = self.ask(method, path, body)?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes)
            .map_err(|_| anyhow!("{asked}: the answer is no JSON; is this a Doorline service?"))
    }

    /// What was asked, in words, and the body of its success.
    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(String, Vec<u8>)> {
        let url = format!("{}/api/v1{path}", self.url);
        let asked = format!("{method} {}", printable(&url));
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", self.token.reveal()));
        let answer = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.to_string());
                self.agent.run(request.with_context(|| asked.clone())?)
            }
            None => self.agent.run(request.body(()).with_context(|| asked.clone())?),
        };
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(ureq::Error::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                bail!("{}: nobody listens there; is the service running?", printable(&self.url))
            }
            Err(error) => return Err(anyhow!(error).context(asked)),
        };
        let status = answer.status();
        let bytes = answer.body_mut().read_to_vec().with_context(|| format!("{asked}: the answer"))?;
        if status.is_success() {
            return Ok((asked, bytes));
        }
        let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let told = |member: &str| problem[member].as_str().map(printable);
        if let Some(faults) = problem["faults"].as_array() {
            let text = |fault: &Value, member: &str| printable(fault[member].as_str().unwrap_or_default());
            let lines = faults.iter().map(|fault| {
                let key = Some(text(fault, "key")).filter(|key| !key.is_empty());
                let key = key.map(|key| format!("{key}: ")).unwrap_or_default();
                format!("\n{}: {key}{}", text(fault, "file"), text(fault, "what"))
            });
            bail!("the configuration has faults, nothing was changed:{}", lines.collect::<String>());
        }
        match (told("title"), told("detail"), told("field")) {
            (Some(title), Some(detail), Some(field)) => {
                bail!("{asked}: {} {title}: {field}: {detail}", status.as_u16())
            }
            (Some(title), Some(detail), None) => bail!("{asked}: {} {title}: {detail}", status.as_u16()),
            _ => bail!("{asked}: {status}, with no reason given; is this a Doorline service?"),
        }
    }
}
