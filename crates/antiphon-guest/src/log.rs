//! The host's log.

/// Formats a line like `format!` and writes it to the host's log.
///
/// ```
/// antiphon_guest::log!("{} of {}", 1, 2);
/// # assert_eq!(antiphon_guest::testing::take_log(), ["1 of 2"]);
/// ```
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => {
        $crate::console_log(&$crate::__private::format!($($argument)*))
    };
}

/// Sends records of the `log` crate, up to this level, to the host's log, as `LEVEL target:
/// message`.
///
/// Call it in `wapc_init`. If a logger is set already, that one stays.
///
/// ```
/// antiphon_guest::log_to_host(log::LevelFilter::Info);
/// log::warn!(target: "shop", "{} left", 3);
/// log::debug!("not written");
/// # assert_eq!(antiphon_guest::testing::take_log(), ["WARN shop: 3 left"]);
/// ```
#[cfg(feature = "log")]
pub fn log_to_host(most: ::log::LevelFilter) {
    struct ToHost;
    impl ::log::Log for ToHost {
        fn enabled(&self, metadata: &::log::Metadata<'_>) -> bool {
            metadata.level() <= ::log::max_level()
        }

        fn log(&self, record: &::log::Record<'_>) {
            if self.enabled(record.metadata()) {
                log!("{} {}: {}", record.level(), record.target(), record.args());
            }
        }

        fn flush(&self) {}
    }
    if ::log::set_logger(&ToHost).is_ok() {
        ::log::set_max_level(most);
    }
}
