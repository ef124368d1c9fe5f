//! The table at the end.

use std::iter;

/// One line of figures.
#[derive(Debug, Default)]
pub struct Row {
    what: String,
    without: String,
    terraform: String,
    tflock: String,
    budget: String,
}

/// Whether a promise was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Within,
    Over,
}

impl Verdict {
    pub fn of_at_most(figure: f64, limit: f64) -> Self {
        if figure <= limit {
            Self::Within
        } else {
            Self::Over
        }
    }

    pub fn of_at_least(figure: f64, limit: f64) -> Self {
        Self::of_at_most(-figure, -limit)
    }
}

impl Row {
    pub fn of(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ..Self::default()
        }
    }

    /// The figure without any lock, or without tflock.
    pub fn without(mut self, figure: impl Into<String>) -> Self {
        self.without = figure.into();
        self
    }

    /// terraform's figure with its own lock.
    pub fn terraform(mut self, figure: impl Into<String>) -> Self {
        self.terraform = figure.into();
        self
    }

    pub fn tflock(mut self, figure: impl Into<String>) -> Self {
        self.tflock = figure.into();
        self
    }

    /// What was promised, and whether it was kept.
    pub fn budget(mut self, promised: &str, verdict: Verdict) -> Self {
        let verdict = match verdict {
            Verdict::Within => "within",
            Verdict::Over => "OVER",
        };
        self.budget = format!("{promised}: {verdict}");
        self
    }

    fn cells(&self) -> [&str; 5] {
        [
            &self.what,
            &self.without,
            &self.terraform,
            &self.tflock,
            &self.budget,
        ]
    }
}

const HEADINGS: [&str; 5] = ["", "without", "terraform", "tflock", "budget"];

/// All sections in columns of common widths.
pub fn render(sections: &[(&str, Vec<Row>)]) -> String {
    let rows = || sections.iter().flat_map(|(_, rows)| rows);
    let all_cells = || iter::once(HEADINGS).chain(rows().map(Row::cells));
    let widths: [usize; 5] = std::array::from_fn(|column| {
        let width = |cells: [&str; 5]| cells[column].chars().count();
        all_cells().map(width).max().unwrap_or_default()
    });
    let line = |cells: [&str; 5]| {
        let padded = iter::zip(cells, widths).map(|(cell, width)| format!("{cell:width$}"));
        let padded: Vec<_> = padded.collect();
        format!("  {}\n", padded.join("  ").trim_end())
    };
    let mut text = format!("\n{}", line(HEADINGS));
    for (title, rows) in sections {
        text.extend([title, "\n"]);
        text.extend(rows.iter().map(|row| line(row.cells())));
    }
    text
}
