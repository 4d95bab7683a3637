//! `doorline meetings`: the meetings that are live now, or who is in one of them.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::client::Client;
use super::table::Column;
use super::{Connection, list, watch};
use crate::types::MeetingId;

#[derive(Args, Debug)]
pub struct MeetingsArguments {
    #[command(flatten)]
    pub connection: Connection,
    /// Who is in this meeting.
    pub meeting: Option<MeetingId>,
    /// Shown anew every two seconds until Ctrl-C.
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
}

/// `doorline meetings …`, printed to `out`.
pub fn meetings(arguments: &MeetingsArguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.connection)?;
    let (path, columns, what) = match arguments.meeting {
        Some(meeting) => (format!("/meetings/{meeting}/roster"), ROSTER, "participants"),
        None => ("/live".to_owned(), LIVE, "meetings"),
    };
    watch(arguments.watch, out, |out| {
        let answer = client.get(&path)?;
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        if arguments.watch {
            write!(out, "{} {what}\n\n", items.len())?;
        }
        list(out, arguments.connection.json, items, columns)
    })
}

const LIVE: &[Column] = &[
    ("id", "meeting_id"),
    ("title", "title"),
    ("kind", "kind"),
    ("opened", "opened_at"),
    ("by", "opened_by"),
    ("in", "participants"),
    ("waiting", "waiting"),
    ("lobby", "lobby"),
    ("locked", "locked"),
    ("recording", "recording"),
];
const ROSTER: &[Column] = &[
    ("id", "id"),
    ("number", "number"),
    ("role", "role"),
    ("entered", "entered"),
    ("joined", "joined_at"),
    ("muted", "muted"),
    ("hand", "hand_raised"),
    ("speaks", "talking"),
];
