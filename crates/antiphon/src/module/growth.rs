//! How far one instance's memory and tables may grow.

use antiphon_protocol::Limits;

use crate::errors::{Error, ErrorKind, Exceeded, Resource};

/// How many tables an instance may have. Compilers emit one or two. The limit of elements holds for
/// each table, so without a limit of tables it would bound nothing.
pub const MAX_TABLES: u64 = 10;

/// Refuses growth beyond the limits, and remembers that it did, so that a trap after that is named
/// after the limit.
///
/// An engine keeps one with each instance and asks it from its own limiter. It calls
/// [`forget`](Self::forget) before each call, and passes every error of guest code through
/// [`explain`](Self::explain).
///
/// ```
/// use antiphon::Limits;
/// use antiphon::errors::{Error, ErrorKind};
/// use antiphon::growth::Growth;
///
/// let mut growth = Growth::new(&Limits::new().memory(1 << 20));
/// assert!(growth.memory(1 << 20));
/// assert!(!growth.memory((1 << 20) + 65_536)); // the guest's `memory.grow` returns -1
///
/// let error = growth.explain(Error::new(ErrorKind::Trapped, "unreachable"));
/// assert_eq!(error.kind(), ErrorKind::MemoryLimit);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    memory: u64,
    table_elements: u64,
    refused: Option<Refused>,
}

/// Why a growth was refused.
#[derive(Clone, Copy, Debug)]
enum Refused {
    /// By a limit of the guest; with what was to grow, and its unit.
    Limit(&'static str, Exceeded),
    /// By the system, which has no memory for it.
    System,
}

impl Growth {
    /// Creates the growth within these limits, none of it refused yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            memory: limits.memory_or_default(),
            table_elements: limits.table_elements_or_default(),
            refused: None,
        }
    }

    /// Returns whether a memory may have this many bytes. The engine asks before it makes or grows
    /// one.
    #[must_use]
    pub fn memory(&mut self, desired: usize) -> bool {
        self.allow("bytes of memory", desired, Exceeded::new("memory", self.memory, 0, "bytes"))
    }

    /// Returns whether a table may have this many elements. The engine asks before it makes or
    /// grows one.
    #[must_use]
    pub fn table(&mut self, desired: usize) -> bool {
        let limit = Exceeded::new("table_elements", self.table_elements, 0, "elements");
        self.allow("table elements", desired, limit)
    }

    fn allow(&mut self, what: &'static str, desired: usize, limit: Exceeded) -> bool {
        let used = u64::try_from(desired).unwrap_or(u64::MAX);
        if used <= limit.allowed {
            return true;
        }
        self.refused = Some(Refused::Limit(what, Exceeded { used, ..limit }));
        false
    }

    /// Notes that the system has no memory for a growth that the limits allow. The guest sees the
    /// same -1 as for a growth beyond a limit.
    pub fn system_refused(&mut self) {
        self.refused = Some(Refused::System);
    }

    /// Forgets a refusal, because another call begins.
    #[inline]
    pub fn forget(&mut self) {
        self.refused = None;
    }

    /// Turns a trap after a refusal into an error that names the limit, or says that the system has
    /// no memory. The trap is its source.
    ///
    /// Only an [`ErrorKind::Trapped`] changes: a guest that got no memory may end by a wild pointer
    /// or an abort as well as by a trap. An exit keeps its code.
    #[must_use]
    pub fn explain(&self, error: Error) -> Error {
        let Some(refused) = self.refused else { return error };
        if error.kind() != ErrorKind::Trapped || error.exit_code().is_some() {
            return error;
        }
        match refused {
            Refused::Limit(what, exceeded) => {
                let Exceeded { limit, used, allowed, .. } = exceeded;
                let message = format!(
                    "{} after growth to {used} {what} was refused by the limit of {allowed} (raise it with Limits::{limit})",
                    error.message()
                );
                Error::new(ErrorKind::MemoryLimit, message).with_exceeded(exceeded).with_source(error)
            }
            Refused::System => {
                Error::out_of_resources(Resource::Memory, "a growth of the guest").with_source(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::{Fate, Fault};
    use std::error::Error as _;

    fn growth() -> Growth {
        Growth::new(&Limits::new().memory(1_000).table_elements(10))
    }

    fn trap() -> Error {
        Error::new(ErrorKind::Trapped, "unreachable")
    }

    #[test]
    fn growth_up_to_the_limits_is_allowed_and_explains_nothing() {
        let mut growth = growth();
        assert!(growth.memory(0) && growth.memory(1_000) && growth.table(10));
        let error = growth.explain(trap());
        assert_eq!((error.kind(), error.message()), (ErrorKind::Trapped, "unreachable"));
    }

    #[test]
    fn a_trap_after_a_refusal_is_named_after_the_last_limit_until_it_is_forgotten() {
        let mut growth = growth();
        assert!(!growth.table(11));
        let error = growth.explain(trap());
        assert_eq!(error.kind(), ErrorKind::MemoryLimit);
        assert_eq!(
            error.message(),
            "unreachable after growth to 11 table elements was refused by the limit of 10 (raise it with Limits::table_elements)"
        );
        assert_eq!(error.exceeded().unwrap().to_string(), "table_elements: 11 of 10 elements");
        let source = error.source().unwrap().downcast_ref::<Error>().unwrap();
        assert_eq!((source.kind(), source.message()), (ErrorKind::Trapped, "unreachable"));

        assert!(!growth.memory(1_001));
        // A growth that is allowed later does not make up for it.
        assert!(growth.memory(1_000));
        let error = growth.explain(trap());
        assert_eq!(
            error.message(),
            "unreachable after growth to 1001 bytes of memory was refused by the limit of 1000 (raise it with Limits::memory)"
        );

        growth.forget();
        assert_eq!(growth.explain(trap()).kind(), ErrorKind::Trapped);
    }

    #[test]
    fn a_trap_after_the_system_had_no_memory_is_not_blamed_on_the_guest() {
        let mut growth = growth();
        assert!(growth.memory(1_000));
        growth.system_refused();
        let error = growth.explain(trap());
        assert_eq!((error.kind(), error.fault()), (ErrorKind::OutOfResources, Fault::Host));
        assert_eq!((error.fate(), error.exceeded()), (Fate::Discarded, None));
        assert!(error.message().starts_with("the system refused memory for a growth of the guest: "));
        let source = error.source().unwrap().downcast_ref::<Error>().unwrap();
        assert_eq!(source.kind(), ErrorKind::Trapped);
        growth.forget();
        assert_eq!(growth.explain(trap()).kind(), ErrorKind::Trapped);
    }

    #[test]
    fn an_exit_and_what_is_no_trap_stay_what_they_are() {
        let mut growth = growth();
        assert!(!growth.memory(usize::MAX));
        let exit = growth.explain(trap().with_exit_code(0));
        assert_eq!((exit.kind(), exit.exit_code()), (ErrorKind::Trapped, Some(0)));
        for kind in [ErrorKind::StackOverflow, ErrorKind::OutOfFuel, ErrorKind::Cancelled, ErrorKind::Engine]
        {
            assert_eq!(growth.explain(Error::new(kind, "it ended")).kind(), kind);
        }
    }
}
