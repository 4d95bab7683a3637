//! Lists in pages. A cursor names the last row seen, so rows added meanwhile shift nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// Part of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end of the list.
    pub next: Option<Cursor>,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    pub after: Option<Cursor>,
    /// Most items, at least 1.
    pub limit: u32,
}

impl Range {
    /// The first `limit` items.
    #[must_use]
    pub const fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }
}

/// The last row of a page: its time in milliseconds (0 where a list is sorted by id alone) and id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cursor {
    pub(super) time: i64,
    pub(super) id: Uuid,
}

impl Cursor {
    /// Opaque text for the outside.
    #[must_use]
    pub fn to_text(self) -> String {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.time.to_be_bytes());
        bytes[8..].copy_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What [`Cursor::to_text`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        if text.len() != 32 {
            return None;
        }
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (time, id) = bytes.split_first_chunk::<8>()?;
        Some(Self { time: i64::from_be_bytes(*time), id: Uuid::from_slice(id).ok()? })
    }
}

impl<T> Page<T> {
    /// From one row more than asked for, which tells whether there is a next page.
    pub(super) fn of(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> Cursor) -> Self {
        let limit = limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_way_through_a_client() {
        let cursor = Cursor { time: -5, id: Uuid::from_u128(77) };
        assert_eq!(Cursor::from_text(&cursor.to_text()), Some(cursor));
        for text in ["", "x", "////////////////////////////////", "äääääääääääääääää"] {
            assert_eq!(Cursor::from_text(text), None, "{text}");
        }
    }
}
