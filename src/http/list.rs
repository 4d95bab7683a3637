//! Lists: `{"items": [...], "next": CURSOR|null}`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use crate::store::{Cursor, Page, Range};

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct List<T> {
    pub items: Vec<T>,
    /// Where the next page begins: give it as `cursor`. Null at the end.
    pub next: Option<String>,
}

impl<T> List<T> {
    pub fn of<U>(page: Page<U>, item: impl FnMut(U) -> T) -> Self {
        Self { items: page.items.into_iter().map(item).collect(), next: page.next.map(Cursor::to_text) }
    }

    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// Which part of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Most items, 1 to 200; 50 if absent.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl Paging {
    pub fn range(&self) -> Result<Range, Problem> {
        let after = self.cursor.as_deref().map(|text| Cursor::from_text(text).ok_or_else(bad_cursor));
        Ok(Range { after: after.transpose()?, limit: limit(self.limit)? })
    }
}

pub fn limit(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(50) {
        limit @ 1..=200 => Ok(limit),
        other => Err(Problem::bad_parameter("limit", format!("{other}, expected 1 to 200"))),
    }
}

pub fn bad_cursor() -> Problem {
    Problem::bad_parameter("cursor", "expected \"next\" of the page before")
}
