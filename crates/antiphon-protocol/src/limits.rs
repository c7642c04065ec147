//! The limits of one call and one instance.

use core::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident, $with:ident: $type:ty = $default:expr;)+) => {
        /// What a guest may use. The defaults are safe, and are raised only explicitly.
        ///
        /// Sizes are in bytes. A limit that was not set has its default. Where the host and the
        /// provider both set a limit, [`stricter`](Limits::stricter) decides. The largest value of
        /// a limit's type means 'no limit'.
        ///
        /// ```
        /// use antiphon_protocol::Limits;
        /// use core::time::Duration;
        ///
        /// let limits = Limits::new().with_memory(256 << 20).with_deadline(Duration::from_millis(50));
        /// assert_eq!(limits.host_calls(), 1_000);
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Limits {
            $($name: Option<$type>,)+
        }

        impl Limits {
            /// Creates limits with nothing set: every limit has its default.
            #[must_use]
            pub const fn new() -> Self {
                Self { $($name: None,)+ }
            }

            /// Merges two sets of limits. Where both set a limit, the smaller value holds; where
            /// one does, that value holds. A default never competes with a value that was set, so
            /// it cannot defeat a raised limit.
            #[must_use]
            pub fn stricter(self, other: Self) -> Self {
                Self {
                    $($name: match (self.$name, other.$name) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    },)+
                }
            }

            $(
                $(#[doc = $doc])+
                #[must_use]
                #[inline]
                pub const fn $name(&self) -> $type {
                    match self.$name {
                        Some(value) => value,
                        None => $default,
                    }
                }

                #[doc = concat!("Sets [`", stringify!($name), "`](Self::", stringify!($name), ").")]
                #[must_use]
                pub const fn $with(mut self, value: $type) -> Self {
                    self.$name = Some(value);
                    self
                }
            )+
        }
    };
}

limits! {
    /// Returns the largest linear memory of an instance, in bytes. The default is 64 MiB. A growth
    /// beyond it is refused (`memory.grow` returns -1).
    memory, with_memory: u64 = 64 * MIB;
    /// Returns the most elements of each table. The default is 20,000.
    table_elements, with_table_elements: u64 = 20_000;
    /// Returns the largest size of a module, in bytes. The default is 16 MiB.
    module, with_module: u64 = 16 * MIB;
    /// Returns the wall-clock time of one call: queueing, rebuilding, guest, and host calls
    /// together. The default is 2 s.
    deadline, with_deadline: Duration = Duration::from_secs(2);
    /// Returns the wall-clock time of the whole start of an instance, including its init exports.
    /// The default is 2 s.
    init_deadline, with_init_deadline: Duration = Duration::from_secs(2);
    /// Returns the fuel of one call, and of one start. The default is no limit. The engine decides
    /// what a unit is.
    fuel, with_fuel: u64 = u64::MAX;
    /// Returns the largest payload of a call, in bytes. The default is 4 MiB.
    request, with_request: u64 = 4 * MIB;
    /// Returns the largest answer of a call, in bytes. The default is 4 MiB.
    response, with_response: u64 = 4 * MIB;
    /// Returns the largest payload, and the largest answer, of one host call, in bytes. The default
    /// is 4 MiB.
    host_payload, with_host_payload: u64 = 4 * MIB;
    /// Returns the longest name, in bytes: the operation of a call, and the binding, namespace, and
    /// operation of a host call. The default is 1 KiB.
    name, with_name: u64 = KIB;
    /// Returns the longest error text, in bytes. Longer texts are cut. The default is 64 KiB.
    error_text, with_error_text: u64 = 64 * KIB;
    /// Returns the most host calls in one call. The default is 1,000.
    host_calls, with_host_calls: u64 = 1_000;
    /// Returns how many bytes the host calls of one call may carry, arguments and answers together.
    /// The default is 256 MiB.
    host_call_bytes, with_host_call_bytes: u64 = 256 * MIB;
    /// Returns the longest log line, in bytes. Longer lines are cut. The default is 4 KiB.
    log_line, with_log_line: u64 = 4 * KIB;
    /// Returns the largest log of one call, in bytes. Lines beyond it are counted as dropped. The
    /// default is 64 KiB.
    log, with_log: u64 = 64 * KIB;
}

impl Limits {
    /// The default of [`fuel`](Self::fuel) for a deterministic guest. Nothing else ends such a
    /// guest.
    pub const DETERMINISTIC_FUEL: u64 = 2_000_000_000;

    /// Returns the fuel of a call and of a start, if it was set.
    #[must_use]
    pub const fn explicit_fuel(&self) -> Option<u64> {
        self.fuel
    }

    /// Returns the deadline of a call, if it was set.
    #[must_use]
    pub const fn explicit_deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Returns the deadline of the start of an instance, if it was set.
    #[must_use]
    pub const fn explicit_init_deadline(&self) -> Option<Duration> {
        self.init_deadline
    }

    /// Returns these limits with every unset deadline removed instead of defaulted.
    #[must_use]
    pub fn without_default_deadlines(self) -> Self {
        self.with_deadline(self.deadline.unwrap_or(Duration::MAX))
            .with_init_deadline(self.init_deadline.unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_limit_holds_against_a_default_and_the_stricter_of_two_set_ones_wins() {
        let raised = Limits::new().with_memory(128 * MIB);
        assert_eq!(raised.stricter(Limits::new()).memory(), 128 * MIB);
        assert_eq!(Limits::new().stricter(raised).memory(), 128 * MIB);
        assert_eq!(raised.stricter(Limits::new().with_memory(MIB)).memory(), MIB);
        assert_eq!(Limits::new().memory(), 64 * MIB);
    }

    #[test]
    fn fuel_has_no_limit_unless_one_is_set() {
        assert_eq!((Limits::new().fuel(), Limits::new().explicit_fuel()), (u64::MAX, None));
        let (strict, lax) = (Limits::new().with_fuel(10), Limits::new().with_fuel(u64::MAX));
        assert_eq!(lax.explicit_fuel(), Some(u64::MAX));
        assert_eq!(strict.stricter(lax).explicit_fuel(), Some(10));
        assert_eq!(Limits::new().stricter(strict).fuel(), 10);
    }

    #[test]
    fn default_deadlines_go_and_explicit_ones_stay() {
        let second = Duration::from_secs(1);
        let limits = Limits::new().without_default_deadlines();
        assert_eq!((limits.deadline(), limits.init_deadline()), (Duration::MAX, Duration::MAX));
        let limits = Limits::new().with_deadline(second).without_default_deadlines();
        assert_eq!((limits.deadline(), limits.init_deadline()), (second, Duration::MAX));
        let limits = Limits::new().with_init_deadline(second).without_default_deadlines();
        assert_eq!((limits.deadline(), limits.init_deadline()), (Duration::MAX, second));
    }
}
