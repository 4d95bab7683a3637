//! SIP messages on the wire: bytes in, bounded and checked messages out, and back.
//!
//! [`parse`] takes one message; [`Framer`] cuts a stream into messages first. Both go the same way:
//! `lines` unfolds and names every header within [`limits`], `parse` reads those that signalling
//! acts on into types, and the rest stays an rsip header table ([`Headers`]). What is wrong with a
//! message has a name ([`Wrong`]), a status, and, where enough of it could be read, an answer
//! ([`Fault`]). Nothing here panics or recurses on what it is given.

mod fault;
mod framer;
mod grammar;
mod headers;
pub mod limits;
mod lines;
mod message;
mod method;
mod name_addr;
mod params;
mod parse;
mod reason;
mod via;

pub use fault::{Fault, Salvaged, Wrong};
pub use framer::{Frame, Framer};
pub(super) use grammar::split;
pub use grammar::{is_token, quote, unquote};
pub use headers::Headers;
pub use message::{Message, Request, Response};
pub use method::{CSeq, Method};
pub use name_addr::NameAddr;
pub use params::{Param, Params};
pub use parse::{Framing, parse};
pub use reason::reason_phrase;
pub use via::Via;
