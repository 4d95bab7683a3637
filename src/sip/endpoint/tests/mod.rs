//! The endpoint in virtual time: scripts of one peer ([`script`]), and two endpoints over a network
//! that loses, doubles and reorders ([`lossy`]), and messages that are broken ([`mangled`]).

mod admitting;
mod answering;
mod calling;
mod early;
mod keeping;
mod large;
mod lossy;
mod mangled;
mod script;
mod upkeep;
