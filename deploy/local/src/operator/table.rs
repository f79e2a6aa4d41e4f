//! Tables of plain text: columns as wide as their widest cell, numbers to the right.

/// A head and rows of the same length.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines, without blanks at their ends.
    pub(crate) fn lines(&self) -> Vec<String> {
        let columns: Vec<Column> = (0..self.head.len()).map(|at| self.column(at)).collect();
        let head: Vec<String> = self.head.iter().map(|word| (*word).to_owned()).collect();
        std::iter::once(&head).chain(&self.rows).map(|cells| line(cells, &columns)).collect()
    }

    fn column(&self, at: usize) -> Column {
        let cells = || self.rows.iter().filter_map(move |row| row.get(at));
        let head = self.head.get(at).map_or(0, |word| word.chars().count());
        Column {
            width: cells().map(|cell| cell.chars().count()).max().unwrap_or(0).max(head),
            right: self.rows.iter().any(|_| true) && cells().all(|cell| is_number(cell)),
        }
    }
}

struct Column {
    width: usize,
    right: bool,
}

fn line(cells: &[String], columns: &[Column]) -> String {
    let padded = cells.iter().zip(columns).map(|(cell, Column { width, right })| match right {
        true => format!("{cell:>width$}"),
        false => format!("{cell:width$}"),
    });
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn is_number(cell: &str) -> bool {
    cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_words_left() {
        let mut table = Table::new(&["node", "sessions"]);
        table.row(vec!["a".into(), "7".into()]);
        table.row(vec!["node-10".into(), "-".into()]);
        assert_eq!(table.lines(), ["node     sessions", "a               7", "node-10         -"]);
    }

    #[test]
    fn no_rows_is_only_the_head() {
        assert_eq!(Table::new(&["a", "b"]).lines(), ["a  b"]);
    }
}
