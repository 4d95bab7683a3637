//! Mail: how invitations read and that other programs understand their calendar, and the way of letters through a
//! real mail server.

mod delivery;
mod invitation;
#[path = "../support/mail/mod.rs"]
mod post;
#[path = "../support/mod.rs"]
mod support;
