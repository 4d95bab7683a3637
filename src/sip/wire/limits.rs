//! How much of anything one message may hold. More is refused, never cut short.

/// Bytes of a whole message, body included. A UDP datagram cannot be larger.
pub const MESSAGE_BYTES: usize = 64 * 1024;
/// Header fields of a message.
pub const HEADERS: usize = 128;
/// Bytes of one header field once unfolded, and of the start line.
pub const HEADER_BYTES: usize = 8 * 1024;
/// Via values of a message. RFC 4475 §3.1.1.7 sends 34 and expects them all back.
pub const VIAS: usize = 40;
/// Contact values of a message.
pub const CONTACTS: usize = 16;
/// Route and Record-Route values of a message, each.
pub const ROUTES: usize = 32;
/// Parameters of one URI, Via or address.
pub const PARAMS: usize = 64;
/// Option tags of Require or Supported.
pub const OPTION_TAGS: usize = 64;
