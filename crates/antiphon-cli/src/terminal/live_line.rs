//! A line on standard error that changes while something runs.

use std::io::IsTerminal;

use indicatif::ProgressBar;

/// The line, gone when dropped. Nothing is written where nobody sees it.
#[derive(Debug)]
pub(crate) struct LiveLine(Option<ProgressBar>);

impl LiveLine {
    pub(crate) fn new() -> Self {
        Self(std::io::stderr().is_terminal().then(ProgressBar::new_spinner))
    }

    /// Shows a text, which is only made where it is seen.
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
