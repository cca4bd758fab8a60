//! Text tables and numbers for people.

use crate::drawing::number;

/// Side that a column leans to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Columns of a table; widths are fixed, so that rows can be printed as they come.
pub struct Table {
    columns: Vec<(&'static str, Align, usize)>,
}

impl Table {
    /// Columns of name, side and least width.
    pub fn new(columns: &[(&'static str, Align, usize)]) -> Self {
        let wide_enough = |&(name, align, width): &(&'static str, Align, usize)| (name, align, width.max(name.len()));
        Self { columns: columns.iter().map(wide_enough).collect() }
    }

    /// Widens every column to its widest cell, `most` at most.
    #[must_use]
    pub fn fit(mut self, rows: &[Vec<String>], most: usize) -> Self {
        for (i, (_, _, width)) in self.columns.iter_mut().enumerate() {
            let widest = rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
            *width = (*width).max(widest.min(most));
        }
        self
    }

    pub fn header(&self) -> String {
        self.row(&self.columns.iter().map(|column| column.0.to_owned()).collect::<Vec<_>>())
    }

    /// One line; a cell that is too wide for its column loses its middle.
    pub fn row(&self, cells: &[String]) -> String {
        let cell = |(text, &(_, align, width)): (&String, &(&str, Align, usize))| {
            let text = shortened(text, width);
            match align {
                Align::Left => format!("{text:<width$}"),
                Align::Right => format!("{text:>width$}"),
            }
        };
        let cells: Vec<String> = cells.iter().zip(&self.columns).map(cell).collect();
        cells.join("  ").trim_end().to_owned()
    }
}

/// `text` in `width` characters, dots in place of its middle where it is longer.
pub fn shortened(text: &str, width: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= width {
        return text.to_owned();
    }
    let tail = width.saturating_sub(2) / 2;
    let head = width.saturating_sub(2) - tail;
    characters[..head].iter().chain(&['.', '.']).chain(&characters[characters.len() - tail..]).collect()
}

/// A number that may be absent.
pub fn optional(v: Option<f64>) -> String {
    v.map_or_else(|| "-".to_owned(), number)
}

/// An error: its size matters, its digits do not.
pub fn error(v: Option<f64>) -> String {
    v.map_or_else(|| "-".to_owned(), |v| format!("{v:.1e}"))
}

/// `12.3 M`, `1.2 G`: `v` with a decimal prefix.
pub fn prefixed(v: f64) -> String {
    let prefixes = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let found = prefixes.iter().find(|(size, _)| v >= *size);
    found.map_or_else(|| format!("{v}"), |(size, prefix)| format!("{:.2} {prefix}", v / size))
}

/// Bytes in binary multiples.
pub fn bytes(v: usize) -> String {
    match v {
        0..1024 => format!("{v} B"),
        1024..1_048_576 => format!("{:.1} KiB", v as f64 / 1024.0),
        _ => format!("{:.1} MiB", v as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_keep_to_their_columns() {
        let table = Table::new(&[("name", Align::Left, 9), ("n", Align::Right, 3)]);
        assert_eq!(table.header(), "name         n");
        assert_eq!(table.row(&["person1952.png".into(), "7".into()]), "pers..png    7");
        assert_eq!(table.fit(&[vec!["a long name here".into(), "1".into()]], 12).header(), "name            n");
    }

    #[test]
    fn numbers_are_short() {
        let cases = [(0.0, "0"), (1.23456, "1.2346"), (-12.345, "-12.35"), (1e-9, "1.00e-9"), (f64::NAN, "NaN")];
        for (v, want) in cases {
            assert_eq!(number(v), want);
        }
        assert_eq!((prefixed(3.9e9), prefixed(12.0), bytes(1536)), ("3.90 G".into(), "12".into(), "1.5 KiB".into()));
    }
}
