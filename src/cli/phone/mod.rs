//! `doorline phone`: a test caller.

pub mod heard;
pub mod keys;
pub mod tone;
pub mod wav;
