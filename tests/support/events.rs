//! Reading along: server-sent events over a plain connection, as a browser's page would.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer that goes on.
pub struct Events {
    lines: BufReader<TcpStream>,
    /// The status line and the headers.
    pub head: String,
    /// The last id that came.
    pub seen: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: u64,
    pub name: String,
    pub data: Value,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Came {
    Event(Event),
    Comment,
    /// The service has ended the answer.
    End,
}

/// Longest time between two pieces: a sign of life comes every 15 s.
const PATIENCE: Duration = Duration::from_secs(25);

impl Events {
    /// Asks for events. `query` begins with `?` or is empty.
    pub fn open(address: SocketAddr, token: &str, query: &str, last: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(address).expect("the service listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        // HTTP/1.0: the answer comes without chunks and ends with the connection.
        let request =
            format!("GET /api/v1/events{query} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).expect("the service reads");
        let mut this = Self { lines: BufReader::new(stream), head: String::new(), seen: None };
        while let Some(line) = this.line() {
            if line.is_empty() {
                break;
            }
            this.head += &line;
            this.head += "\n";
        }
        this
    }

    pub fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).unwrap_or_default();
        status.parse().unwrap_or_else(|_| panic!("no status: {}", self.head))
    }

    /// # Panics
    /// When nothing comes for too long.
    pub fn came(&mut self) -> Came {
        let (mut name, mut data, mut comment) = (String::new(), String::new(), false);
        while let Some(line) = self.line() {
            match line.split_once(": ") {
                None if line.is_empty() && !data.is_empty() => {
                    let data = serde_json::from_str(&data).unwrap_or_else(|_| panic!("no JSON: {data}"));
                    return Came::Event(Event { id: self.seen.expect("an event has an id"), name, data });
                }
                None if line.is_empty() && comment => return Came::Comment,
                Some(("id", id)) => self.seen = Some(id.parse().expect("an id is a number")),
                Some(("event", text)) => text.clone_into(&mut name),
                Some(("data", text)) => data += text,
                Some(("", _)) => comment = true,
                _ => {}
            }
        }
        Came::End
    }

    /// The next event.
    ///
    /// # Panics
    /// When the answer ends, or nothing comes.
    pub fn event(&mut self) -> Event {
        loop {
            match self.came() {
                Came::Event(event) => return event,
                Came::Comment => {}
                Came::End => panic!("the answer ends"),
            }
        }
    }

    /// The next event of that name; others, which are given too, may come before.
    pub fn until(&mut self, name: &str) -> Vec<Event> {
        let mut events = vec![self.event()];
        while events.last().is_some_and(|event| event.name != name) {
            assert!(events.len() < 100, "no {name} among {events:?}");
            events.push(self.event());
        }
        events
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("nothing comes: {error}"),
        }
    }
}
