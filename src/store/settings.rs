//! What the store must know before it opens.

use std::path::PathBuf;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// `sqlite:PATH`, already absolute.
    pub url: String,
    /// The key file that PINs, codes and numbers are protected with; made on first start, mode 0600.
    pub key_file: PathBuf,
}
