//! Reads settings from named variables, collecting every mistake before giving up.

use secrecy::SecretString;
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Source of variables; tests pass a map, `main` passes the process environment.
pub struct Env {
    vars: BTreeMap<String, String>,
    mistakes: Vec<String>,
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").field("names", &self.vars.keys()).field("mistakes", &self.mistakes).finish()
    }
}

/// All the mistakes found, one line each. Values are never shown: they may be secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvError(Vec<String>);

impl EnvError {
    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for EnvError {}

/// The exit code for wrong settings (`EX_USAGE` of sysexits).
pub const EXIT_CODE: u8 = 64;

impl Env {
    /// Takes the given variables as the whole world. One set to the empty string counts as absent, as Compose files leave them.
    #[must_use]
    pub fn new(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { vars: vars.into_iter().filter(|(_, value)| !value.is_empty()).collect(), mistakes: Vec::new() }
    }

    /// Takes the process environment; variables that are not UTF-8 are left out.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// The raw text, if set.
    #[must_use]
    pub fn text(&self, name: &'static str) -> Option<String> {
        self.vars.get(name).cloned()
    }

    /// Reads `name` if set; a malformed value is noted for [`Env::finish`] with the parser's words, which must not repeat the value.
    pub fn optional<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.read(name, |raw| raw.parse().map_err(|e: T::Err| e.to_string()))
    }

    /// Reads `name`, or `default` when it is absent or malformed.
    pub fn or<T>(&mut self, name: &'static str, default: T) -> T
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.optional(name).unwrap_or(default)
    }

    /// Reads `name` through `parse` if set.
    pub fn read<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match parse(self.vars.get(name)?) {
            Ok(value) => Some(value),
            Err(why) => {
                self.mistake(name, &why);
                None
            }
        }
    }

    /// Reads a comma-separated list; empty when absent.
    pub fn list<T>(&mut self, name: &'static str) -> Vec<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.read(name, |raw| {
            let parts = raw.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(|part| part.parse().map_err(|e: T::Err| e.to_string())).collect()
        })
        .unwrap_or_default()
    }

    /// Reads text that must be there; says so if it is not.
    pub fn required(&mut self, name: &'static str, what: &str) -> String {
        let value = self.text(name);
        if value.is_none() {
            self.mistake(name, &format!("is not set; it must be {what}"));
        }
        value.unwrap_or_default()
    }

    /// Reads a secret, if set.
    #[must_use]
    pub fn secret(&self, name: &'static str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    /// Notes a mistake found by the caller.
    pub fn mistake(&mut self, name: &'static str, why: &str) {
        self.mistakes.push(format!("{name}: {why}"));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Every variable that was missing or malformed, together.
    pub fn finish<T>(self, value: T) -> Result<T, EnvError> {
        if self.mistakes.is_empty() { Ok(value) } else { Err(EnvError(self.mistakes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &[(&str, &str)]) -> Env {
        Env::new(vars.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn reports_every_bad_variable_and_no_value() {
        let mut env = env(&[("A", "hunter2"), ("B", "hunter3")]);
        let a: u16 = env.or("A", 1);
        let b: bool = env.or("B", true);
        let c = env.required("C", "a URL");
        let error = env.finish((a, b, c)).unwrap_err();
        assert_eq!(error.lines().len(), 3);
        assert!(error.to_string().contains("C: is not set; it must be a URL"));
        assert!(!error.to_string().contains("hunter"), "a value is shown");
    }

    #[test]
    fn empty_counts_as_absent_and_lists_are_trimmed() {
        let mut env = env(&[("A", ""), ("L", "1, 2,,3")]);
        assert_eq!(env.optional::<u8>("A"), None);
        assert_eq!(env.list::<u8>("L"), [1, 2, 3]);
        assert_eq!(env.list::<u8>("M"), [0_u8; 0]);
        assert!(env.finish(()).is_ok());
    }
}
