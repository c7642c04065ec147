//! A guest's log lines reach the program's logger from the `log` crate.

use std::sync::{Mutex, Once};

use compat::guests::TOOLBOX;

use crate::hosts::Host;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level() == log::Level::Info {
            LINES.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Returns the lines of level `info` with this text that were logged while `run` ran. No other test
/// may log this text.
pub fn lines_with(text: &str, run: impl FnOnce()) -> Vec<String> {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        log::set_logger(&Logger).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    run();
    LINES.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
}

#[test]
fn a_line_of_the_guest_s_is_logged_with_the_number_of_its_host() {
    for (host, text) in Host::of(TOOLBOX, None).into_iter().zip(["first of the lines", "second of the lines"])
    {
        let lines = lines_with(text, || assert_eq!(host.call("log", text.as_bytes()).unwrap(), b""));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(&host.id().to_string()), "{lines:?}");
    }
}
