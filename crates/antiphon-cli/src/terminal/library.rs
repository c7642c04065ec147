//! What the libraries below report to `tracing`, as lines of this program.

use std::fmt::{self, Write};
use std::str::FromStr;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;

use super::messages;
use super::text::escape_line;

/// Shows what the libraries report: warnings, with `verbose` what Antiphon does as well, and what
/// `RUST_LOG` asks for in the form of `tracing`, such as `debug` or `antiphon=debug`.
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
    // Fails only if a subscriber is set already, which serves as well.
    let _ = tracing::subscriber::set_global_default(Lines(targets));
}

/// Writes each event of these targets as a line. Spans are not shown.
struct Lines(Targets);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.0.would_enable(metadata.target(), metadata.level())
    }

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            _ => "note",
        };
        let mut text = Text::default();
        event.record(&mut text);
        messages::message(level, &escape_line(&text.whole()));
    }

    fn new_span(&self, _attributes: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
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
