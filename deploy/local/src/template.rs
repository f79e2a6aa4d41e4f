//! Fills `{$NAME}` in a configuration template, the form that Caddy itself reads from the environment.

/// A template could not be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text names something nobody gave.
    #[error("the template wants {{${0}}}, which has no value")]
    Missing(String),
    /// A `{$` without its `}`.
    #[error("the template has an open {{$ without its }}")]
    Open,
    /// A value that would end its line and begin a directive.
    #[error("the value of {{${0}}} has a line break, a quote, a brace or a semicolon")]
    Unsafe(String),
}

/// Replaces every `{$NAME}` of `text` by its value.
///
/// # Errors
/// A name without a value, an unclosed name, or a value that could break out of its place.
pub fn fill(text: &str, values: &[(&str, String)]) -> Result<String, TemplateError> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{$") {
        let (name, behind) = after.split_once('}').ok_or(TemplateError::Open)?;
        let (_, value) =
            values.iter().find(|(n, _)| *n == name).ok_or_else(|| TemplateError::Missing(name.to_owned()))?;
        if value.contains(['\n', '\r', '"', '{', '}', ';']) {
            return Err(TemplateError::Unsafe(name.to_owned()));
        }
        filled.push_str(before);
        filled.push_str(value);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> [(&'static str, String); 2] {
        [("A", "1".into()), ("B", "2;drop".into())]
    }

    #[test]
    fn fills_each_name_and_leaves_other_braces() {
        assert_eq!(fill("x {$A} { y } {$A}", &values()).unwrap(), "x 1 { y } 1");
    }

    #[test]
    fn says_what_is_missing_open_or_unsafe() {
        assert_eq!(fill("{$C}", &values()), Err(TemplateError::Missing("C".into())));
        assert_eq!(fill("{$A", &values()), Err(TemplateError::Open));
        assert_eq!(fill("{$B}", &values()), Err(TemplateError::Unsafe("B".into())));
    }
}
