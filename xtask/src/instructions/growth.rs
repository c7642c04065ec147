//! Calls that must not take more instructions when there is more of something.

use anyhow::{Context, Result, ensure};

use super::TOLERANCE;
use super::figures::Counts;

/// A call with few of something, and one with many.
const PAIRS: [(&str, &str); 1] = [("router-8", "router-1000")];

/// Fails if the second call of a pair takes more instructions than the first, on any engine in any
/// mode. Both are counted in one run, so neither the compiler nor the machine can be the reason.
pub(super) fn ensure_none(counts: &Counts) -> Result<()> {
    for (few, many) in PAIRS {
        let mut compared = 0;
        for (engine, modes) in counts {
            for (mode, calls) in modes {
                let Some(&small) = calls.get(few) else { continue };
                let &large = calls
                    .get(many)
                    .with_context(|| format!("{engine}, {mode}: {few} is counted, but {many} is not"))?;
                ensure!(
                    large * 100 <= small * (100 + TOLERANCE),
                    "{engine}, {mode}: {many} takes {large} instructions, more than {TOLERANCE} % above the {small} of {few}"
                );
                compared += 1;
            }
        }
        ensure!(compared > 0, "{few} and {many} are not counted any more");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn counts(calls: &[(&str, u64)]) -> Counts {
        let calls = calls.iter().map(|(call, count)| ((*call).to_owned(), *count)).collect();
        BTreeMap::from([("wasmi".to_owned(), BTreeMap::from([("sync".to_owned(), calls)]))])
    }

    #[test]
    fn a_call_that_grows_with_the_routes_is_named() {
        ensure_none(&counts(&[("router-8", 1_000), ("router-1000", 1_030)])).unwrap();
        ensure_none(&counts(&[("router-8", 1_000), ("router-1000", 10)])).unwrap();
        let error = ensure_none(&counts(&[("router-8", 1_000), ("router-1000", 1_031)])).unwrap_err();
        assert!(error.to_string().starts_with("wasmi, sync: router-1000 takes 1031"), "{error}");
    }

    #[test]
    fn what_is_not_counted_is_not_flat() {
        assert!(ensure_none(&counts(&[("null", 1)])).is_err());
        assert!(ensure_none(&counts(&[("router-8", 1)])).is_err());
    }
}
