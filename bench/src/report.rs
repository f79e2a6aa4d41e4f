//! Figures: percentiles, a table for people, a JSON line for programs.

use serde_json::{Map, Value};
use std::{io::Write as _, time::Duration};

/// Latencies in microseconds.
#[derive(Debug, Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    /// Notes one.
    pub fn add(&mut self, latency: Duration) {
        self.0.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    /// Takes another's.
    pub fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The value that `percent` of them do not exceed, in milliseconds; 0 without any.
    #[must_use]
    pub fn percentile(&mut self, percent: usize) -> f64 {
        self.0.sort_unstable();
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    }
}

/// The middle one, the mean of the two in the middle for an even number; 0 without any.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(low), Some(high)) if sorted.len().is_multiple_of(2) => f64::midpoint(*low, *high),
        (_, Some(value)) => *value,
        _ => 0.0,
    }
}

/// One scenario's figures by name, in order, with what was wanted of them.
#[derive(Debug)]
pub struct Report {
    name: &'static str,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    wanted: Option<f64>,
}

impl Report {
    /// Empty.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, rows: Vec::new() }
    }

    /// A figure.
    pub fn add(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.rows.push(Row { what: what.into(), value, unit, wanted: None });
    }

    /// A figure that should stay at or below `most`.
    pub fn add_wanted(&mut self, what: impl Into<String>, value: f64, unit: &'static str, most: f64) {
        self.rows.push(Row { what: what.into(), value, unit, wanted: Some(most) });
    }

    /// Whether every figure that has one is within its bound.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.rows.iter().all(|row| row.wanted.is_none_or(|most| row.value <= most))
    }

    /// Prints the table on standard error and the JSON line on standard output.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn print(&self) -> std::io::Result<()> {
        let mut table = format!("\n{}\n", self.name);
        let width = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
        let mut figures = Map::new();
        for Row { what, value, unit, wanted } in &self.rows {
            let digits = if value.abs() >= 100.0 { 0 } else { 2 };
            let verdict = match wanted {
                Some(most) if value <= most => format!("   wanted at most {most}: yes"),
                Some(most) => format!("   wanted at most {most}: NO"),
                None => String::new(),
            };
            table.push_str(&format!("  {what:<width$}  {value:>10.digits$} {unit}{verdict}\n"));
            figures.insert(format!("{what} [{unit}]"), Value::from((value * 1000.0).round() / 1000.0));
        }
        let line = serde_json::json!({ "bench": self.name, "met": self.is_met(), "figures": figures });
        std::io::stderr().write_all(table.as_bytes())?;
        std::io::stdout().write_all(format!("{line}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut some = Latencies::default();
        assert!(some.percentile(99) == 0.0);
        (1..=200).for_each(|ms| some.add(Duration::from_millis(ms)));
        assert!(some.percentile(50) == 100.0 && some.percentile(99) == 198.0 && some.percentile(100) == 200.0);
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert!(median(&[]) == 0.0 && median(&[3.0, 1.0, 2.0]) == 2.0 && median(&[4.0, 1.0, 2.0, 3.0]) == 2.5);
    }

    #[test]
    fn a_bound_is_met_up_to_and_with_itself() {
        let mut report = Report::new("x");
        report.add_wanted("a", 2.0, "ms", 2.0);
        assert!(report.is_met());
        report.add_wanted("b", 2.1, "ms", 2.0);
        assert!(!report.is_met());
    }
}
