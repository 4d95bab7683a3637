//! The bridge on a stage: callers, a store and a clock that are all made up.
//!
//! `doorline play` and the flow tests use it. Lines of a script go in ("anna: dial 4711#"), lines
//! of what happened come out ("anna: play EnterCode"). Time is virtual; nothing here waits.
//!
//! A script begins with who and what there is, one per line:
//!
//! ```text
//! at 2026-03-02 09:05                      (the default is 09:00 of that day, UTC)
//! host ada pin 123456789 [known-callers code-once] [own +442079460099] [host-pin 445566] [language pl-PL]
//! one-time ada review code 4711 09:00-10:00 [wait] [known-callers always-code] [closed 08:55] [cancelled]
//! standard ada clinic 09:00-10:00 [wait]
//! remembered ada +442079460001 [trust network] [trunk lab] [verified 2026-01-02] [used 2026-03-01]
//! set full 2 | calls 1 | entering 1 | code-tries 1 | number-tries 2 | lobby-minutes 1 | …
//! ```
//!
//! The meeting without times of host `ada` is called `ada-room`. Then it tells what happens; a
//! caller's name before a colon may be left out when there is one caller only:
//!
//! ```text
//! > anna: call from +442079460001 network [over lab] [in en-GB pl-PL]      > anna: call withheld      > anna: ring …
//! > anna: dial 123456789# [twice]       > anna: hang up | cancel | lose media | lose transport
//! > wait 20s                    > store gone | store back | store slow 2s | store silent
//! > ada opens review | closes review | cancels review      > remove ada      > drain     > end all calls
//! > mute anna | unmute anna | remove anna | remove and forget anna
//! > date +1h                    > revoke +442079460001
//! > wire slow 1s | wire back    (how long a good-bye takes on the wire, and figures after it)
//! ```

mod line;
pub mod replay;
mod rules;
mod stage;
mod store;

pub use rules::{Line, Rules};
pub use stage::{Stage, check, play};
pub use store::Store;
