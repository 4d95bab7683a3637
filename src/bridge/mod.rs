//! What the service decides: who may enter, what callers hear, what is live.
//!
//! One [`Bridge`] takes every event of the service, one after another, and answers with what to do.
//! It has no socket, clock, SQL, thread or randomness, so a call of an hour is a list of inputs
//! that a test plays in a millisecond.

pub mod command;
pub mod ending;
pub mod input;
pub mod output;
pub mod prompt;
pub mod question;
pub mod record;
pub mod recurrence;
pub mod settings;
pub mod snapshot;
pub mod view;

pub use command::{Command, Rejection, Reply, RequestId};
pub use ending::Ending;
pub use input::{Incoming, Input};
pub use output::{Output, PlaybackId};
pub use prompt::Prompt;
pub use question::{Answer, Question, QuestionId};
pub use record::CallRecord;
pub use recurrence::{Recurrence, Series};
pub use settings::Settings;
pub use snapshot::Snapshot;
pub use view::{HostView, MeetingView};
