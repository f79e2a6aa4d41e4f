//! Reading answers by name, tolerant of what is absent.

use serde_json::Value;

/// The text, number or truth at the first of `pointers` that is there; `-` when none is.
pub(crate) fn text(value: &Value, pointers: &[&str]) -> String {
    let found = pointers.iter().filter_map(|pointer| value.pointer(pointer)).find(|found| !found.is_null());
    match found {
        None => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Some(other) => plain(other),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The whole number at the first of `pointers` that holds one.
pub(crate) fn number(value: &Value, pointers: &[&str]) -> Option<u64> {
    pointers.iter().find_map(|pointer| value.pointer(pointer)?.as_u64())
}

/// How long ago unix milliseconds at `pointer` were, such as `1.4s`, `12m`, `3h`.
pub(crate) fn age(value: &Value, pointers: &[&str], now_ms: u64) -> String {
    number(value, pointers).map_or_else(|| "-".to_owned(), |at_ms| ago(now_ms.saturating_sub(at_ms)))
}

/// Milliseconds for people.
pub(crate) fn ago(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        10_000..120_000 => format!("{}s", ms / 1_000),
        120_000..7_200_000 => format!("{}m", ms / 60_000),
        _ => format!("{}h", ms / 3_600_000),
    }
}

/// JSON for people.
pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_that_is_there_is_read() {
        let value = json!({"a": null, "b": {"c": 7}, "d": ["x", "y"], "e": ""});
        assert_eq!(text(&value, &["/a", "/b/c"]), "7");
        assert_eq!(text(&value, &["/d"]), "x, y");
        assert_eq!((text(&value, &["/e"]), text(&value, &["/z"])), ("-".into(), "-".into()));
        assert_eq!(number(&value, &["/a", "/b/c"]), Some(7));
    }

    #[test]
    fn ages_are_short() {
        assert_eq!([1_449, 59_000, 180_000, 7_200_000].map(ago), ["1.4s", "59s", "3m", "2h"]);
        assert_eq!(age(&json!({"at": 5}), &["/at"], 2), "0.0s");
    }
}
