//! What a module asks for before any of its code runs.

use antiphon_protocol::Limits;

use super::growth::MAX_TABLES;
use crate::errors::{Error, ErrorKind, Exceeded, Result};

/// What a module asks for before any of its code runs: its memory and its tables at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Needs {
    /// Bytes of its largest memory, whether imported or its own.
    pub memory: u64,
    /// How many tables it has, imported ones included.
    pub tables: u64,
    /// Elements of its largest table.
    pub table_elements: u64,
}

impl Needs {
    /// Refuses a module that could not even start within the limits. The error is clearer than that
    /// of a failed instantiation.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModule`], with what the module needs and the limit.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        let (memory, elements) = (limits.memory_or_default(), limits.table_elements_or_default());
        let checks = [
            ("bytes of memory", Exceeded::new("memory", memory, self.memory, "bytes")),
            ("tables", Exceeded::new("tables", MAX_TABLES, self.tables, "tables")),
            (
                "elements in a table",
                Exceeded::new("table_elements", elements, self.table_elements, "elements"),
            ),
        ];
        match checks.into_iter().find(|(_, check)| check.used > check.allowed) {
            Some((what, exceeded)) => Err(refused(what, exceeded)),
            None => Ok(()),
        }
    }
}

#[cold]
fn refused(what: &str, exceeded: Exceeded) -> Error {
    let Exceeded { limit, allowed, used, .. } = exceeded;
    let more = match limit {
        "tables" => "which is fixed".to_owned(),
        limit => format!("raise it with Limits::{limit}"),
    };
    let message = format!("the module starts with {used} {what}, over the limit of {allowed} ({more})");
    Error::new(ErrorKind::InvalidModule, message).with_exceeded(exceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_up_to_the_limits_are_met_and_what_is_over_one_is_named_with_it() {
        let limits = Limits::new().memory(1_000).table_elements(20);
        let most = Needs { memory: 1_000, tables: 10, table_elements: 20 };
        assert!(most.check(&limits).is_ok());
        let over = [
            (
                Needs { memory: 1_001, ..most },
                "1001 bytes of memory, over the limit of 1000 (raise it with Limits::memory)",
            ),
            (Needs { tables: 11, ..most }, "11 tables, over the limit of 10 (which is fixed)"),
            (
                Needs { table_elements: 21, ..most },
                "21 elements in a table, over the limit of 20 (raise it with Limits::table_elements)",
            ),
        ];
        for (needs, said) in over {
            let error = needs.check(&limits).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidModule);
            assert_eq!(error.message(), format!("the module starts with {said}"));
            let exceeded = error.exceeded().unwrap();
            assert_eq!(exceeded.used, exceeded.allowed + 1);
        }
    }
}
