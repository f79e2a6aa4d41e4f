//! Counts tests from what test runners print, for the closing line of `make test`.

use std::fmt;

/// Tests so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Not run, or run without what they are about (real SRS, a namespace).
    pub skipped: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl Tally {
    /// Reads one line: nextest's `Summary [ 1.2s] 5 tests run: 4 passed (1 slow), 1 failed, 2 skipped`, libtest's `test result: ok. 3
    /// passed; 0 failed; 1 ignored; …`, vitest's `Tests  1 failed | 3
    /// passed | 1 skipped (5)`, or the `# pass 3`, `# fail 0`, `# skipped 1` of `node --test`. Other lines count nothing.
    pub fn line(&mut self, line: &str) {
        let plain = without_colour(line);
        let text = plain.trim();
        if text.starts_with("Summary [") && text.contains("run:") {
            self.words(text.split_once("run:").map_or("", |(_, rest)| rest), ',');
        } else if text.starts_with("test result:") {
            self.words(text.split_once(". ").map_or("", |(_, rest)| rest), ';');
        } else if let Some(rest) = text.strip_prefix("Tests  ") {
            self.words(rest, '|');
        } else if let Some(rest) = text.strip_prefix("# ").or_else(|| text.strip_prefix("ℹ ")) {
            let mut words = rest.split(' ');
            if let (Some(word), Some(Ok(count)), None) = (words.next(), words.next().map(str::parse), words.next()) {
                self.add(word, count);
            }
        }
    }

    /// A test that was counted as passed says that it could not check what it is for.
    pub fn pass_was_skip(&mut self) {
        self.passed = self.passed.saturating_sub(1);
        self.skipped += 1;
    }

    fn words(&mut self, text: &str, separator: char) {
        for part in text.split(separator) {
            let mut words = part.split_whitespace();
            if let (Some(Ok(count)), Some(word)) = (words.next().map(str::parse), words.next()) {
                self.add(word, count);
            }
        }
    }

    fn add(&mut self, word: &str, count: u64) {
        match word {
            "passed" | "pass" => self.passed += count,
            "failed" | "fail" | "exec" | "timed" => self.failed += count,
            "skipped" | "ignored" => self.skipped += count,
            _ => {}
        }
    }
}

/// Text as a terminal shows it, without its colours.
pub(crate) fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, behind)| behind);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> String {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.line(line));
        tally.to_string()
    }

    #[test]
    fn counts_nextest_with_and_without_colour() {
        assert_eq!(
            tally(&["     Summary [   0.010s] 5 tests run: 4 passed (1 slow), 1 failed, 2 skipped"]),
            "4 passed, 1 failed, 2 skipped"
        );
        let coloured = "\u{1b}[32;1m     Summary\u{1b}[0m [   1.0s] \u{1b}[1m1\u{1b}[0m test run: \u{1b}[1m1\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, 0 skipped";
        assert_eq!(tally(&[coloured]), "1 passed, 0 failed, 0 skipped");
        assert_eq!(
            tally(&["Summary [ 1s] 3 tests run: 1 passed, 1 timed out, 1 exec failed, 0 skipped"]),
            "1 passed, 2 failed, 0 skipped"
        );
    }

    #[test]
    fn adds_up_libtest_and_node() {
        let lines = [
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            "# pass 2",
            "# fail 1",
            "# tests 3",
        ];
        assert_eq!(tally(&lines), "5 passed, 1 failed, 1 skipped");
        assert_eq!(tally(&["      Tests  1 failed | 3 passed | 2 skipped (6)"]), "3 passed, 1 failed, 2 skipped");
        assert_eq!(
            tally(&[
                "\u{1b}[2m      Tests \u{1b}[22m \u{1b}[1m\u{1b}[32m59 passed\u{1b}[39m\u{1b}[22m\u{1b}[90m (59)\u{1b}[39m"
            ]),
            "59 passed, 0 failed, 0 skipped"
        );
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(
            tally(&["", "PASS [0.1s] a::b", "100 passed tests are nice", "# a comment 7"]),
            "0 passed, 0 failed, 0 skipped"
        );
    }

    #[test]
    fn a_pass_that_checked_nothing_is_a_skip() {
        let mut tally = Tally { passed: 1, ..Tally::default() };
        tally.pass_was_skip();
        assert_eq!(tally.to_string(), "0 passed, 0 failed, 1 skipped");
    }
}
