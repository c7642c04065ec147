//! A table: the measurements of several variants in one run.

/// The unit of a column's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Nanoseconds; less is better.
    Time,
    /// KiB; less is better.
    Memory,
    /// A factor, shown as it is, without ratios.
    Factor,
}

impl Unit {
    /// Returns the unit's name in the JSON document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "ns",
            Self::Memory => "KiB",
            Self::Factor => "factor",
        }
    }
}

/// A quantity that is measured of each variant.
#[derive(Clone, Debug)]
pub struct Column {
    /// The column's heading.
    pub name: String,
    /// The unit of its numbers.
    pub unit: Unit,
}

impl Column {
    /// Returns a column of times.
    pub fn time(name: impl Into<String>) -> Self {
        Self { name: name.into(), unit: Unit::Time }
    }
}

/// The measurements of one variant.
#[derive(Clone, Debug)]
pub struct Row {
    /// The variant's name.
    pub label: String,
    /// The row that no host library can beat. This row's ratio to it is shown as `x`.
    pub limit: Option<usize>,
    /// The incumbent's row. How many times better this row is than it is shown as `/`.
    pub incumbent: Option<usize>,
    /// A cell for each column; `None` where nothing was measured.
    pub cells: Vec<Option<Cell>>,
}

/// Rows whose cells can be compared, because all are of one run.
#[derive(Clone, Debug)]
pub struct Table {
    /// The table's heading.
    pub title: String,
    /// What a reader must know to understand the table.
    pub note: String,
    /// The quantities that were measured.
    pub columns: Vec<Column>,
    /// The variants that were measured.
    pub rows: Vec<Row>,
}

impl Table {
    /// Returns the median of a cell, by the names of its row and column.
    pub fn median(&self, row: &str, column: &str) -> Option<f64> {
        let column = self.columns.iter().position(|each| each.name == column)?;
        let row = self.rows.iter().find(|each| each.label == row)?;
        Some((*row.cells.get(column)?)?.median)
    }

    /// Returns the index of the first row whose label begins with `label`.
    pub fn find(&self, label: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.label.starts_with(label))
    }
}

/// The time of one measured step (usually a call) over all rounds, in nanoseconds.
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
    /// Returns the quartiles of the rounds.
    pub fn new(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |quarter: usize| rounds.get(rounds.len() * quarter / 4).copied().unwrap_or(f64::NAN);
        Self { median: at(2), lower_quartile: at(1), upper_quartile: at(3) }
    }

    /// Returns the distance between the quartiles, as a share of the median.
    pub fn spread(&self) -> f64 {
        (self.upper_quartile - self.lower_quartile) / self.median
    }
}
