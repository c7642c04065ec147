//! A table: what was measured of several variants in one run.

/// What a column's numbers are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Nanoseconds; less is better.
    Time,
    /// KiB; less is better.
    Memory,
    /// How many times as much; shown as it is, without ratios.
    Factor,
}

impl Unit {
    /// Its name in the JSON document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "ns",
            Self::Memory => "KiB",
            Self::Factor => "factor",
        }
    }
}

/// Something that was measured of each variant.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// What its numbers are.
    pub unit: Unit,
}

impl Column {
    /// A column of times.
    pub fn time(name: impl Into<String>) -> Self {
        Self { name: name.into(), unit: Unit::Time }
    }
}

/// What was measured of one variant.
#[derive(Clone, Debug)]
pub struct Row {
    /// The variant's name.
    pub label: String,
    /// The row that no host library can beat: this one's ratio to it is shown as `x`.
    pub limit: Option<usize>,
    /// The incumbent's row: how many times better this one is than it is shown as `/`.
    pub incumbent: Option<usize>,
    /// A cell for each column; `None` where there is nothing to measure.
    pub cells: Vec<Option<Cell>>,
}

/// Rows whose cells can be compared: all are of one run.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its heading.
    pub title: String,
    /// What a reader has to know to read it.
    pub note: String,
    /// What was measured.
    pub columns: Vec<Column>,
    /// What it was measured of.
    pub rows: Vec<Row>,
}

impl Table {
    /// The median of a cell, by the names of its row and column.
    pub fn median(&self, row: &str, column: &str) -> Option<f64> {
        let column = self.columns.iter().position(|each| each.name == column)?;
        let row = self.rows.iter().find(|each| each.label == row)?;
        Some((*row.cells.get(column)?)?.median)
    }

    /// The index of the first row whose label begins so.
    pub fn find(&self, label: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.label.starts_with(label))
    }
}

/// The time of one thing (of a call, mostly) over all rounds, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Half of the rounds were faster.
    pub median: f64,
    /// A quarter of the rounds was faster.
    pub lower_quartile: f64,
    /// A quarter of the rounds was slower.
    pub upper_quartile: f64,
}

impl Cell {
    /// What the rounds come to.
    pub fn new(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |quarter: usize| rounds.get(rounds.len() * quarter / 4).copied().unwrap_or(f64::NAN);
        Self { median: at(2), lower_quartile: at(1), upper_quartile: at(3) }
    }

    /// How far apart the middle half of the rounds lies, as a share of the median.
    pub fn spread(&self) -> f64 {
        (self.upper_quartile - self.lower_quartile) / self.median
    }
}
