//! What the store must know before it opens.

use std::path::PathBuf;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// `sqlite:PATH`, already absolute, or `postgres://USER@HOST/DATABASE` without a password.
    pub url: String,
    /// One line with the server's password.
    pub password_file: Option<PathBuf>,
    /// The key file that PINs, codes and numbers are protected with; made on first start, mode 0600.
    pub key_file: PathBuf,
}
