//! Words that every room shares. Nothing here decides anything.

pub mod attestation;
pub mod digit;
pub mod id;
pub mod jitter;
pub mod language;
pub mod now;
pub mod opus;
pub mod phone_number;
pub mod secret;
pub mod srtp;
pub mod text;
pub mod trust;

pub use attestation::Attestation;
pub use digit::Digit;
pub use id::{CallId, HostId, MeetingId, NoticeId, TokenId, VerifiedId};
pub use jitter::JitterBounds;
pub use language::Language;
pub use now::Now;
pub use opus::OpusWishes;
pub use phone_number::{Country, PhoneNumber};
pub use secret::{Code, HostPin, Password, Pin, Token};
pub use srtp::{MediaKey, MediaKeys, Suite};
pub use trust::Trust;
