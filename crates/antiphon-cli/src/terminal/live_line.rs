//! A progress line on standard error.

use std::io::IsTerminal;

use indicatif::ProgressBar;

use super::messages;
use crate::args::ErrorFormat;

/// The line; it disappears when dropped. Nothing is written if standard error is not a terminal.
#[derive(Debug)]
pub(crate) struct LiveLine(Option<ProgressBar>);

impl LiveLine {
    pub(crate) fn new() -> Self {
        // A program that reads JSON gets nothing else.
        let shown = messages::format() == ErrorFormat::Text && std::io::stderr().is_terminal();
        Self(shown.then(ProgressBar::new_spinner))
    }

    /// Shows a text, which is built only if the line is visible.
    pub(crate) fn show(&self, text: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.set_message(text());
            bar.tick();
        }
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
