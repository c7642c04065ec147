//! The limits of one call and one instance.

use core::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident / $or_default:ident: $type:ty = $default:expr;)+) => {
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
        /// let limits = Limits::new().memory(256 << 20).deadline(Duration::from_millis(50));
        /// assert_eq!((limits.memory, limits.host_calls), (Some(256 << 20), None));
        /// assert_eq!(limits.host_calls_or_default(), 1_000);
        /// ```
        ///
        /// A field is `None` where its limit was not set.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: Option<$type>,)+
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

            /// Returns these limits, with those of `other` where none is set here.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $($name: self.$name.or(other.$name),)+ }
            }

            $(
                #[doc = concat!("Sets the limit [`", stringify!($name), "`](field@Self::", stringify!($name), ").")]
                #[must_use]
                pub const fn $name(mut self, value: $type) -> Self {
                    self.$name = Some(value);
                    self
                }

                #[doc = concat!("Returns [`", stringify!($name), "`](field@Self::", stringify!($name), "), or its default.")]
                #[must_use]
                #[inline]
                pub const fn $or_default(&self) -> $type {
                    match self.$name {
                        Some(value) => value,
                        None => $default,
                    }
                }
            )+
        }
    };
}

limits! {
    /// The largest linear memory of an instance, in bytes. The default is 64 MiB. A growth
    /// beyond it is refused (`memory.grow` returns -1).
    memory / memory_or_default: u64 = 64 * MIB;
    /// The most elements of each table. The default is 20,000.
    table_elements / table_elements_or_default: u64 = 20_000;
    /// The largest size of a module, in bytes. The default is 16 MiB.
    module / module_or_default: u64 = 16 * MIB;
    /// The stack of the guest, in bytes, up to 1 GiB. The default is 512 KiB. An engine whose
    /// guests have a stack of another form gives them room for about as many calls. It is fixed
    /// where a module is compiled, so it is set on the builder of the provider.
    stack / stack_or_default: u64 = 512 * KIB;
    /// The wall-clock time of one call: queueing, rebuilding, guest, and host calls
    /// together. The default is 2 s. Time is counted in ticks of 5 ms, and the current one is
    /// always left: a limit of zero ends a call at the next tick. (The deadline of a request that
    /// is zero has passed before the call begins.)
    deadline / deadline_or_default: Duration = Duration::from_secs(2);
    /// The wall-clock time of the whole start of an instance, including its init exports.
    /// The default is 2 s.
    init_deadline / init_deadline_or_default: Duration = Duration::from_secs(2);
    /// The fuel of one call, and of one start. The default is no limit. The engine decides
    /// what a unit is.
    fuel / fuel_or_default: u64 = u64::MAX;
    /// The largest payload of a call, in bytes. The default is 4 MiB.
    request / request_or_default: u64 = 4 * MIB;
    /// The largest answer of a call, in bytes. The default is 4 MiB.
    response / response_or_default: u64 = 4 * MIB;
    /// The largest payload, and the largest answer, of one host call, in bytes. The default
    /// is 4 MiB.
    host_payload / host_payload_or_default: u64 = 4 * MIB;
    /// The longest name, in bytes: the operation of a call, and the binding, namespace, and
    /// operation of a host call. The default is 1 KiB.
    name / name_or_default: u64 = KIB;
    /// The longest error text, in bytes. Longer texts are cut. The default is 64 KiB.
    error_text / error_text_or_default: u64 = 64 * KIB;
    /// The most host calls in one call. The default is 1,000.
    host_calls / host_calls_or_default: u64 = 1_000;
    /// The most bytes that the host calls of one call carry, arguments and answers together.
    /// The default is 256 MiB.
    host_call_bytes / host_call_bytes_or_default: u64 = 256 * MIB;
    /// The longest log line, in bytes. Longer lines are cut. The default is 4 KiB.
    log_line / log_line_or_default: u64 = 4 * KIB;
    /// The largest log of one call, in bytes. Lines beyond it are counted as dropped. The
    /// default is 64 KiB.
    log / log_or_default: u64 = 64 * KIB;
}

impl Limits {
    /// The default of [`fuel`](Self::fuel) for a deterministic guest. Nothing else ends such a
    /// guest.
    pub const DETERMINISTIC_FUEL: u64 = 2_000_000_000;

    /// Returns these limits with every unset deadline removed instead of defaulted.
    #[must_use]
    pub fn without_default_deadlines(self) -> Self {
        self.deadline(self.deadline.unwrap_or(Duration::MAX))
            .init_deadline(self.init_deadline.unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_limit_holds_against_a_default_and_the_stricter_of_two_set_ones_wins() {
        let raised = Limits::new().memory(128 * MIB);
        assert_eq!(raised.stricter(Limits::new()).memory_or_default(), 128 * MIB);
        assert_eq!(Limits::new().stricter(raised).memory_or_default(), 128 * MIB);
        assert_eq!(raised.stricter(Limits::new().memory(MIB)).memory_or_default(), MIB);
        assert_eq!(Limits::new().memory_or_default(), 64 * MIB);
    }

    #[test]
    fn what_is_set_stands_whatever_other_limits_fill_in() {
        let filled = Limits::new().memory(MIB).or(Limits::new().memory(2 * MIB).host_calls(7));
        assert_eq!(filled, Limits::new().memory(MIB).host_calls(7));
        assert_eq!(Limits::new().or(filled), filled);
    }

    #[test]
    fn fuel_has_no_limit_unless_one_is_set() {
        assert_eq!((Limits::new().fuel_or_default(), Limits::new().fuel), (u64::MAX, None));
        let (strict, lax) = (Limits::new().fuel(10), Limits::new().fuel(u64::MAX));
        assert_eq!(lax.fuel, Some(u64::MAX));
        assert_eq!(strict.stricter(lax).fuel, Some(10));
        assert_eq!(Limits::new().stricter(strict).fuel_or_default(), 10);
    }

    #[test]
    fn default_deadlines_go_and_explicit_ones_stay() {
        let second = Duration::from_secs(1);
        let limits = Limits::new().without_default_deadlines();
        assert_eq!(
            (limits.deadline_or_default(), limits.init_deadline_or_default()),
            (Duration::MAX, Duration::MAX)
        );
        let limits = Limits::new().deadline(second).without_default_deadlines();
        assert_eq!(
            (limits.deadline_or_default(), limits.init_deadline_or_default()),
            (second, Duration::MAX)
        );
        let limits = Limits::new().init_deadline(second).without_default_deadlines();
        assert_eq!(
            (limits.deadline_or_default(), limits.init_deadline_or_default()),
            (Duration::MAX, second)
        );
    }
}
