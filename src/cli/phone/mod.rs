//! `doorline phone`: a test caller.

pub mod fingers;
pub mod heard;
pub mod keys;
pub mod tone;
pub mod voice;
pub mod wav;
