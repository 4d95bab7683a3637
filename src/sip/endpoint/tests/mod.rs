//! The endpoint in virtual time: scripts of one peer ([`script`]), and two endpoints over a network
//! that loses, doubles and reorders ([`lossy`]).

mod answering;
mod calling;
mod lossy;
mod script;
