//! The metrics of one service: registered once, and listed for docs/metrics.md.

use prometheus::{
    Encoder as _, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector, proto::MetricFamily, proto::MetricType,
};
use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

/// What docs/metrics.md says of one metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels, in the order of its code.
    pub labels: Vec<String>,
    /// Its help.
    pub help: String,
}

impl Row {
    /// As a row of the table in docs/metrics.md.
    #[must_use]
    pub fn line(&self) -> String {
        let labels = self.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let labels = if labels.is_empty() { "–".to_owned() } else { labels };
        format!("| `{}` | {} | {labels} | {} |", self.name, self.kind, self.help)
    }
}

/// A registry that remembers what is in it; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Book {
    registry: Registry,
    rows: Arc<Mutex<Vec<Row>>>,
}

impl Book {
    /// An empty one with a registry of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a metric and gives it back.
    ///
    /// # Errors
    /// A name that is not well formed, or taken: a bug.
    pub fn keep<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> prometheus::Result<C> {
        let made = made?;
        // A metric without children is collected as an empty family, which still knows its type.
        let kind = made.collect().first().map_or("untyped", word);
        let rows = made.desc().into_iter().map(|desc| Row {
            name: desc.fq_name.clone(),
            kind,
            labels: desc.variable_labels.clone(),
            help: desc.help.clone(),
        });
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).extend(rows);
        self.registry.register(Box::new(made.clone()))?;
        Ok(made)
    }

    /// Registers what every process has: CPU, memory, descriptors, start (`process_*`), and its version as `{prefix}_build_info`.
    ///
    /// # Errors
    /// As [`Book::keep`].
    pub fn keep_process(&self, prefix: &str, version: &str) -> prometheus::Result<()> {
        self.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let info = Opts::new(format!("{prefix}_build_info"), "1, with the version that runs.");
        self.keep(IntGaugeVec::new(info, &["version"]))?.with_label_values(&[version]).set(1);
        Ok(())
    }

    /// All of them by name, those of [`Book::keep_process`] that Prometheus names itself left out.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        rows.sort();
        rows
    }

    /// Everything in Prometheus's text format.
    ///
    /// # Errors
    /// A bug: a metric that cannot be written.
    pub fn text(&self) -> prometheus::Result<String> {
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        String::from_utf8(out).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }

    /// Compares with what `page` (docs/metrics.md) says of the metrics whose names begin with `prefix`.
    ///
    /// # Errors
    /// The lines to take out and to put in.
    pub fn compare(&self, page: &str, prefix: &str) -> Result<(), String> {
        let start = format!("| `{prefix}");
        let documented: Vec<&str> = page.lines().filter(|line| line.starts_with(&start)).collect();
        let lines: Vec<String> = self.rows().iter().map(Row::line).collect();
        let mut difference = String::new();
        for line in documented.iter().filter(|line| !lines.iter().any(|known| known == *line)) {
            writeln!(difference, "- {line}").map_err(|error| error.to_string())?;
        }
        for line in lines.iter().filter(|line| !documented.contains(&line.as_str())) {
            writeln!(difference, "+ {line}").map_err(|error| error.to_string())?;
        }
        if difference.is_empty() { Ok(()) } else { Err(format!("docs/metrics.md:\n{difference}")) }
    }
}

fn word(family: &MetricFamily) -> &'static str {
    match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{Histogram, HistogramOpts, IntCounterVec};

    #[test]
    fn a_book_lists_what_it_holds_also_before_it_was_counted() {
        let book = Book::new();
        book.keep(IntCounterVec::new(Opts::new("b_total", "Bs."), &["kind"])).unwrap();
        book.keep(Histogram::with_opts(HistogramOpts::new("a_seconds", "As."))).unwrap();
        book.keep_process("x", "1.2.3").unwrap();
        let lines: Vec<String> = book.rows().iter().map(Row::line).collect();
        let info = "| `x_build_info` | gauge | `version` | 1, with the version that runs. |";
        assert_eq!(lines, ["| `a_seconds` | histogram | – | As. |", "| `b_total` | counter | `kind` | Bs. |", info]);
        let text = book.text().unwrap();
        assert!(text.contains("x_build_info{version=\"1.2.3\"} 1") && text.contains("process_open_fds"), "{text}");
        let page = format!("words\n{}\n| `a_old` | gauge | – | Gone. |\n", lines[0]);
        assert_eq!(book.compare(&page, "a_").unwrap_err().lines().nth(1), Some("- | `a_old` | gauge | – | Gone. |"));
        assert_eq!(book.compare(&lines.join("\n"), ""), Ok(()));
        assert!(book.keep(Histogram::with_opts(HistogramOpts::new("a_seconds", "As."))).is_err(), "a name is taken");
    }
}
