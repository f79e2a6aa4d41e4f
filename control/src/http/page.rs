//! Pages of lists: `?limit=` and an opaque `?cursor=`.

use crate::{domain::Invalid, error::ApiError};
use data_encoding::BASE64URL_NOPAD;
use proto::api::{LIMIT_DEFAULT, LIMIT_MAX, Page};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use time::OffsetDateTime;

/// Longest cursor that is looked at, in characters.
const CURSOR_LEN_MAX: usize = 256;

/// `?cursor=&limit=`. To be flattened by hand into a list's own query, because serde cannot refuse unknown fields there.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// From the page before.
    pub cursor: Option<String>,
    /// Items in a page, 1 to 200; 50 when absent.
    pub limit: Option<u32>,
}

impl PageQuery {
    /// Items wanted.
    ///
    /// # Errors
    /// [`Invalid`] outside 1 to [`LIMIT_MAX`].
    pub fn limit(&self) -> Result<i64, Invalid> {
        match self.limit.unwrap_or(LIMIT_DEFAULT) {
            limit @ 1..=LIMIT_MAX => Ok(i64::from(limit)),
            _ => Err(Invalid { field: "limit", rule: "must be 1 to 200" }),
        }
    }

    /// Where to go on.
    ///
    /// # Errors
    /// A cursor that was not made here.
    pub fn after<T: DeserializeOwned>(&self) -> Result<Option<T>, ApiError> {
        self.cursor.as_deref().map(open).transpose()
    }
}

/// Place in a list ordered by time, newest first, then id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ByTime {
    /// Unix microseconds of the last item; Postgres keeps no more.
    #[serde(rename = "t")]
    micros: i64,
    /// Its id.
    #[serde(rename = "i")]
    pub id: String,
}

impl ByTime {
    /// The place of an item.
    #[must_use]
    pub fn of(at: OffsetDateTime, id: impl ToString) -> Self {
        let micros = i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
        Self { micros, id: id.to_string() }
    }

    /// The item's time.
    #[must_use]
    pub fn at(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.micros) * 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// Makes a page of `limit` items out of up to `limit + 1` rows: one more than asked for tells whether there is a next page.
pub fn page<T, C: Serialize>(mut items: Vec<T>, limit: i64, place: impl FnOnce(&T) -> C) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more);
    let next_cursor = last.map(|item| seal(&place(item)));
    Page { items, next_cursor }
}

fn seal(place: &impl Serialize) -> String {
    BASE64URL_NOPAD.encode(&serde_json::to_vec(place).unwrap_or_default())
}

fn open<T: DeserializeOwned>(cursor: &str) -> Result<T, ApiError> {
    let wrong =
        || ApiError::BadRequest { field: Some("cursor".to_owned()), detail: "not a cursor of this list".to_owned() };
    if cursor.len() > CURSOR_LEN_MAX {
        return Err(wrong());
    }
    let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).map_err(|_| wrong())?;
    serde_json::from_slice(&bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_cursor_only_when_there_is_more() {
        let at = OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(1_234_567);
        let full = page(vec![1, 2, 3], 2, |item| ByTime::of(at, item));
        assert_eq!(full.items, [1, 2]);
        let query = PageQuery { cursor: full.next_cursor, limit: None };
        let place: ByTime = query.after().unwrap().unwrap();
        assert_eq!((place.at(), place.id.as_str()), (at, "2"));
        assert!(page(vec![1, 2], 2, |item| ByTime::of(at, item)).next_cursor.is_none());
    }

    #[test]
    fn junk_is_no_cursor() {
        for junk in ["x", "e30", "????", &"A".repeat(300)] {
            let query = PageQuery { cursor: Some(junk.to_owned()), limit: None };
            assert!(query.after::<ByTime>().is_err(), "{junk}");
        }
    }
}
