//! What the libraries below report to `tracing`, as lines of this program.

use std::fmt::{self, Write};
use std::str::FromStr;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::messages;
use super::text::escape_line;

/// Shows what the libraries report: warnings, with `verbose` what Antiphon does as well, and what
/// `RUST_LOG` asks for in the form of `tracing`, such as `debug` or `antiphon=debug,wasmtime=info`.
pub(crate) fn show_library_messages(verbose: bool) {
    let asked = std::env::var("RUST_LOG").ok().filter(|asked| !asked.is_empty());
    // What becomes of an instance stands in the error of its call, which the program shows itself.
    let mut targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("antiphon::instance", if verbose { LevelFilter::WARN } else { LevelFilter::OFF });
    match asked.as_deref().map(Targets::from_str) {
        Some(Ok(asked)) => targets = asked,
        Some(Err(_)) => {
            messages::warning("RUST_LOG is not understood: expected levels such as antiphon=debug")
        }
        None => {}
    }
    if verbose {
        targets = targets.with_target("antiphon", LevelFilter::DEBUG);
    }
    let subscriber = tracing_subscriber::registry().with(Lines.with_filter(targets));
    // Fails only if a subscriber is set already, which serves as well.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Writes each event as a line.
struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            _ => "note",
        };
        let mut text = Text::default();
        event.record(&mut text);
        messages::message(level, &escape_line(&text.whole()));
    }
}

/// The message of an event, and its other fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn whole(self) -> String {
        let Self { message, fields } = self;
        if fields.is_empty() { message } else { format!("{message} ({fields})") }
    }

    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = match field.name() {
            "message" => self.message.write_fmt(value),
            name => {
                let comma = if self.fields.is_empty() { "" } else { ", " };
                write!(self.fields, "{comma}{}: {value}", name.replace('_', " "))
            }
        };
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }
}
